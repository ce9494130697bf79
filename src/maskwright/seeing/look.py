"""What is looked at: real rows of a recipe's data, and the views that the recipe makes of them.

Shapes: B rows, L positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from omegaconf import DictConfig
from torch import Tensor

from maskwright.config.settings import ShowMasks
from maskwright.data.module import usable
from maskwright.data.order import permutation
from maskwright.data.prepare import Prepared
from maskwright.errors import RecipeError
from maskwright.masking import View, ViewRecipe, Views
from maskwright.masking.columns import Column, named
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.seeing.recipes import Composed
from maskwright.training.recipe import Recipe, assembled, check_views


@dataclass
class Look:
    """One recipe and its masks on some training rows at some moment of training.

    policy: the overrides that made it, where several are seen side by side. refused: why train.py would not train on
    these views, if it would not.
    """

    policy: str
    recipe: Recipe
    refused: str | None
    prepared: Prepared
    views: Views
    rows: Mapping[str, Tensor]  # ids, document, sample, visit and columns
    progress: float

    @cached_property
    def made(self) -> dict[str, View]:
        """All views at this progress."""
        return self.at(self.progress)

    def at(self, progress: float) -> dict[str, View]:
        """All views at another progress."""
        return self.views(self.rows, progress)

    @property
    def real_BL(self) -> Tensor:
        """Bool: not padding."""
        return self.rows["document"] > 0

    @property
    def annotators(self) -> dict[str, Column]:
        """By name, the columns that are more than a name: their annotators."""
        return {named(column): column for column in self.recipe.columns if not isinstance(column, str)}

    def field(self, view: View) -> Field:
        """The clean rows as weights and rates by position see them."""
        return Field(view.maskable_BL, self.rows, self.rows["ids"], progress=self.progress)

    def draws(self, name: str) -> Draws:
        """The noise of the race in which a view runs."""
        recipe = self.views.recipes[name]
        while recipe.relation in ("same", "nested", "disjoint"):
            recipe = self.views.recipes[str(recipe.to)]
        return Draws(self.views.seed, recipe.name, self.rows["visit"], self.rows["sample"])


def look(composed: Sequence[Composed], rows: int, progress: float) -> list[Look]:
    """Each recipe on the same `rows` training rows, the first that training would present.

    Raises RecipeError for what the user can mend, and where the recipes do not have the same rows.
    """
    found: list[tuple[Composed, Recipe, str | None, Prepared, Views]] = []
    for each in composed:
        recipe, refused = understood(each.cfg, each.choices, ShowMasks)
        _check_sight(recipe)
        prepared = recipe.prepare(each.cfg)
        found.append((each, recipe, refused, prepared, recipe.bind(prepared, each.cfg.seeds.masks)))
    there = min(usable(part.train, recipe.layout(part, views).padded) for _, recipe, _, part, views in found)
    chosen = permutation(there, composed[0].cfg.seeds.order, 0)[:rows]
    looks: list[Look] = []
    for each, recipe, refused, prepared, views in found:
        taken = prepared.train.take(chosen) if len(prepared.train) > int(chosen.max()) else {"ids": torch.zeros(0)}
        if looks and not torch.equal(taken["ids"], looks[0].rows["ids"]):
            raise RecipeError(
                f"show.policies: {each.policy!r} changes the rows (data, tokenizer, cleaning or packing), so that its "
                "masks cannot be held against the others'; look at it by itself."
            )
        taken["visit"] = torch.zeros_like(taken["sample"])
        looks.append(Look(each.policy, recipe, refused, prepared, views, taken, progress))
    return looks


def understood(cfg: DictConfig, choices: Mapping[str, str], schema: type) -> tuple[Recipe, str | None]:
    """The recipe, and why train.py would refuse its views, if it would: masks can be seen all the same. schema: the
    plain settings.

    Raises RecipeError for everything else that the user can mend.
    """
    recipe = assembled(cfg, choices, schema)
    try:
        check_views(recipe)
    except RecipeError as error:
        return recipe, str(error)
    return recipe, None


def _check_sight(recipe: Recipe) -> None:
    """Raises RecipeError where there are no masks to see."""
    objective = recipe.choices.get("objective")
    if not recipe.views:
        raise RecipeError(f"objective={objective} masks nothing; choose another, such as objective=mlm.")
    if any(_given(view) for view in recipe.views):
        raise RecipeError(
            "masking.weight is given by a network inside the step, so that there are no masks to see without training; "
            "choose another masking/weight to look at."
        )


def _given(view: ViewRecipe) -> bool:
    return view.masking.weight is not None and view.masking.weight.given
