"""Likelihood: what a corpus costs, text by text (pseudo-perplexity, Salazar et al. 2020, arXiv 1910.14659)."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from maskwright.data.tokenizers.folding import asked_for
from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import Interval, ratio
from maskwright.evaluation.plans import NEED_ANSWER, check_plan
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.running_text import RunningText
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.source import Source
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.tools import Tools


class Likelihood(Suite):
    """Nats of all texts, per token, per word and per byte, and what they are as a perplexity.

    Every name begins with `pseudo/`, of a masked model (the sum of each token's score under `plan`), or with `causal/`
    (exact). A ratio of sums over the corpus, so long texts weigh more; its interval takes texts as clusters. Figures
    per word (with words=characters) and per byte compare across tokenizers; those per token do not.
    source, text, piece, most: see `RunningText`.
    """

    name = "likelihood"
    reads_heldout = True

    def __init__(
        self,
        source: Source | None = None,
        text: str = "text",
        plan: str = "word_l2r",
        words: str = "characters",
        piece: int | None = 48,
        most: int | None = None,
    ) -> None:
        check_plan(plan)
        if plan in NEED_ANSWER:
            raise RecipeError(f"evaluation.plan={plan} hides an answer, and a text has none; choose word_l2r.")
        self.running, self.plan, self.words = RunningText(source, text, piece, most), plan, words
        self.reads_heldout = source is None

    def check(self, subject: Subject) -> None:
        subject.require_language_model()
        self.running.check(subject, self.name)

    def run(self, subject: Subject, tools: Tools) -> Result:
        self.check(subject)
        texts, corpus = self.running.read(subject, tools)
        requests = self.running.requests(texts)
        scorer = Scorer(subject, tools, self.plan, self.words)
        scores = scorer(requests, "likelihood")
        if not scores:
            raise RecipeError(f"evaluation.source: no text could be scored; the model takes {subject.length} tokens.")
        scored = [request for request in requests if request.id in scores]
        found = [scores[request.id] for request in scored]
        nats_N, text_N = [-score.sum for score in found], [request.id[0] for request in scored]  # type: ignore[index]
        sizes = {
            "token": [score.n for score in found],
            "word": [score.words for score in found],
            "byte": [score.bytes for score in found],
        }
        kind = "causal" if scorer.head.left_to_right else "pseudo"
        per = {unit: ratio(nats_N, size_N, text_N) for unit, size_N in sizes.items()}
        shown = {
            "perplexity": _exp(per["token"]),
            "perplexity_per_word": _exp(per["word"]),
            **{f"nats_per_{unit}": interval for unit, interval in per.items()},
        }
        figures: dict[str, Any] = {}
        for name, interval in shown.items():
            figures |= interval.figures(f"{kind}/{name}")
        figures[f"{kind}/nats"] = float(sum(nats_N))
        skipped: dict[str, int] = {}
        for reason in scores.skipped.values():
            skipped[reason] = skipped.get(reason, 0) + 1
        unknown = sum(int((score.ids_T == subject.tokenizer.unk_token_id).sum()) for score in found)
        facts = {
            "corpus": corpus,
            "text": hashlib.sha256("\0".join(request.text for request in scored).encode()).hexdigest(),
            "characters": asked_for(subject.tokenizer, [request.text for request in scored]),
            "texts": len(set(text_N)),
            "pieces": len(scored),
            **{f"{unit}s": int(sum(size_N)) for unit, size_N in sizes.items()},
            "unknown_tokens": unknown / sum(sizes["token"]),
            "skipped": skipped,
        }
        title = f"{len(scored):,} pieces of {facts['texts']:,} texts, {facts['tokens']:,} tokens; intervals over texts"
        rows = [[f"{kind} {name.replace('_', ' ')}", *interval] for name, interval in shown.items()]
        return Result(figures, [Table(title, ("", "value", "low", "high"), rows)], facts)


def _exp(interval: Interval) -> Interval:
    return Interval(*(float(end) for end in np.exp(interval)))
