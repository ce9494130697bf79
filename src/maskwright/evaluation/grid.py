"""The ruler on a saved model: the standard figures, a grid of units and rates, and words that tokenizers share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from maskwright.data.batch import Batch
from maskwright.data.order import permutation
from maskwright.data.rows import Rows
from maskwright.data.tokenizers.folding import asked_for
from maskwright.errors import RecipeError
from maskwright.evaluation.heads import HEADS
from maskwright.evaluation.heldout import HeldOut
from maskwright.evaluation.intervals import over_items
from maskwright.evaluation.passages import passages
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.ruler import NOTHING_MASKED, Tally, fixed_views, ruler_views
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.texts import Request
from maskwright.evaluation.tools import Tools, reading
from maskwright.masking import Masking, Views, Vocabulary
from maskwright.models.places import pick

NAMES = ("loss", "accuracy", "bits_per_byte")
_CAUSAL = "a causal model has no probability of a token given both of its sides; see causal/bits_per_byte"


class RulerSuite(Suite):
    """Figures of the ruler on held-out text.

    ruler/*: 15 % of the tokens, as measured in every run. by/<unit>/<rate>/*: the same rows under other masks, all
    shown as [MASK]. ruler/word_bits_per_byte: `passages` runs of `words` words of held-out text, `word_rate` of them
    hidden; a word's probability is the product over its pieces given those before it, and given the text outside all
    hidden words. It asks every tokenizer for the same characters in the same text, so it alone compares across
    tokenizers. A causal model has causal/bits_per_byte, on the same passages.
    """

    name = "ruler"
    reads_heldout = True

    def __init__(
        self,
        units: Mapping[str, Masking] | None = None,
        rates: Sequence[float] = (),
        words: int = 48,
        word_rate: float = 0.15,
        passages: int | None = 768,
    ) -> None:
        for rate in (*rates, word_rate):
            if isinstance(rate, bool) or not 0 < rate < 1:
                raise RecipeError(f"evaluation.rates or word_rate holds {rate}; a masking rate lies between 0 and 1.")
        for key, value in (("words", words), ("passages", passages)):
            if value is not None and value < 2:
                raise RecipeError(f"evaluation.{key} is {value}; give a whole number from 2 up.")
        self.units = {name: unit for name, unit in (units or {}).items() if unit is not None}
        self.rates, self.words, self.word_rate, self.passages = list(rates), words, word_rate, passages

    def check(self, subject: Subject) -> None:
        subject.require_language_model()
        if subject.heldout is None:
            raise RecipeError(
                f"evaluation=ruler needs held-out text, and {subject.name} does not come from a run that says which; "
                "name it, as in data=sotu or data=text data.files='books/*.txt'."
            )

    def run(self, subject: Subject, tools: Tools) -> Result:
        self.check(subject)
        assert subject.heldout is not None
        figures: dict[str, Any] = {}
        tables: list[Table] = []
        facts: dict[str, Any] = {"corpus": subject.heldout.corpus.name}
        if HEADS[str(subject.head)].left_to_right:
            figures |= {f"ruler/{name}": None for name in NAMES} | {"ruler/reason": _CAUSAL}
        else:
            table = self._rows(subject, subject.heldout, tools, figures, facts)
            tables.append(table)
        tables.append(self._words(subject, subject.heldout, tools, figures, facts))
        return Result(figures, tables, facts)

    def _rows(
        self, subject: Subject, heldout: HeldOut, tools: Tools, figures: dict[str, Any], facts: dict[str, Any]
    ) -> Table:
        """The standard ruler and the grid."""
        columns = list(dict.fromkeys(column for unit in self.units.values() for column in unit.columns))
        rows = heldout.rows(subject.tokenizer, columns, tools.cache)
        if rows.length > subject.length:
            raise RecipeError(
                f"evaluation=ruler has rows of {rows.length} tokens, and {subject.name} takes {subject.length}; "
                f"set ruler_length={subject.length}."
            )
        chosen = np.sort(permutation(len(rows), 0, 0)[: heldout.ruler_rows])
        facts |= {"rows": len(chosen), "row_length": rows.length}
        vocabulary = Vocabulary.of(subject.tokenizer, heldout.markers)
        cells: list[tuple[str, str, float, Views]] = [("ruler", "token", 0.15, ruler_views(vocabulary, rows.length))]
        for name, masking in self.units.items():
            masking.bind(subject.tokenizer)
            stream = "ruler" if name == "token" else f"ruler.{name}"
            for rate in self.rates:
                views = fixed_views(masking, rate, vocabulary, rows.length, rows.longest, stream)
                cells.append((f"by/{name}/{rate:g}", name, rate, views))
        shown = []
        with tools.progress("ruler", len(cells) * len(chosen)) as advance:
            for prefix, unit, rate, views in cells:
                found = self._measure(subject, rows, chosen, views, tools, advance)
                figures |= {f"{prefix}/{name}": found.get(name) for name in NAMES}
                if not found:
                    figures[f"{prefix}/reason"] = NOTHING_MASKED
                shown.append(
                    [
                        "ruler" if prefix == "ruler" else "grid",
                        unit,
                        f"{100 * rate:g} %",
                        *(found.get(name) for name in NAMES),
                    ]
                )
        return Table(f"{len(chosen):,} held-out rows of {rows.length} tokens", ("", "unit", "rate", *NAMES), shown)

    @staticmethod
    def _measure(
        subject: Subject, rows: Rows, chosen: np.ndarray, views: Views, tools: Tools, advance: Any
    ) -> Mapping[str, float]:
        stream = next(iter(views.recipes))
        network: Any = subject.network if not hasattr(subject.network, "whole") else _Whole(subject.network)
        tally = Tally(network, stream)
        size = max(1, 4 * tools.batch_positions // rows.length)
        with reading(subject.network), tools.autocast():
            for first in range(0, len(chosen), size):
                part = {name: value.to(tools.device) for name, value in rows.take(chosen[first : first + size]).items()}
                part["visit"] = torch.zeros_like(part["sample"])
                batch = Batch(part, step=0, progress=0.0, purpose="ruler")
                batch.views = views(part, 0.0)
                tally.add(batch)
                advance(len(part["sample"]))
        return tally.result(tally.sums_4)

    def _words(
        self, subject: Subject, heldout: HeldOut, tools: Tools, figures: dict[str, Any], facts: dict[str, Any]
    ) -> Table:
        """Words that are the same for every tokenizer."""
        documents, key = heldout.documents(tools.cache)
        texts = passages(documents, self.words, self.word_rate, self.passages)
        if not texts:
            raise RecipeError(f"evaluation.words is {self.words}, more than any held-out document has; lower it.")
        left = HEADS[str(subject.head)].left_to_right
        name = "causal/bits_per_byte" if left else "ruler/word_bits_per_byte"
        facts["words"] = {"passages": len(texts), "words": self.words, "rate": self.word_rate, "text": key}
        facts["words"]["characters"] = asked_for(subject.tokenizer, [passage.text for passage in texts])
        requests = [Request(n, text, None if left else hidden) for n, (text, hidden) in enumerate(texts)]
        scores = Scorer(subject, tools, "answer_words")(requests, "words")
        if scores.skipped:  # a figure over other passages would not compare
            reason = f"{len(scores.skipped)} of {len(texts)} passages are {next(iter(scores.skipped.values()))}"
            figures |= {name: None, f"{name}/reason": f"{reason}; set evaluation.words lower, for all models alike"}
            return Table("words", ("figure", "value"), [[name, None]])
        unknown = subject.tokenizer.unk_token_id
        unknowns = sum(int((score.ids_T == unknown).sum()) for score in scores.values())
        facts["words"]["unknown_tokens"] = unknowns / sum(score.n for score in scores.values())
        total = -sum(score.sum for score in scores.values()) / math.log(2)
        size = sum(score.bytes for score in scores.values())
        each = over_items([-score.per_byte / math.log(2) for score in scores.values()])
        half = (each.high - each.low) / 2
        low, high = max(0.0, total / size - half), total / size + half
        figures |= {name: total / size, f"{name}/low": low, f"{name}/high": high}
        pieces = sum(score.n for score in scores.values()) / sum(score.words for score in scores.values())
        title = f"{len(texts):,} passages of {self.words} words, {'left to right' if left else 'hidden words'}"
        values = [
            [name, total / size],
            ["tokens per word", pieces],
            ["unknown tokens", facts["words"]["unknown_tokens"]],
        ]
        return Table(title, ("figure", "value"), values)


class _Whole:
    """A model without an adapter as `Tally` wants it: its "hidden states" at the places are logits already."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def encode(
        self, ids_RL: torch.Tensor, valid_RL: torch.Tensor, document_RL: torch.Tensor, *, place_BK: torch.Tensor
    ) -> torch.Tensor:
        return pick(self.network.whole(ids_RL, valid_RL), place_BK)

    def predict(self, logits: torch.Tensor) -> torch.Tensor:
        return logits

    def guessable(self, logits: torch.Tensor) -> torch.Tensor:
        return self.network.guessable(logits)
