"""Views: what policies, rates and corruptions make of a batch, by name and in relation to each other.

Shapes: B rows, L positions of the clean row, M of a view, K the most positions a row may lose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking import layout
from maskwright.masking.columns import Column
from maskwright.masking.corruptions import Corruption, Selected
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.policy import Masking, Selection
from maskwright.masking.rates import Rate, Schedule
from maskwright.masking.view import Outcome, View
from maskwright.masking.vocabulary import Vocabulary
from maskwright.masking.weights import Live, Weight

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RELATIONS = ("independent", "same", "nested", "disjoint", "over")


@dataclass(frozen=True)
class ViewRecipe:
    """One view: masking x rate x corruption, and how it relates to another view of the same batch.

    relation: `independent` draws its own race; others refer to the view `to`: `same` selects the same positions,
    `nested` has its own deadline in that view's race (a higher rate contains the lower one's positions), `disjoint`
    takes the next slice of it, `over` draws its own race among what that view left alone, and corrupts that view's ids
    further. prediction: the share of maskable tokens to predict, apart from the rate of corruption (arXiv 2202.08005);
    below the rate, a random part of the selected ones; above it, copies of the rows with disjoint masks. None: all
    selected ones. loss_weight: weights of the predicted positions in the loss; None: all alike.
    """

    name: str
    masking: Masking
    rate: Rate
    corruption: Corruption
    relation: str = "independent"
    to: str | None = None
    prediction: Schedule | None = None
    loss_weight: Weight | None = None

    def __post_init__(self) -> None:
        if self.prediction is not None and self.prediction.highest > 0 and self.rate.lowest == 0:
            raise RecipeError(
                f"prediction.value is {self.prediction.highest:g}, which no row meets whose rate is 0, and rate "
                f"({self.rate.describe()}) has such rows; choose a rate that stays above 0."
            )

    @property
    def columns(self) -> tuple[str | Column, ...]:
        """Annotations that the data must carry."""
        loss = self.loss_weight.columns if self.loss_weight else ()
        return (*self.masking.columns, *self.rate.columns, *self.corruption.columns, *loss)

    @property
    def copies(self) -> int:
        """Copies of the rows that the rate of prediction needs where the rate is lowest, this view among them."""
        if self.prediction is None or self.prediction.highest == 0:
            return 1
        return math.ceil(self.prediction.highest / self.rate.lowest - 1e-9)

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Let its parts learn token ids and open tables, once the data is ready."""
        for part in (self.masking, self.rate, self.corruption, self.loss_weight):
            if part is not None:
                part.bind(tokenizer)

    def live(self) -> list[tuple[Live, str | Column]]:
        """State that the training moves, and the column that it looks at."""
        weights = [weight for weight in (self.masking.weight, self.loss_weight) if weight is not None]
        return [(weight.live, weight.columns[0]) for weight in weights if getattr(weight, "live", None) is not None]  # type: ignore[attr-defined]

    def describe(self) -> str:
        """`span 30% 80/10/10`, for the recipe line."""
        parts = [self.masking.describe(), self.rate.describe(), self.corruption.describe()]
        if self.prediction is not None:
            parts.append(f"predicting {self.prediction.describe()}")
        if self.loss_weight is not None:
            parts.append(f"loss {self.loss_weight.describe()}")
        return " ".join(part for part in parts if part)


def with_copies(recipes: list[ViewRecipe]) -> list[ViewRecipe]:
    """The recipes, and behind each that predicts more than it corrupts the copies `<name>+1`, ... with the next slices
    of its race. Raises RecipeError where that is impossible."""
    listed = []
    for recipe in recipes:
        listed.append(recipe)
        if recipe.copies == 1:
            continue
        if recipe.prediction is not None and recipe.copies * recipe.rate.highest > 1 + 1e-9:
            raise RecipeError(
                f"prediction.value is {recipe.prediction.highest:g}: {recipe.copies} disjoint masks of "
                f"{recipe.rate.highest:g} are more than a row; lower it or the rate."
            )
        before = recipe.name
        for number in range(1, recipe.copies):
            listed.append(replace(recipe, name=f"{recipe.name}+{number}", relation="disjoint", to=before))
            before = f"{recipe.name}+{number}"
    return listed


class _Chosen(NamedTuple):
    """Positions chosen for a view, before they are corrupted."""

    selection: Selection
    rate_B: Tensor


class Views:
    """Makes all views of a batch: a pure function of (seed, view, visit, sample), training progress and live state."""

    def __init__(
        self, recipes: list[ViewRecipe], vocabulary: Vocabulary, seed: int, length: int, longest: Mapping[str, int]
    ) -> None:
        self.recipes = {recipe.name: recipe for recipe in with_copies(recipes)}
        self.vocabulary, self.seed = vocabulary, seed
        self.most: dict[str, int] = {}  # K by view
        self.width: dict[str, int] = {}  # M by view
        for recipe in self.recipes.values():
            self._check_relation(recipe)
            recipe.masking.check_rate(recipe.rate)
            most = recipe.masking.capacity(recipe.rate.highest, length, longest)
            self.most[recipe.name] = self.most[str(recipe.to)] if recipe.relation == "same" else most
            self.width[recipe.name] = recipe.corruption.width(length, self.most[recipe.name])
            for stage in recipe.corruption.stages:
                stage.check(recipe.masking.unit.most_units(self.most[recipe.name]))

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
        other = self.recipes[str(recipe.to)]
        if recipe.relation == "over":
            if not other.corruption.keeps_places:
                raise RecipeError(
                    f"{name}.relation=over needs tokens in their places, and views.{recipe.to} moves them."
                )
        elif recipe.relation == "disjoint" and not recipe.masking.budget.slices:
            raise RecipeError(
                f"{name}.relation=disjoint takes the next slice of a race, and masking.budget.of=start counts spans "
                "from its beginning; use masking.budget.of=token."
            )
        elif recipe.masking.unit.planned and recipe.relation != "same":
            raise RecipeError(
                f"{name}.relation={recipe.relation} needs one race with two deadlines, and "
                f"{recipe.masking.unit.describe()} "
                "are drawn anew for each count; use relation=independent or masking=span."
            )

    def live(self) -> dict[str, tuple[Live, str | Column]]:
        """By view, the state that training moves, and the column that it looks at."""
        found = {}
        for name, recipe in self.recipes.items():
            for number, (state, column) in enumerate(recipe.live() if "+" not in name else []):
                found[f"{name}{number or ''}"] = (state, column)
        return found

    def __call__(self, rows: Mapping[str, Tensor], progress: float) -> dict[str, View]:
        """All views of `rows` (ids, document, sample, visit and annotation columns [B, L] or [B]) at `progress` in
        0..1."""
        made: dict[str, View] = {}
        for name, recipe in self.recipes.items():
            made[name] = self._make(recipe, rows, progress, made)
        return made

    def _make(self, recipe: ViewRecipe, rows: Mapping[str, Tensor], progress: float, made: dict[str, View]) -> View:
        own = Draws(self.seed, recipe.name, rows["visit"], rows["sample"])
        field = self._field(recipe, rows, progress, made)
        chosen = self._choose(recipe, rows, field, own, made)
        shown_BL = made[str(recipe.to)].ids_BM if recipe.relation == "over" else rows["ids"]
        place_BK, counts_BK, unit_BL = chosen.selection[:3]
        selected = Selected(field, place_BK, counts_BK, unit_BL, shown_BL, own, self.vocabulary)
        new_BK, outcome_BK = recipe.corruption(selected)
        ids_BL = shown_BL.scatter(1, place_BK, torch.where(counts_BK, new_BK, selected.ids_BK))
        outcome_BL = torch.zeros_like(ids_BL, dtype=torch.uint8).scatter(1, place_BK, outcome_BK * counts_BK)
        laid = self._laid(recipe, rows, ids_BL, shown_BL, outcome_BL, chosen.selection)
        predicted_BK = counts_BK & (outcome_BK < Outcome.REMOVED)
        if not recipe.corruption.predictable:
            predicted_BK = torch.zeros_like(counts_BK)
        elif recipe.prediction is not None:
            predicted_BK = self._predicted(recipe, predicted_BK, place_BK, field, chosen.rate_B, own)
        weight_BK = predicted_BK.float()
        if recipe.loss_weight is not None:
            weight_BK = weight_BK * recipe.loss_weight(field).gather(1, place_BK).float()
        return View(
            ids_BM=laid.ids_BM,
            valid_BM=laid.document_BM > 0,
            document_BM=laid.document_BM,
            origin_BM=laid.origin_BM,
            clean_BL=rows["ids"],
            maskable_BL=self._maskable(rows),
            outcome_BL=outcome_BL,
            unit_BL=unit_BL,
            source_BK=place_BK,
            place_BK=place_BK if recipe.corruption.keeps_places else laid.place_BL.gather(1, place_BK),
            counts_BK=predicted_BK,
            weight_BK=weight_BK,
            target_BK=rows["ids"].gather(1, place_BK),
            rate_B=chosen.rate_B,
        )

    def _maskable(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Bool [B, L]: real tokens that are not special."""
        return (rows["document"] > 0) & ~self.vocabulary.is_special_V.to(rows["ids"].device)[rows["ids"]]

    def _field(
        self, recipe: ViewRecipe, rows: Mapping[str, Tensor], progress: float, made: Mapping[str, View]
    ) -> Field:
        field = Field(self._maskable(rows), columns=rows, ids_BL=rows["ids"], progress=progress)
        if recipe.relation not in ("disjoint", "over"):
            return field
        taken_BL, passed_B = torch.zeros_like(field.maskable_BL), torch.zeros_like(rows["sample"], dtype=torch.float64)
        before: ViewRecipe | None = recipe
        while before is not None and before.relation in ("disjoint", "over"):
            view = made[str(before.to)]
            taken_BL, passed_B = taken_BL | (view.outcome_BL > 0), passed_B + view.rate_B
            before = self.recipes[str(before.to)]
        if recipe.relation == "over":  # what is taken ends units, as special tokens do
            return replace(field, maskable_BL=field.maskable_BL & ~taken_BL, base_B=field.maskable_B)
        return replace(field, taken_BL=taken_BL, passed_B=passed_B)

    def _choose(
        self, recipe: ViewRecipe, rows: Mapping[str, Tensor], field: Field, own: Draws, made: Mapping[str, View]
    ) -> _Chosen:
        """The positions that a view selects."""
        if recipe.relation == "same":
            other = made[str(recipe.to)]
            selected_BK = (other.outcome_BL > 0).gather(1, other.source_BK)
            return _Chosen(Selection(other.source_BK, selected_BK, other.unit_BL, None, None), other.rate_B)
        race = own
        if recipe.relation in ("nested", "disjoint"):
            race = Draws(self.seed, self._root(recipe), rows["visit"], rows["sample"])
        rate_B, rate_BL = recipe.rate(field.progress, own), None
        if recipe.rate.by_position:
            rate_BL = recipe.rate.at_positions(field)
            reached_BL = field.of_maskable(rate_BL) * field.maskable_BL
            rate_B = reached_BL.sum(1) / field.maskable_B.clamp(min=1)
        return _Chosen(recipe.masking.select(field, rate_B, rate_BL, race, self.most[recipe.name]), rate_B)

    def _laid(
        self,
        recipe: ViewRecipe,
        rows: Mapping[str, Tensor],
        ids_BL: Tensor,
        shown_BL: Tensor,
        outcome_BL: Tensor,
        selection: Selection,
    ) -> layout.Laid:
        """The rows as the network reads them."""
        document_BL = rows["document"]
        if recipe.corruption.keeps_places:
            place_BL = torch.arange(ids_BL.shape[1], device=ids_BL.device).expand_as(ids_BL)
            return layout.Laid(ids_BL, document_BL, torch.where(document_BL > 0, place_BL, -1), place_BL)
        removed_BL, inserted_BL = outcome_BL == Outcome.REMOVED, None
        before_BL = outcome_BL == Outcome.INSERTED
        if any(stage.lengthens for stage in recipe.corruption.stages):
            inserted_BL = torch.where(before_BL, ids_BL, -1)
            ids_BL = torch.where(before_BL, shown_BL, ids_BL)
        if selection.empty_BL is not None and selection.deadline_B is not None and recipe.corruption.gaps:
            gap_BL = layout.gaps_that_fit(selection.empty_BL, selection.deadline_B, removed_BL)
            mask_BL = torch.where(gap_BL, self.vocabulary.mask, -1)
            inserted_BL = mask_BL if inserted_BL is None else torch.where(inserted_BL >= 0, inserted_BL, mask_BL)
        return layout.lay(ids_BL, document_BL, removed_BL, inserted_BL, self.vocabulary.pad, self.width[recipe.name])

    def _predicted(
        self, recipe: ViewRecipe, selected_BK: Tensor, place_BK: Tensor, field: Field, rate_B: Tensor, own: Draws
    ) -> Tensor:
        """Bool [B, K]: which selected positions are predicted, so that their mean share is the rate of prediction."""
        assert recipe.prediction is not None
        behind = int(recipe.name.rpartition("+")[2]) if "+" in recipe.name else 0
        left_B = recipe.prediction.at(field.progress) - behind * rate_B
        share_B = (left_B / rate_B.clamp(min=1e-12)).clamp(0, 1)
        exact_B = share_B * selected_BK.sum(1)
        number_B = (exact_B + own("prediction.rounding", 1)[:, 0] + _EPSILON).floor()
        noise_BK = own.at("prediction", place_BK).masked_fill(~selected_BK, torch.inf)
        return selected_BK & (noise_BK.argsort(1).argsort(1) < number_B[:, None])

    def _root(self, recipe: ViewRecipe) -> str:
        """The view whose race `recipe` runs in the end."""
        while recipe.relation in ("same", "nested", "disjoint"):
            recipe = self.recipes[str(recipe.to)]
        return recipe.name


_EPSILON = 1e-9  # a product that should be whole must not round down
