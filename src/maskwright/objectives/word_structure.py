"""Masked language modelling with word structure (SPBERT, arXiv 2106.09997; StructBERT, arXiv 1908.04577).

Shapes: B rows, K masked positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.objectives.base import Needs
from maskwright.objectives.losses import hits, token_loss
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
        main, shown = batch.views["main"], batch.views["order"]
        places = [main.place_BK, shown.place_BK]
        hidden_BKD = self.encode(self.network, shown.ids_BM, shown.document_BM, place_BK=torch.cat(places, 1))
        hidden = hidden_BKD.split([place_BK.shape[1] for place_BK in places], 1)
        terms = {}
        for view, name, hidden_BKD in ((main, "mlm", hidden[0]), (shown, "structure", hidden[1])):
            logits_BKV = self.network.predict(hidden_BKD)
            terms[name] = token_loss(logits_BKV, view.target_BK)
            terms[f"accuracy/{name}"] = hits(self.network.guessable(logits_BKV), view.target_BK)
        return terms

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width, both = self.layout.width, rows * (predicted["main"] + predicted["order"])
        return training_flops(self.network, rows * width, both, width, picked=both)
