"""Views: what policies, rates and corruptions make of a batch, by name and in relation to each other.

Shapes: B rows, L positions, K the most positions a row may lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.corruptions import Corruption
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.policy import Masking
from maskwright.masking.rates import Rate
from maskwright.masking.view import View
from maskwright.masking.vocabulary import Vocabulary

RELATIONS = ("independent", "same", "nested", "disjoint")


@dataclass(frozen=True)
class ViewRecipe:
    """One view: masking x rate x corruption, and how it relates to another view of the same batch.

    relation: `independent` draws its own race; the others run the race of the view `to`: `same` selects the same
    positions, `nested` has its own deadline in that race (a higher rate contains the lower one's positions), `disjoint`
    takes the next slice of it.
    """

    name: str
    masking: Masking
    rate: Rate
    corruption: Corruption
    relation: str = "independent"
    to: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Annotations that the data must carry."""
        return (*self.masking.columns, *self.corruption.columns)

    def describe(self) -> str:
        """`span 30% 80/10/10`, for the recipe line."""
        parts = (self.masking.describe(), self.rate.describe(), self.corruption.describe())
        return " ".join(part for part in parts if part)


class Views:
    """Makes all views of a batch: a pure function of (seed, view, visit, sample) and training progress."""

    def __init__(
        self, recipes: list[ViewRecipe], vocabulary: Vocabulary, seed: int, length: int, longest: Mapping[str, int]
    ) -> None:
        self.recipes = {recipe.name: recipe for recipe in recipes}
        self.vocabulary, self.seed = vocabulary, seed
        self.most: dict[str, int] = {}  # K by view
        for recipe in recipes:
            self._check_relation(recipe)
            most = recipe.masking.capacity(recipe.rate.highest, length, longest)
            self.most[recipe.name] = self.most[str(recipe.to)] if recipe.relation == "same" else most

    def _check_relation(self, recipe: ViewRecipe) -> None:
        name = f"views.{recipe.name}"
        if recipe.relation not in RELATIONS:
            raise RecipeError(f"{name}.relation is {recipe.relation}; choose one of {', '.join(RELATIONS)}.")
        if recipe.relation == "independent":
            return
        if recipe.to not in self.most:
            raise RecipeError(
                f"{name}.to is {recipe.to}; it must name a view listed before it ({', '.join(self.most) or 'none'})."
            )
        if recipe.masking.unit.planned and recipe.relation != "same":
            raise RecipeError(
                f"{name}.relation={recipe.relation} needs one race with two deadlines, and "
                f"{recipe.masking.unit.describe()} "
                "are drawn anew for each count; use relation=independent or masking=span."
            )

    def __call__(self, rows: Mapping[str, Tensor], progress: float) -> dict[str, View]:
        """All views of `rows` (ids, document, sample, visit and annotation columns [B, L] or [B]) at `progress` in
        0..1."""
        made: dict[str, View] = {}
        for name, recipe in self.recipes.items():
            made[name] = self._make(recipe, rows, progress, made)
        return made

    def _make(self, recipe: ViewRecipe, rows: Mapping[str, Tensor], progress: float, made: dict[str, View]) -> View:
        ids_BL, valid_BL = rows["ids"], rows["document"] > 0
        other = made[recipe.to] if recipe.to is not None and recipe.relation != "independent" else None
        own = Draws(self.seed, recipe.name, rows["visit"], rows["sample"])
        race = own if other is None else Draws(self.seed, self._root(recipe), rows["visit"], rows["sample"])
        before = other if recipe.relation == "disjoint" else None
        field = Field(
            maskable_BL=valid_BL & ~self.vocabulary.is_special_V.to(ids_BL.device)[ids_BL],
            columns=rows,
            ids_BL=ids_BL,
            taken_BL=before.outcome_BL > 0 if before is not None else None,
            passed_B=before.rate_B if before is not None else None,
        )
        if recipe.relation == "same" and other is not None:
            rate_B, place_BK, counts_BK, unit_BL = other.rate_B, other.place_BK, other.counts_BK, other.unit_BL
        else:
            rate_B = recipe.rate(progress, own)
            place_BK, counts_BK, unit_BL = recipe.masking.select(field, rate_B, race, self.most[recipe.name])
        target_BK = ids_BL.gather(1, place_BK)
        new_BK, outcome_BK = recipe.corruption(field, place_BK, unit_BL.gather(1, place_BK), own, self.vocabulary)
        return View(
            ids_BL=ids_BL.scatter(1, place_BK, torch.where(counts_BK, new_BK, target_BK)),
            clean_BL=ids_BL,
            valid_BL=valid_BL,
            maskable_BL=field.maskable_BL,
            document_BL=rows["document"],
            outcome_BL=torch.zeros_like(ids_BL, dtype=torch.uint8).scatter(1, place_BK, outcome_BK * counts_BK),
            unit_BL=unit_BL,
            place_BK=place_BK,
            counts_BK=counts_BK,
            target_BK=target_BK,
            rate_B=rate_B,
        )

    def _root(self, recipe: ViewRecipe) -> str:
        """The view whose race `recipe` runs in the end."""
        while recipe.relation != "independent":
            recipe = self.recipes[str(recipe.to)]
        return recipe.name
