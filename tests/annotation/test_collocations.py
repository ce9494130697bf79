"""Units by collocations equal those of a slow reference, and the draw among overlaps is fair and frozen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from maskwright.annotation.collocations import Collocations, Entries, _noise, settled
from maskwright.annotation.lexicon import Lexicon, Matches
from maskwright.annotation.scorers import PMI
from maskwright.data.document import Document
from maskwright.errors import RecipeError
from maskwright.masking import Masking
from maskwright.masking.budgets import Counted
from maskwright.masking.rates import Constant
from maskwright.masking.units import Marked


def collocations(overlaps="random", entries=400):
    lexicon = Lexicon(PMI(False), 5, 3, entries, [0.4, 0.3, 0.2, 0.1], 1.0, True, False, None)
    return Collocations("collocation", lexicon, overlaps)


def reference(found, noise, overlaps):
    """One match after the other: those within others go (random), then the first to be drawn or the longest first."""
    matches = list(zip(found.start_M.tolist(), found.length_M.tolist(), noise.tolist()))
    if overlaps == "random":

        def within(a, b):
            return a != b and b[0] <= a[0] and a[0] + a[1] <= b[0] + b[1]

        matches = [a for a in matches if not any(within(a, b) for b in matches)]
        matches.sort(key=lambda match: -match[2])
    else:
        matches.sort(key=lambda match: (-match[1], -match[2]))
    taken = []
    for start, length, _ in matches:
        if all(start + length <= s or s + n <= start for s, n in taken):
            taken.append((start, length))
    return sorted(taken)


@pytest.mark.parametrize("overlaps", ["random", "longest"])
def test_units_equal_a_slow_reference(source, overlaps):
    made = collocations(overlaps)
    made.fit(source)
    number = 0
    for document in itertools.islice(source.train, 8):
        found = made.lexicon.find(document)
        units = made.units(document)
        expected = reference(found, _noise(document, found), overlaps)
        assert list(zip(units.start_M.tolist(), units.length_M.tolist())) == expected
        number += len(expected)
    assert number > 200


@pytest.mark.parametrize("overlaps", ["random", "longest"])
def test_dense_overlaps_equal_the_reference(overlaps):
    """Any matches at all, also on texts that are one long repetition."""
    generator = np.random.default_rng(0)
    for trial in range(60):
        words, density = int(generator.integers(2, 60)), generator.random()
        pairs = [(s, n) for s in range(words) for n in range(2, 6) if s + n <= words and generator.random() < density]
        start, length = (np.array(column, np.int64) for column in (zip(*pairs) if pairs else ((), ())))
        found = Matches(start, length, np.arange(len(start)))
        document = Document(f"text {trial}", *(np.zeros(0),) * 4, {})
        units = settled(found, document, overlaps)
        assert list(zip(units.start_M.tolist(), units.length_M.tolist())) == reference(
            found, _noise(document, found), overlaps
        )


def test_a_long_repetition_is_settled_quickly():
    start = np.arange(300_000)
    found = Matches(start, np.full(len(start), 2), start)
    for overlaps in ("random", "longest"):
        units = settled(found, Document("ha ha", *(np.zeros(0),) * 4, {}), overlaps)
        assert (np.diff(units.start_M) >= 2).all()
        assert (np.diff(units.start_M) <= 3).all()  # at most one word is left between two


def test_partial_overlaps_are_drawn_evenly_and_by_text():
    """`by the way` and `the way out` in `by the way out`, in 2,000 texts."""
    found = Matches(np.array([0, 1]), np.array([3, 3]), np.array([0, 1]))
    texts = [Document(f"by the way out {number}", *(np.zeros(0),) * 4, {}) for number in range(2000)]
    first = [settled(found, text, "random").start_M.tolist() for text in texts]
    assert abs(first.count([0]) - 1000) < 5 * np.sqrt(500)
    assert first.count([0]) + first.count([1]) == 2000
    assert first == [settled(found, text, "random").start_M.tolist() for text in reversed(texts)][::-1]


@pytest.mark.parametrize(("kind", "vocabulary"), [("wordpiece", 300), ("bpe", 400), ("unigram", 400)])
def test_columns_say_units_and_entries(source_of, addresses, kind, vocabulary):
    source = source_of(addresses, kind=kind, vocabulary=vocabulary)
    made = collocations()
    entries = Entries(collocations())
    for annotator in (made, entries):
        annotator.fit(source)
    known = [tuple(words) for words in entries.lexicon.table["words"].to_pylist()]
    inside = 0
    for document in source.train:
        begins, entry = made.mark(document), entries.mark(document)
        assert begins.dtype == np.bool_ and entry.dtype == np.int32
        assert not (begins & ~document.begins_T).any()
        units = np.split(np.arange(len(document)), np.flatnonzero(begins)[1:])
        for unit in units:
            (row,) = set(entry[unit].tolist())
            words = tuple(document.words[number].lower() for number in sorted(set(document.word_T[unit].tolist())))
            if row >= 0:
                assert words == known[row]
                inside += 1
            else:
                assert len(words) == 1
    assert inside > 500


def test_masked_units_share_a_fate(prepared_of, addresses, masked):
    """masking=pmi hides collocations whole, in real rows, at the rate asked for."""
    column = collocations()
    prepared = prepared_of(addresses[:12], columns=[column])
    budget = Counted(of="token", rounding="random", overshoot="random", at_least=0, at_most=None)
    rows, view = masked(prepared, Masking(Marked(column), budget), Constant(0.3), visits=4)
    hidden, maskable = view.outcome_BL > 0, view.maskable_BL
    inside = ~rows["collocation"][:, 1:] & maskable[:, 1:] & maskable[:, :-1]
    words_joined = inside & rows["word"][:, 1:]
    assert words_joined.sum() > 500
    assert (hidden[:, 1:] == hidden[:, :-1])[inside].all()
    share = hidden.sum(1) / maskable.sum(1)
    assert abs(share.mean() - 0.3) < 4 * share.std() / len(share) ** 0.5


def test_an_unknown_overlap_is_refused():
    with pytest.raises(RecipeError, match="overlaps is left; choose one of random, longest"):
        collocations("left")
