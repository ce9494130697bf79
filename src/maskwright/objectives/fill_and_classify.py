"""Fill the masked words in, then classify the text so perturbed (gender-tuning, arXiv 2307.10522).

Shapes: B rows, L positions, K masked positions, D hidden width, C classes, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.classify import classes_of
from maskwright.objectives.heads import class_loss, row_class
from maskwright.objectives.losses import hits, most_likely, token_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class FillAndClassify(Objective):
    """One encoder with two heads: its guesses at the masked words are written back, and the text that results keeps its
    label. The loss is share x filling + (1 - share) x classification.

    A guess is the most likely token and carries no gradient. Texts without a masked word are classified as they are and
    add nothing to the filling. label: an annotator of the documents' labels.
    """

    needs = Needs(network="encoder", in_place=True, packing="document", losses={"main": "mlm"})
    example = "bert_tiny"

    def __init__(self, label: Classes, share: float) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise RecipeError(f"objective.share is {share}; it is the share of the filling's loss between 0 and 1.")
        self.label, self.columns = label, (label,)
        self.weights = {"mlm": share, "classify": 1 - share, "accuracy/mlm": 0.0, "accuracy/classify": 0.0}

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        from maskwright.models.sharing import share_body

        self.layout = layout
        self.classifier: Network = model.build(tokenizer, positions, "classify", classes_of(self.label))
        self.filler: Network = model.build(tokenizer, positions, "mlm")
        share_body(self.classifier, self.filler)

    def where(self, batch: Batch) -> dict[str, Tensor]:
        view, labelled_B = batch.views["main"], row_class(batch.rows[self.label.name]) > 0
        return {
            "mlm": view.weight_BK,
            "accuracy/mlm": view.counts_BK,
            "classify": labelled_B,
            "accuracy/classify": labelled_B,
        }

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view, class_B = batch.views["main"], row_class(batch.rows[self.label.name])
        hidden_BKD = self.encode(self.filler, view.ids_BM, view.document_BM, place_BK=view.place_BK)
        logits_BKV = self.filler.predict(hidden_BKD)
        guessed_BKV = self.filler.guessable(logits_BKV.detach())
        guess_BK = torch.where(view.counts_BK, most_likely(guessed_BKV), view.target_BK)
        perturbed_BL = view.clean_BL.scatter(1, view.place_BK, guess_BK)
        logits_BC = self.classifier.classify(self.encode(self.classifier, perturbed_BL, view.document_BM))
        return {
            "mlm": token_loss(logits_BKV, view.target_BK),
            "accuracy/mlm": hits(guessed_BKV, view.target_BK),
            "classify": class_loss(logits_BC, class_B),
            "accuracy/classify": (logits_BC.argmax(1) == class_B - 1).float(),
        }

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": self.filler}

    def exports(self) -> dict[str, Network]:
        return {"": self.classifier, "filler": self.filler}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width, masked = self.layout.width, rows * predicted["main"]
        filling = training_flops(self.filler, rows * width, masked, width, picked=masked)
        return filling + training_flops(self.classifier, rows * width, rows, width)
