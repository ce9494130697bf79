"""Multiple choice over a passage of which cues are hidden (arXiv 2303.07069).

Shapes: B rows, L positions, O options, D hidden width.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.heads import class_loss, output_layer, row_class

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class Options(NamedTuple):
    """How the options of a row lie."""

    number_BL: Tensor  # int64: the option that a token belongs to, from 1; 0 in the passage, -1 at the last [SEP]
    position_BL: Tensor  # int64: options all begin where the passage ends
    allowed_BLL: Tensor  # bool, query by key: a token sees the passage and its own option
    place_BO: Tensor  # int64: the marker before each option
    there_BO: Tensor  # bool


class MultipleChoice(Objective):
    """Which option belongs to the passage: rows of `passage [OPTION] first [OPTION] second ...` (cleaning=options).

    The passage is read once. Each option sees the passage and itself, at the same positions as all the others, so that
    their order does not matter; one linear layer scores the hidden vector at its marker. label: an annotator of the
    right option's number, in classes counted from 1. options: how many a row has; others do not count.
    """

    needs = Needs(
        network="encoder",
        predicts=False,
        packing="document",
        can=frozenset({"positions", "attention_mask"}),
        in_place=True,
    )
    example = "bert_tiny"
    weights = MappingProxyType({"choice": 1.0, "accuracy/choice": 0.0})

    def __init__(self, label: Classes, options: int, marker: str) -> None:
        super().__init__()
        if isinstance(options, bool) or not isinstance(options, int) or options < 2:
            raise RecipeError(f"objective.options is {options}; a choice has at least 2 options.")
        self.label, self.columns, self.options, self.marker = label, (label,), options, marker

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        self.layout = layout
        vocabulary = tokenizer.get_vocab()
        if self.marker not in vocabulary:
            raise RecipeError(f"the tokenizer has no token {self.marker}; use cleaning=options, which writes it.")
        self._marker, self._sep = vocabulary[self.marker], int(tokenizer.sep_token_id)
        self.network: Network = model.build(tokenizer, positions, "mlm")
        self.score = output_layer(self.network.config.hidden_size, 1)

    def where(self, batch: Batch) -> dict[str, Tensor]:
        rows = batch.rows
        whole_B = (rows["ids"] == self._marker).sum(1) == self.options
        counts_B = whole_B & (row_class(rows[self.label.name]) > 0)
        return {"choice": counts_B, "accuracy/choice": counts_B}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view, class_B = batch.views["main"], row_class(batch.rows[self.label.name])
        logits_BO = self.scores(view.ids_BM, view.valid_BM)
        return {
            "choice": class_loss(logits_BO, class_B),
            "accuracy/choice": (logits_BO.argmax(1) == class_B - 1).float(),
        }

    def scores(self, ids_BL: Tensor, valid_BL: Tensor) -> Tensor:
        """A score for each option, float32 [B, O]; minus infinity where a row has fewer."""
        laid = lay_options(ids_BL, valid_BL, self._marker, self._sep, self.options)
        hidden_BLD = self.network.encode(
            ids_BL, valid_BL, positions_BL=laid.position_BL, allowed_BLL=laid.allowed_BLL, padded=True
        )
        score_BL = self.score(hidden_BLD).squeeze(-1).float()
        return score_BL.gather(1, laid.place_BO).masked_fill(~laid.there_BO, torch.finfo(torch.float32).min)

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": "a choice between options is no distribution over tokens; see heldout/choice"}

    def exports(self) -> dict[str, Network]:
        return {"": self.network}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width = self.layout.width
        return training_flops(self.network, rows * width, 0, width)


def lay_options(ids_BL: Tensor, valid_BL: Tensor, marker: int, sep: int, options: int) -> Options:
    """Who belongs to which option, where each stands and whom it sees."""
    place_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
    is_marker_BL = ids_BL == marker
    number_BL = is_marker_BL.cumsum(1)
    last_B1 = valid_BL.sum(1, keepdim=True) - 1
    number_BL = torch.where((place_L == last_B1) & (ids_BL == sep), -1, number_BL)
    begin_BL = torch.where(is_marker_BL, place_L, 0).cummax(1).values  # the marker before each place
    passage_B1 = (number_BL == 0).sum(1, keepdim=True)
    position_BL = torch.where(number_BL > 0, passage_B1 + place_L - begin_BL, place_L)
    own_BLL = number_BL[:, :, None] == number_BL[:, None, :]
    allowed_BLL = (own_BLL | ((number_BL == 0)[:, None, :] & (number_BL > 0)[:, :, None])) & valid_BL[:, None, :]
    place_BO = is_marker_BL.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, :options]
    return Options(number_BL, position_BL, allowed_BLL, place_BO, is_marker_BL.gather(1, place_BO))
