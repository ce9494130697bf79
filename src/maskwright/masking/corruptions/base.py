"""Corruptions: what selected positions become.

A corruption is a list of stages with shares; a draw per token, word or unit decides which stage takes a position.
Shapes: B rows, L positions, K the most positions a row may lose.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskwright.errors import RecipeError
from maskwright.masking.columns import WORD, Column
from maskwright.masking.draws import Draws
from maskwright.masking.field import Field
from maskwright.masking.view import Outcome
from maskwright.masking.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PER = ("token", "word", "unit")  # from the finest to the coarsest


@dataclass(frozen=True)
class Selected:
    """The selected positions of a batch, as corruptions see them."""

    field: Field
    place_BK: Tensor  # int64
    counts_BK: Tensor  # bool: which of the K are in use
    unit_BL: Tensor  # int64, where the unit of a position begins
    shown_BL: Tensor  # int64, the ids so far: the clean ones, or another view's
    draws: Draws
    vocabulary: Vocabulary
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict)  # what several stages want of the positions

    @cached_property
    def ids_BK(self) -> Tensor:
        """Int64: what stands at the places so far."""
        return self.shown_BL.gather(1, self.place_BK)

    def first_BK(self, per: str) -> Tensor:
        """Int64: where the token, word or unit of each place begins: the place at which its draw is made."""
        if per == "token":
            return self.place_BK
        whole_BL = self.unit_BL if per == "unit" else self.field.first(self.field.starts(WORD))
        return whole_BL.gather(1, self.place_BK)

    def on_row(self, flag_BK: Tensor) -> Tensor:
        """Bool [B, L] of a flag at the places that count."""
        return torch.zeros_like(self.field.maskable_BL).scatter(1, self.place_BK, flag_BK & self.counts_BK)

    def heads_BK(self, taken_BK: Tensor, merge: bool = False) -> Tensor:
        """Bool: which taken places begin a run of neighbours of one unit (with `merge`: a run of any neighbours)."""
        taken_BL = self.on_row(taken_BK)
        joined_BL = taken_BL[:, 1:] & taken_BL[:, :-1]
        if not merge:
            joined_BL = joined_BL & (self.unit_BL[:, 1:] == self.unit_BL[:, :-1])
        return (taken_BL & ~torch.nn.functional.pad(joined_BL, (1, 0))).gather(1, self.place_BK) & taken_BK


class Stage(ABC):
    """What becomes of the positions that it takes.

    share: chance that a selected position is taken. outcome: how the view records it. columns: annotations that it
    reads. per: the finest draw with which it makes sense. keeps_places: every position still has a place of its own,
    where it can be predicted. lengthens: it inserts tokens.
    """

    outcome: Outcome
    columns: tuple[str | Column, ...] = ()
    per = "token"
    keeps_places = True
    lengthens = False
    gaps = False  # it shows something for a unit of length zero

    def __init__(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise RecipeError(f"corruption: {type(self).__name__} has the share {share}; a share lies between 0 and 1.")
        self.share = float(share)

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:  # noqa: B027 - most stages need no tokenizer
        """Learn token ids and open tables, once, when the data is ready."""

    @property
    def markers(self) -> tuple[str, ...]:
        """Special tokens that the tokenizer must have."""
        return ()

    def check(self, units: int) -> None:  # noqa: B027 - most stages take any number
        """Raises RecipeError when a row may lose more units than it can show."""

    @property
    def name(self) -> str:
        """How the recipe line says it."""
        return self.outcome.name.lower()

    @abstractmethod
    def __call__(self, selected: Selected, taken_BK: Tensor) -> tuple[Tensor, Tensor]:
        """New ids int64 [B, K] and outcomes uint8 [B, K] (or one for all) where `taken_BK`; anything elsewhere."""


class Corruption:
    """Stages whose shares add up to 1, drawn per token, word or unit (papers differ: BERT per token even under
    whole-word masking, SpanBERT per span)."""

    def __init__(self, stages: Sequence[Stage], per: str) -> None:
        self.stages = [stage for stage in stages if stage.share]
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-9:
            raise RecipeError(f"corruption.stages have shares that add up to {total:g}; they must add up to 1.")
        if per not in PER:
            raise RecipeError(f"corruption.per is {per}; choose one of {', '.join(PER)}.")
        finest = max(self.stages, key=lambda stage: PER.index(stage.per))
        if PER.index(per) < PER.index(finest.per) and len(self.stages) > 1:
            raise RecipeError(
                f"corruption.per is {per}, but {finest.name} changes a whole {finest.per}; "
                f"set corruption.per={finest.per}."
            )
        self.per = per

    @property
    def columns(self) -> tuple[str | Column, ...]:
        """Annotations that it reads."""
        own = [column for stage in self.stages for column in stage.columns]
        return (*([WORD] if self.per == "word" else []), *own)

    @property
    def markers(self) -> tuple[str, ...]:
        """Special tokens that the tokenizer must have."""
        return tuple(marker for stage in self.stages for marker in stage.markers)

    @property
    def keeps_places(self) -> bool:
        """Every token keeps a place of its own, so the view is as wide as the row."""
        return all(stage.keeps_places and not stage.lengthens for stage in self.stages)

    @property
    def predictable(self) -> bool:
        """Some selected position can be predicted at its place."""
        return any(stage.keeps_places and not stage.lengthens for stage in self.stages)

    @property
    def gaps(self) -> bool:
        """A unit of length zero shows as an inserted token."""
        return any(stage.gaps for stage in self.stages)

    def width(self, length: int, most: int) -> int:
        """Tokens in a view's row, for rows of `length` of which `most` may be selected."""
        return length + most if any(stage.lengthens for stage in self.stages) else length

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Learn token ids and open tables, once, when the data is ready."""
        for stage in self.stages:
            stage.bind(tokenizer)

    def __call__(self, selected: Selected) -> tuple[Tensor, Tensor]:
        """New ids int64 [B, K] and outcomes uint8 [B, K] at the selected places."""
        if len(self.stages) == 1:
            new_BK, outcome_BK = self.stages[0](selected, selected.counts_BK)
            return new_BK, torch.as_tensor(outcome_BK, dtype=torch.uint8, device=new_BK.device).expand_as(new_BK)
        u_BK = selected.draws.at("outcome", selected.first_BK(self.per))
        new_BK = selected.ids_BK
        outcome_BK = torch.full_like(new_BK, int(self.stages[-1].outcome), dtype=torch.uint8)
        passed = 0.0
        for number, stage in enumerate(self.stages):
            last = number == len(self.stages) - 1
            here_BK = u_BK >= passed if last else (u_BK >= passed) & (u_BK < passed + stage.share)
            passed += stage.share
            stage_BK, how_BK = stage(selected, here_BK & selected.counts_BK)
            new_BK = torch.where(here_BK, stage_BK, new_BK)
            outcome_BK = torch.where(here_BK, how_BK, outcome_BK)
        return new_BK, outcome_BK

    def describe(self) -> str:
        """How the recipe line says it; empty when it is the plain [MASK]."""
        if len(self.stages) == 1:
            return "" if self.stages[0].outcome == Outcome.MASKED else self.stages[0].name
        shares = ", ".join(f"{100 * stage.share:.3g}% {stage.name}" for stage in self.stages)
        return shares + ("" if self.per == "token" else f" per {self.per}")
