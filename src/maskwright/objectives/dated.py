"""Masked language modelling of dated text (BiTimeBERT 2.0, arXiv 2406.01863).

Shapes: B rows, L positions, K masked positions, D hidden width, C periods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from maskwright.data.batch import Batch
from maskwright.masking import Outcome
from maskwright.masking.columns import Classes, Column, named
from maskwright.models.places import pick
from maskwright.objectives.base import Needs, RowLayout
from maskwright.objectives.heads import RowHead, TokenHead, class_loss, row_class
from maskwright.objectives.losses import hits, token_loss
from maskwright.objectives.mlm import MaskedLM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe


class DatedMaskedLM(MaskedLM):
    """Predict the masked tokens, from [CLS] the period in which the document was written, and of every entity whether
    it was exchanged for another one.

    The view `entities` lies over `main` and exchanges entities that `main` left alone; the network reads both. periods:
    an annotator of the documents' dates. entities: an annotator of the classes of entities. Weights: of the two losses.
    """

    needs = Needs(
        network="encoder", views=("main", "entities"), in_place=True, losses={"main": "mlm"}, packing="document"
    )
    example = "bert_tiny"

    def __init__(self, periods: Classes, entities: Column, date_weight: float, entity_weight: float) -> None:
        super().__init__()
        self.periods, self.entities, self.columns = periods, entities, (periods, entities)
        self.weights = {
            "mlm": 1.0,
            "date": date_weight,
            "exchanged": entity_weight,
            "accuracy/mlm": 0.0,
            "accuracy/date": 0.0,
            "accuracy/exchanged": 0.0,
        }

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        super().build(model, tokenizer, layout, positions)
        width = self.network.config.hidden_size
        self.date, self.exchange = RowHead(width, max(2, len(self.periods.names) - 1)), TokenHead(width, 1)

    def where(self, batch: Batch) -> dict[str, Tensor]:
        main = batch.views["main"]
        dated_B = row_class(batch.rows[self.periods.name]) > 0
        shown_BL = (batch.rows[named(self.entities)] > 0) & main.maskable_BL & (main.outcome_BL == 0)
        return {
            "mlm": main.weight_BK,
            "accuracy/mlm": main.counts_BK,
            "date": dated_B,
            "accuracy/date": dated_B,
            "exchanged": shown_BL,
            "accuracy/exchanged": shown_BL,
        }

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        main, shown = batch.views["main"], batch.views["entities"]
        hidden_BLD = self.encode(self.network, shown.ids_BM, shown.document_BM)
        logits_BKV = self.network.predict(pick(hidden_BLD, main.place_BK))
        period_B, logits_BC = row_class(batch.rows[self.periods.name]), self.date(hidden_BLD)
        exchanged_BL = (shown.outcome_BL == Outcome.REPLACED).float()
        guess_BL = self.exchange(hidden_BLD).squeeze(-1).float()
        return {
            "mlm": token_loss(logits_BKV, main.target_BK),
            "accuracy/mlm": hits(self.network.guessable(logits_BKV), main.target_BK),
            "date": class_loss(logits_BC, period_B),
            "accuracy/date": (logits_BC.argmax(1) == period_B - 1).float(),
            "exchanged": functional.binary_cross_entropy_with_logits(guess_BL, exchanged_BL, reduction="none"),
            "accuracy/exchanged": ((guess_BL > 0) == (exchanged_BL > 0)).float(),
        }

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width = self.layout.width
        return training_flops(self.network, rows * width, rows * predicted["main"], width)
