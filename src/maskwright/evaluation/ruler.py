"""The ruler: the same held-out rows under the same fixed masks, whatever a run trains with.

15 % of the tokens, chosen one by one, all shown as [MASK]; the seed never changes. The rows are packed by the ruler's
own rule (see data.prepare), so runs with one corpus and tokenizer are measured on identical inputs.

Shapes: B rows, L positions, K masked positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from maskwright.data.batch import Batch
from maskwright.masking import Masking, ViewRecipe, Views, Vocabulary
from maskwright.masking.budgets import Counted
from maskwright.masking.corruptions import Replace
from maskwright.masking.rates import Constant
from maskwright.masking.units import Token
from maskwright.models import Network
from maskwright.objectives.losses import hits, token_loss

RATE = 0.15
SEED = 0
NOTHING_MASKED = "the held-out rows have no token that may be masked"


def ruler_views(vocabulary: Vocabulary, length: int) -> Views:
    """The fixed masks, as the view `ruler`."""
    budget = Counted(of="token", rounding="nearest", overshoot="cut", at_least=1, at_most=None)
    return fixed_views(Masking(Token(), budget), RATE, vocabulary, length, {}, "ruler")


def fixed_views(
    masking: Masking, rate: float, vocabulary: Vocabulary, length: int, longest: Mapping[str, int], stream: str
) -> Views:
    """Masks of any kind that depend on the row alone, all shown as [MASK], as the view `stream`.

    Two rates of one stream share their race: the higher one hides what the lower one hides, and more.
    """
    mask = Replace(mask=1.0, random=0.0, keep=0.0, per="token")
    return Views([ViewRecipe(stream, masking, Constant(rate), mask)], vocabulary, SEED, length, longest)


class Tally:
    """Sums over ruler rows for one network: nats, hits, tokens and text bytes of the masked positions."""

    def __init__(self, network: Network, view: str = "ruler") -> None:
        self.network, self.view = network, view
        self.sums_4 = torch.zeros(4, dtype=torch.float64)

    @torch.no_grad()
    def add(self, batch: Batch) -> None:
        """Measure one batch of ruler rows."""
        view = batch.views[self.view]
        logits_BKV = self.network.predict(
            self.network.encode(view.ids_BM, view.valid_BM, view.document_BM, place_BK=view.place_BK)
        )
        counts_BK = view.counts_BK.double()
        bytes_BK = batch.rows["bytes"].gather(1, view.place_BK)
        parts = (
            token_loss(logits_BKV, view.target_BK),
            hits(self.network.guessable(logits_BKV), view.target_BK),
            torch.ones_like(counts_BK),
            bytes_BK,
        )
        sums_4 = torch.stack([(part.double() * counts_BK).sum() for part in parts])
        self.sums_4 = self.sums_4.to(sums_4.device) + sums_4

    def result(self, sums_4: Tensor) -> Mapping[str, float]:
        """loss (nats per masked token), accuracy, bits_per_byte (of the masked tokens' text), from sums over all
        ranks; without a masked token, or without text under one, there are none."""
        nats, right, tokens, text_bytes = sums_4.tolist()
        found = {"loss": nats / tokens, "accuracy": right / tokens} if tokens else {}
        return found | ({"bits_per_byte": nats / math.log(2) / text_bytes} if text_bytes else {})
