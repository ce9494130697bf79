"""Heads: how one kind of language model gives the probability of a text's tokens. A new kind is one class here.

Shapes: B texts, L positions, R rows that the network reads, P scored tokens, D hidden width, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from maskwright.evaluation.plans import PLANS, Plan
from maskwright.evaluation.texts import Rows
from maskwright.objectives.losses import token_loss

if TYPE_CHECKING:
    from maskwright.evaluation.subject import Subject

_LOGITS = 1 << 25  # numbers in one block of logits


class Predicted(NamedTuple):
    """What a network says of P tokens; the last three only where ranks were asked for."""

    logp_P: Tensor  # float64, nats
    better_P: Tensor | None = None  # int64, tokens of the vocabulary that are more likely
    tied_P: Tensor | None = None  # int64, tokens that are as likely, itself included
    best_P: Tensor | None = None  # int64, the most likely token


def logits_at(
    network: Any, ids_RL: Tensor, valid_RL: Tensor | None, row_P: Tensor | None, place_P: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Logits [., V] at (row, place), in blocks that are not too large, and which of the P places each holds.

    valid_RL: None without padding. row_P: None where each row serves one place, in order; the last layer then says
    nothing of the others.
    """
    size = max(1, _LOGITS // network.config.vocab_size)
    if hasattr(network, "whole"):  # a model without an adapter projects every position
        row_P = torch.arange(len(place_P), device=place_P.device) if row_P is None else row_P
        yield slice(None), network.whole(ids_RL, valid_RL)[row_P, place_P]
        return
    padded = valid_RL is not None
    if row_P is None:
        hidden_PD = network.encode(ids_RL, valid_RL, padded=padded, place_BK=place_P[:, None])[:, 0]
    else:
        hidden_RLD = network.encode(ids_RL, valid_RL, padded=padded)
        hidden_PD = hidden_RLD.flatten(0, 1).index_select(0, row_P * ids_RL.shape[1] + place_P)
    for first in range(0, len(place_P), size):
        part = slice(first, first + size)
        yield part, network.predict(hidden_PD[part])


class Head(ABC):
    """Scores tokens with a network of one kind."""

    left_to_right: ClassVar[bool] = False  # whether a token is predicted from those before it alone

    def __init__(self, network: Any) -> None:
        self.network = network

    @classmethod
    @abstractmethod
    def of(cls, subject: Subject, plan: str) -> Head:
        """The head of a subject of its kind; `plan` is for those that hide tokens."""

    @abstractmethod
    def positions(self, length: int, scored: int) -> int:
        """Positions that the network reads to score `scored` tokens of a text of `length`."""

    @abstractmethod
    def predict(self, rows: Rows, most: int, ranks: bool) -> Iterator[Predicted]:
        """The scored tokens of all rows, in order of row and place, reading at most about `most` positions at once."""

    def read(
        self,
        ids_RL: Tensor,
        valid_RL: Tensor | None,
        row_P: Tensor | None,
        place_P: Tensor,
        target_P: Tensor,
        ranks: bool,
    ) -> Predicted:
        """One forward pass: what is said at (row, place) of the target tokens; see `logits_at`."""
        blocks = logits_at(self.network, ids_RL, valid_RL, row_P, place_P)
        return _joined([_judged(self.network, block, target_P[part], ranks) for part, block in blocks])


class MaskedHead(Head):
    """Pseudo-log-likelihood: each token in a row of its own, in which `plan` hides it.

    shift: how far left of a token its prediction is read (1 for masked next-token prediction).
    """

    def __init__(self, network: Any, mask: int, plan: str, shift: int = 0) -> None:
        super().__init__(network)
        self.mask, self.shift = mask, shift
        self.plan: Plan = PLANS[plan]

    @classmethod
    def of(cls, subject: Subject, plan: str) -> Head:
        return cls(subject.network, subject.mask, plan)

    def positions(self, length: int, scored: int) -> int:
        return length * scored

    def predict(self, rows: Rows, most: int, ranks: bool) -> Iterator[Predicted]:
        text_P, place_P = rows.scored_BL.nonzero(as_tuple=True)
        size = max(1, most // rows.ids_BL.shape[1])
        for first in range(0, len(text_P), size):
            text_R, place_R = text_P[first : first + size], place_P[first : first + size]
            hidden_RL = self.plan(rows.word_BL[text_R], rows.answer_BL[text_R], place_R)
            clean_RL, valid_RL = rows.ids_BL[text_R], rows.valid_BL[text_R] if rows.padded else None
            if valid_RL is not None:
                hidden_RL = hidden_RL & valid_RL
            target_R = clean_RL.gather(1, place_R[:, None])[:, 0]
            shown_RL = clean_RL.masked_fill(hidden_RL, self.mask)
            yield self.read(shown_RL, valid_RL, None, place_R - self.shift, target_R, ranks)


class CausalHead(Head):
    """Exact left-to-right log-likelihood: a token given those before it, read one place to its left."""

    left_to_right = True

    @classmethod
    def of(cls, subject: Subject, plan: str) -> Head:
        return cls(subject.network)

    def positions(self, length: int, scored: int) -> int:
        return length

    def predict(self, rows: Rows, most: int, ranks: bool) -> Iterator[Predicted]:
        size = max(1, most // rows.ids_BL.shape[1])
        for first in range(0, len(rows.ids_BL), size):
            part = slice(first, first + size)
            ids_RL, valid_RL = rows.ids_BL[part], rows.valid_BL[part] if rows.padded else None
            row_P, place_P = rows.scored_BL[part].nonzero(as_tuple=True)
            yield self.read(ids_RL, valid_RL, row_P, place_P - 1, ids_RL[row_P, place_P], ranks)


HEADS: dict[str, type[Head]] = {"mlm": MaskedHead, "causal": CausalHead}  # by Subject.head


def _judged(network: Any, logits_PV: Tensor, target_P: Tensor, ranks: bool) -> Predicted:
    logits_PV = logits_PV.float()
    logp_P = -token_loss(logits_PV[:, None], target_P[:, None])[:, 0].double()
    if not ranks:
        return Predicted(logp_P)
    logits_PV = network.guessable(logits_PV)
    own_P1 = logits_PV.gather(1, target_P[:, None])
    better_P, tied_P = (logits_PV > own_P1).sum(1), (logits_PV == own_P1).sum(1)
    return Predicted(logp_P, better_P, tied_P, logits_PV.argmax(1))


def _joined(parts: list[Predicted]) -> Predicted:
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [None if column[0] is None else torch.cat(column) for column in zip(*parts)]
    return Predicted(*columns)
