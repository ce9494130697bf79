"""Rated: to which side does a model lean, by people's ratings of the words that it expects? (arXiv 2402.05034)

The paper rates words from Early Modern (-2) to Modern English (2). No code of it was found: how many predictions count
and what they weigh are settings here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.heads import logits_at
from maskwright.evaluation.intervals import ratio
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.source import Source, text_of
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.texts import Request
from maskwright.evaluation.tools import Tools, reading

_EXAMPLES = 12

_Rows = dict[tuple[int, ...], dict[int, list[str]]]  # see `_rows`


class Sentence(NamedTuple):
    """A text around its blank."""

    group: str
    before: str
    after: str


class Guess(NamedTuple):
    """A rated word among the predictions for a blank."""

    word: str
    logp: float  # nats
    rating: float


class Rated(Suite):
    """The mean rating of the words that a model predicts for the blank of a sentence, weighed by their probabilities.

    text, group: columns of `source`, whose texts have one `blank` each; word, rating: columns of `ratings`. A word
    counts as it is written and with a capital. Several ratings of one token (several raters, or a tokenizer without
    capitals) are averaged. Words of several tokens are no prediction for one mask; they are left out and named.
    top_k: a word counts only where it is among the k most likely tokens (None: all rated words). power: a prediction
    weighs p^power. A prediction without a rating is not taken as 0: `coverage` is the probability of those that count,
    and a sentence without any has no score, and is counted.
    """

    name = "rated"

    def __init__(
        self,
        source: Source,
        ratings: Source,
        text: str = "text",
        group: str | None = None,
        blank: str = "[MASK]",
        word: str = "word",
        rating: str = "rating",
        top_k: int | None = 10,
        power: float = 1.0,
    ) -> None:
        if not blank:
            raise RecipeError("evaluation.blank cannot be empty; give the mark of the file.")
        if top_k is not None and top_k < 1:
            raise RecipeError(f"evaluation.top_k is {top_k}; give a number of tokens from 1 up, or null for all.")
        if not 0 <= power < math.inf:
            raise RecipeError(f"evaluation.power is {power}; give a number from 0 up, 1 to weigh by probability.")
        self.source, self.ratings = source, ratings
        self.text, self.group, self.blank, self.word, self.rating = text, group, blank, word, rating
        self.top_k, self.power = top_k, power

    def check(self, subject: Subject) -> None:
        subject.require_masked(self.name)
        self.source.check()
        self.ratings.check()

    def run(self, subject: Subject, tools: Tools) -> Result:
        sentences, rated = self.sentences(), self.rated()
        forms = {word: word for word in rated}
        for word in rated:
            forms.setdefault(word[:1].upper() + word[1:], word)
        scorer = Scorer(subject, tools, "joint")
        read: list[tuple[Sentence, list[Guess]]] = []
        known: set[str] = set()
        with reading(subject.network), tools.autocast(), tools.progress(self.name, len(sentences)) as advance:
            for sentence in sentences:
                rows = _rows(scorer, sentence, forms)
                if rows is not None:
                    known.update(word for tokens in rows.values() for words in tokens.values() for word in words)
                    read.append((sentence, self._guesses(scorer, rows, rated)))
                advance(1)
        if not any(guesses for _, guesses in read):
            raise RecipeError(
                f"evaluation.ratings: of {len(sentences)} sentences none has a rated prediction; rate more words that "
                f"are one token of the model, raise evaluation.top_k, or give texts of {subject.length} tokens at most."
            )
        figures, shown = self._summed("", read, rated)
        table = [["all", *shown]]
        for group in dict.fromkeys(sentence.group for sentence, _ in read if self.group):
            more, shown = self._summed(f"by/group/{group}/", [one for one in read if one[0].group == group], rated)
            figures |= more
            table.append([group, *shown])
        scored = sum(bool(guesses) for _, guesses in read)
        skipped = {
            f"longer than {subject.length} tokens": len(sentences) - len(read),
            "no rated prediction": len(read) - scored,
        }
        count, size = sum(len(guesses) for _, guesses in read), subject.network.config.vocab_size
        facts = {
            "texts": len(sentences),
            "scored": scored,
            "skipped": {reason: number for reason, number in skipped.items() if number},
            "rated_predictions": count,
            "unrated_predictions": max(0, min(self.top_k or size, size) * len(read) - count),
            "no token of their own, left out": [word for word in rated if word not in known],
            "top_k": self.top_k,
            "power": self.power,
        }
        columns = ("group", "texts", "scored", "score", "low", "high", "coverage")
        among = "all tokens" if self.top_k is None else f"the {self.top_k} most likely tokens"
        examples = [
            [sentence.before + self.blank + sentence.after, mean_rating(guesses, self.power) if guesses else None,
             ", ".join(f"{one.word} {math.exp(one.logp):.2f} ({one.rating:g})" for one in _likely(guesses))]
            for sentence, guesses in read[:_EXAMPLES]
        ]  # fmt: skip
        return Result(
            figures,
            [Table(f"mean rating of rated words among {among}, {len(rated):,} words rated", columns, table),
             Table("examples", ("text", "score", "its likeliest rated words: probability (rating)"), examples)],
            facts,
        )  # fmt: skip

    def sentences(self) -> list[Sentence]:
        """The texts. Raises RecipeError for one that has not exactly one blank."""
        found = []
        columns = [self.text] if self.group is None else [self.text, self.group]
        for number, row in enumerate(self.source.rows(*columns), 1):
            parts = text_of(row, self.text, "evaluation.text").split(self.blank)
            if len(parts) != 2:
                raise RecipeError(
                    f"{self.source}: row {number} has {len(parts) - 1} blanks ({self.blank}) and needs one; mend it, "
                    "or set evaluation.blank."
                )
            found.append(Sentence("" if self.group is None else str(row[self.group]), *parts))
        return found

    def rated(self) -> dict[str, float]:
        """The mean rating of each word. Raises RecipeError for one that is no number."""
        found: dict[str, list[float]] = {}
        for number, row in enumerate(self.ratings.rows(self.word, self.rating), 1):
            try:
                value = float(row[self.rating])
            except (TypeError, ValueError):
                value = math.nan
            if not math.isfinite(value):
                raise RecipeError(
                    f"evaluation.rating: {self.ratings}: row {number} has the rating {row[self.rating]!r}; give a "
                    "number, or leave the word out."
                )
            found.setdefault(text_of(row, self.word, "evaluation.word"), []).append(value)
        return {word: float(np.mean(values)) for word, values in found.items()}

    def _guesses(self, scorer: Scorer, rows: _Rows, rated: dict[str, float]) -> list[Guess]:
        """The rated words among the predictions of one sentence, each token once."""
        found = []
        device = scorer.tools.device
        for (place, *ids), words in rows.items():
            ids_1L, token_W = torch.tensor([ids], device=device), torch.tensor(list(words), device=device)
            ((_, logits_1V),) = logits_at(scorer.head.network, ids_1L, None, None, torch.tensor([place], device=device))
            logp_V = logits_1V[0].double().log_softmax(0)
            logp_W = logp_V[token_W]
            better_W = (logp_V > logp_W[:, None]).sum(1)
            for own, logp, better in zip(words.values(), logp_W.tolist(), better_W.tolist(), strict=True):
                if self.top_k is None or better < self.top_k:
                    found.append(Guess(own[0], logp, float(np.mean([rated[word] for word in own]))))
        return found

    def _summed(
        self, prefix: str, read: list[tuple[Sentence, list[Guess]]], rated: dict[str, float]
    ) -> tuple[dict[str, Any], list[Any]]:
        """Figures of some sentences, and their row in the table."""
        score_N = [mean_rating(guesses, self.power) for _, guesses in read if guesses]
        coverage_N = [sum(math.exp(guess.logp) for guess in guesses) for _, guesses in read]
        score = ratio(score_N, np.ones(len(score_N)), range(len(score_N)), (min(rated.values()), max(rated.values())))
        coverage = ratio(coverage_N, np.ones(len(coverage_N)), range(len(coverage_N)), (0.0, 1.0))
        figures = score.figures(f"{prefix}score") | coverage.figures(f"{prefix}coverage")
        return figures, [len(read), len(score_N), *score, coverage.value]


def mean_rating(guesses: Sequence[Guess], power: float = 1.0) -> float:
    """sum p^power r / sum p^power: the scale of the p does not matter."""
    logp_W, rating_W = (np.array([getattr(guess, name) for guess in guesses]) for name in ("logp", "rating"))
    weight_W = np.exp(power * (logp_W - logp_W.max()))
    return float((weight_W * rating_W).sum() / weight_W.sum())


def _rows(scorer: Scorer, sentence: Sentence, forms: dict[str, str]) -> _Rows | None:
    """Rows to read: (place of the mask, *ids with the mask) -> token -> the rated words that it is.

    One row, unless a tokenizer cuts the sentence in another way around some word. None where it is too long.
    """
    before, after = sentence.before, sentence.after
    written, first = list(forms), len(before.rstrip())  # the space before a word is its own: with it, one token or two
    encoded = scorer.encoder(
        [Request(n, before + form + after, (first, len(before) + len(form))) for n, form in enumerate(written)]
    )
    fits_N = encoded.length_N <= scorer.subject.length
    if not fits_N.any():
        return None
    rows: _Rows = {}
    for number in np.flatnonzero(fits_N & (encoded.scored_N == 1)).tolist():
        block = slice(encoded.first_N[number], encoded.first_N[number + 1])
        ids, place = encoded.ids_T[block].tolist(), int(encoded.scored_T[block].argmax())
        token, ids[place] = ids[place], scorer.subject.mask
        if token != scorer.subject.tokenizer.unk_token_id:
            words = rows.setdefault((place, *ids), {}).setdefault(token, [])
            if forms[written[number]] not in words:
                words.append(forms[written[number]])
    return rows


def _likely(guesses: Sequence[Guess]) -> list[Guess]:
    return sorted(guesses, key=lambda guess: -guess.logp)[:3]
