"""Classification of masked text: fine-tuning under the masks that explanations will later use (arXiv 2310.07819).

Shapes: B rows, L positions, D hidden width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking.columns import Classes
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.heads import class_loss, row_class

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


class Classify(Objective):
    """The class of a text of which some tokens are hidden.

    label: an annotator of the documents' labels. Rows without a label do not count.
    """

    needs = Needs(network="encoder", predicts=False, packing="document")
    example = "bert_tiny"
    weights = MappingProxyType({"classify": 1.0, "accuracy/classify": 0.0})

    def __init__(self, label: Classes) -> None:
        super().__init__()
        self.label, self.columns = label, (label,)

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        self.layout = layout
        self.network: Network = model.build(tokenizer, positions, "classify", classes_of(self.label))

    def where(self, batch: Batch) -> dict[str, Tensor]:
        labelled_B = row_class(batch.rows[self.label.name]) > 0
        return {"classify": labelled_B, "accuracy/classify": labelled_B}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view, class_B = batch.views["main"], row_class(batch.rows[self.label.name])
        logits_BC = self.network.classify(self.encode(self.network, view.ids_BM, view.document_BM))
        return {
            "classify": class_loss(logits_BC, class_B),
            "accuracy/classify": (logits_BC.argmax(1) == class_B - 1).float(),
        }

    def ruled(self) -> dict[str, Network | str]:
        return {"ruler": "a classifier has no distribution over tokens; see heldout/classify"}

    def exports(self) -> dict[str, Network]:
        return {"": self.network}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width = self.layout.width
        return training_flops(self.network, rows * width, rows, width)


def classes_of(label: Classes) -> list[str]:
    """The names of the classes. Raises RecipeError when there are fewer than two."""
    names = list(label.names)[1:]
    if len(names) < 2:
        raise RecipeError(f"the column {label.name} has {len(names)} classes; a classifier needs at least 2.")
    return names
