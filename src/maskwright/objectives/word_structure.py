"""Masked language modelling with word structure (SPBERT, arXiv 2106.09997; StructBERT, arXiv 1908.04577).

Shapes: B rows, K masked positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.objectives.base import Needs
from maskwright.objectives.losses import hits, pick, token_loss
from maskwright.objectives.mlm import MaskedLM


class WordStructure(MaskedLM):
    """Predict the masked tokens, and of tokens put out of order which ones stood there, with one head and equal weight.

    The view `order` lies over `main`: it puts units in disorder that `main` left alone, and the network reads both.
    """

    needs = Needs(network="encoder", views=("main", "order"), in_place=True, losses={"main": "mlm"})
    weights = MappingProxyType({"mlm": 1.0, "structure": 1.0, "accuracy/mlm": 0.0, "accuracy/structure": 0.0})

    def where(self, batch: Batch) -> dict[str, Tensor]:
        main, order = batch.views["main"], batch.views["order"]
        return {
            "mlm": main.weight_BK,
            "accuracy/mlm": main.counts_BK,
            "structure": order.weight_BK,
            "accuracy/structure": order.counts_BK,
        }

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        shown = batch.views["order"]
        hidden_BLD = self.encode(self.network, shown.ids_BM, shown.document_BM)
        terms = {}
        for view, name in ((batch.views["main"], "mlm"), (shown, "structure")):
            logits_BKV = self.network.predict(pick(hidden_BLD, view.place_BK))
            terms[name] = token_loss(logits_BKV, view.target_BK)
            terms[f"accuracy/{name}"] = hits(logits_BKV, view.target_BK)
        return terms
