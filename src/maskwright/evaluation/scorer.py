"""The one scorer: log-likelihood of any text under any trained language model.

Requests are keyed: whatever their order, repetition or batching, each gets its own score. Rows of similar length are
read together, and batches are put together by content, so that the order of requests changes nothing at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from maskwright.errors import RecipeError
from maskwright.evaluation.heads import HEADS, Predicted
from maskwright.evaluation.plans import NEED_ANSWER, check_plan
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.texts import Encoded, Encoder, Request, spans
from maskwright.evaluation.tools import Tools, reading

TIE = 1e-5  # scores this close are tied: a score is defined no more exactly than that
_MERGE = 8  # lengths are mixed in a batch (and padded) only while it holds less than 1/8 of what fits


@dataclass(frozen=True)
class Score:
    """The scored tokens of one text, in nats. Sums run over tokens; nothing is normalised unless its name says so."""

    logp_T: np.ndarray  # float64
    ids_T: np.ndarray  # int64
    start_T: np.ndarray  # int64, the characters of each token in the text
    end_T: np.ndarray
    words: int  # words that the scored tokens belong to
    bytes: int  # UTF-8 bytes of the text, or of the scored part
    better_T: np.ndarray | None = None  # with ranks: tokens more likely than the one that stands there,
    tied_T: np.ndarray | None = None  # as likely as it, itself included,
    best_T: np.ndarray | None = None  # and the most likely one

    @property
    def n(self) -> int:
        """Scored tokens."""
        return len(self.logp_T)

    @cached_property
    def sum(self) -> float:
        return float(self.logp_T.sum())

    @property
    def mean(self) -> float:
        """Per token."""
        return self.sum / self.n

    @property
    def per_word(self) -> float:
        return self.sum / self.words

    @property
    def per_byte(self) -> float:
        return self.sum / self.bytes

    def by(self, reduction: str) -> float:
        """`sum` or `mean`."""
        return self.sum if reduction == "sum" else self.mean


class Scores(dict[Hashable, Score]):
    """Scores by id; `skipped` says why the others have none."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped: dict[Hashable, str] = {}


class Scorer:
    """Scores texts with a subject's language-model head.

    plan: what is hidden while a token of a masked model is scored, see `plans.PLANS`; causal models are scored exactly
    and have none. words: `characters` or `tokenizer`, see `Encoder`. ranks: also where each token stands among all
    tokens. A causal model predicts a text's first token from the special token that its tokenizer puts first, else from
    the tokenizer's BOS token, else not at all: the first token is then not scored. Special tokens never are.
    Raises RecipeError when the subject has no distribution over tokens.
    """

    def __init__(
        self, subject: Subject, tools: Tools | None = None, plan: str = "word_l2r", words: str = "characters",
        ranks: bool = False,
    ) -> None:  # fmt: skip
        check_plan(plan)
        self.subject, self.tools, self.plan, self.ranks = subject, tools or Tools(), plan, ranks
        subject.require_language_model()
        self.head = HEADS[str(subject.head)].of(subject, plan)
        begin = subject.tokenizer.bos_token_id if self.head.left_to_right else None
        self.encoder = Encoder(subject.tokenizer, words, begin)

    def __call__(self, requests: Iterable[Request | tuple[Any, ...]], label: str = "score") -> Scores:
        """Scores by id. Texts that are too long for the network or have nothing to score are skipped and counted.

        Raises ValueError when one id stands for two different texts.
        """
        asked: dict[Hashable, Request] = {}
        for request in requests:
            request = Request(*request)
            if asked.setdefault(request.id, request) != request:
                raise ValueError(f"The id {request.id!r} stands for two different texts.")
        groups: dict[Any, list[Hashable]] = {}
        for request in asked.values():
            groups.setdefault(_content(request), []).append(request.id)
        unique = [asked[ids[0]] for ids in groups.values()]
        scores = Scores()
        for ids, found in zip(groups.values(), self._scored(unique, label), strict=True):
            for key in ids:
                if isinstance(found, str):
                    scores.skipped[key] = found
                else:
                    scores[key] = found
        return scores

    def _scored(self, requests: list[Request], label: str) -> Iterator[Score | str]:
        """A score or the reason for none, for each request."""
        if self.plan in NEED_ANSWER and not self.head.left_to_right:
            for request in requests:
                if request.span is None and request.answer is None:
                    raise RecipeError(f"plan={self.plan} needs to know the answer's characters; give a span.")
        encoded = self.encoder(requests)
        length_N = encoded.length_N
        if self.head.left_to_right:
            encoded.scored_T[encoded.first_N[:-1][length_N > 0]] = False  # nothing stands before it
        scored_N = encoded.scored_N
        usable_N = (length_N <= self.subject.length) & (scored_N > 0)
        columns = self._predicted(encoded, np.flatnonzero(usable_N), label)
        for number, request in enumerate(requests):
            if usable_N[number]:
                yield _score(encoded, columns, number, request)
            elif length_N[number] > self.subject.length:
                yield f"longer than {self.subject.length} tokens"
            else:
                yield "no token to score"

    def _predicted(self, encoded: Encoded, usable: np.ndarray, label: str) -> Predicted:
        """Columns over all tokens [T] as numpy arrays; what is not scored holds no meaning."""
        length_N, scored_N = encoded.length_N, encoded.scored_N
        out: list[np.ndarray | None] = [np.full(len(encoded.ids_T), np.nan), None, None, None]
        if self.ranks:
            out[1:] = [np.zeros(len(encoded.ids_T), dtype=np.int64) for _ in range(3)]
        most, pad = self.tools.batch_positions, self.subject.pad
        batches = list(self._batches(encoded, usable, most))
        cost = [sum(self.head.positions(length_N[n], scored_N[n]) for n in batch) for batch in batches]
        with reading(self.subject.network), self.tools.autocast(), self.tools.progress(label, sum(cost)) as advance:
            for batch, done in zip(batches, cost, strict=True):
                rows = encoded.rows(batch, self._rounded(int(length_N[batch].max())), pad).to(self.tools.device)
                parts = list(self.head.predict(rows, most, self.ranks))
                at = np.concatenate([np.arange(encoded.first_N[n], encoded.first_N[n + 1]) for n in batch])
                at = at[encoded.scored_T[at]]
                for column, values in zip(out, zip(*parts), strict=True):
                    if column is not None:
                        column[at] = np.concatenate([value.cpu().numpy() for value in values])
                advance(done)
        return Predicted(*out)  # type: ignore[arg-type]

    def _rounded(self, length: int) -> int:
        """The columns of a batch: on a GPU a multiple of 8, for few shapes and aligned products."""
        return min(-(-length // self.tools.multiple) * self.tools.multiple, self.subject.length)

    def _batches(self, encoded: Encoded, usable: np.ndarray, most: int) -> Iterator[np.ndarray]:
        """Texts that are read together: of one length as far as that fills a batch, in an order set by content."""
        length_N, scored_N = encoded.length_N, encoded.scored_N
        block = {n: slice(encoded.first_N[n], encoded.first_N[n + 1]) for n in usable.tolist()}
        columns_T = (encoded.ids_T, encoded.scored_T, encoded.answer_T)
        content = {n: b"".join(column_T[part].tobytes() for column_T in columns_T) for n, part in block.items()}
        order = sorted(usable.tolist(), key=lambda n: (length_N[n], scored_N[n], content[n]))
        batch: list[int] = []
        held = 0
        for number in order:
            more = self.head.positions(length_N[number], scored_N[number])
            longer = bool(batch) and self._rounded(length_N[number]) > self._rounded(length_N[batch[0]])
            if batch and (held + more > most or (longer and held * _MERGE > most)):
                yield np.array(batch)
                batch, held = [], 0
            batch.append(number)
            held += more
        if batch:
            yield np.array(batch)


def _content(request: Request) -> tuple[Any, ...]:
    """What makes two requests the same work."""
    return request.text, _frozen(request.span), _frozen(request.answer)


def _frozen(part: Any) -> Any:
    return tuple(_frozen(item) for item in part) if isinstance(part, list | tuple) else part


def _score(encoded: Encoded, columns: Predicted, number: int, request: Request) -> Score:
    block = slice(encoded.first_N[number], encoded.first_N[number + 1])
    at = encoded.scored_T[block]
    start_T, end_T = encoded.start_T[block][at], encoded.end_T[block][at]
    parts = [request.text] if request.span is None else [request.text[a:b] for a, b in spans(request.span)]
    more = [None if column is None else column[block][at] for column in columns[1:]]
    return Score(
        columns.logp_P[block][at],  # type: ignore[arg-type]
        encoded.ids_T[block][at],
        start_T,
        end_T,
        len(np.unique(encoded.word_T[block][at])),
        sum(len(part.encode("utf-8", "surrogatepass")) for part in parts),
        *more,  # type: ignore[arg-type]
    )
