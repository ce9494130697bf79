"""Term weights equal a plain loop; as a weight they keep the budget and follow the law of sampling without
replacement."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from maskwright.annotation.terms import TermWeights, idf
from maskwright.errors import RecipeError
from maskwright.masking import Masking, Outcome
from maskwright.masking.budgets import Counted, Independent
from maskwright.masking.rates import Constant
from maskwright.masking.units import Word
from maskwright.masking.weights import Scores

WHOLE = Counted(of="token", rounding="random", overshoot="random", at_least=0, at_most=None)


def expected(documents, document, k, passage):
    """By the definition: the weight of each word of a document."""

    def cut(words):
        size = passage or max(len(words), 1)
        return [words[begin : begin + size] for begin in range(0, len(words), size)]

    collection = [set(part) for other in documents for part in cut([word.lower() for word in other.words])]
    weights = []
    for part in cut([word.lower() for word in document.words]):
        for word in part:
            df, tf = sum(word in other for other in collection), part.count(word)
            value = math.log(1 + (len(collection) - df + 0.5) / (df + 0.5)) if word else 0.0
            weights.append(tf * (k + 1) / (tf + k) * value)
    return weights


@pytest.mark.parametrize(("k", "passage"), [(1.2, 20), (1.2, None), (0.0, 7), (5.0, 1)])
def test_weights_equal_a_plain_loop(k, passage, source_of, addresses):
    source = source_of([text[:1500] for text in addresses[:10]], vocabulary=400)
    column = TermWeights(k, passage, None)
    column.fit(source)
    documents = list(source.train)
    for document in documents[:3]:
        found_T = column.mark(document)
        assert found_T.dtype == np.float32
        weights = expected(documents, document, k, passage)
        assert found_T == pytest.approx(np.array(weights)[document.word_T], rel=1e-5)


def test_a_word_that_training_never_showed_weighs_most(source, document_of):
    column = TermWeights(0.0, 128, None)
    column.fit(source)
    document = document_of("the zyzzyva of the")
    scores = dict(zip(document.words, column.mark(document)[np.flatnonzero(document.begins_T)].tolist()))
    passages = column._artefact.table("collection").column("passages")[0].as_py()
    assert scores["zyzzyva"] == pytest.approx(math.log(1 + (passages + 0.5) / 0.5), rel=1e-6)
    assert scores["zyzzyva"] > 10 * scores["of"] > 0


def test_idf_never_falls_to_0():
    assert (idf(np.arange(11), 10) > 0).all() and (np.diff(idf(np.arange(11), 10)) < 0).all()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("table") / "weights.jsonl"
    rows = [{"word": "Congress", "weight": 4}, {"word": "the", "weight": 0.5}]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_weights_of_the_users_table(table, document_of):
    column = TermWeights(0.0, None, str(table))
    document = document_of("The congress of the people, the CONGRESS")
    scores = column.mark(document)[np.flatnonzero(document.begins_T)]
    assert scores.tolist() == [0.5, 4, 0, 0.5, 0, 0, 0.5, 4]
    saturated = TermWeights(1.0, None, str(table)).mark(document)[0]
    assert saturated == pytest.approx(0.5 * 3 * 2 / (3 + 1))
    changed = table.with_name("other.jsonl")
    changed.write_text('{"word": "the", "weight": 1}')
    assert TermWeights(0.0, None, str(changed)).settings() != column.settings()


def test_an_artefact_is_a_table_too(source, tmp_path):
    learned = TermWeights(1.2, 50, None)
    learned.fit(source)
    given = TermWeights(1.2, 50, str(learned._artefact.folder / "words.parquet"))
    document = source.train[0]
    assert (given.mark(document) == learned.mark(document)).all()


@pytest.fixture(scope="module")
def rows(prepared_of, addresses):
    column = TermWeights(1.2, 128, None)
    return column, prepared_of(addresses[:6], vocabulary=700, columns=[column])


@pytest.mark.parametrize("budget", [WHOLE, Independent(0)], ids=["whole", "expected"])
@pytest.mark.parametrize(("temperature", "floor"), [(1.0, 1e-3), (3.0, 1e-3), (0.0, 1e-3), (1.0, 100.0)])
def test_the_masked_share_is_the_rate_for_any_weights(budget, temperature, floor, rows, masked):
    column, prepared = rows
    weight = Scores(column, temperature, floor)
    _, view = masked(prepared, Masking(Word(), budget, weight), Constant(0.15), visits=40)
    share_B = (view.outcome_BL > 0).sum(1) / view.maskable_BL.sum(1)
    full = view.maskable_BL.sum(1) > 50
    share_V = share_B.view(40, -1)[:, full.view(40, -1)[0]].double().mean(1)  # by visit: visits are independent
    error = share_V.std().item() / math.sqrt(40)
    # Independent words have the weight of the word at every piece, which the deadline counts by piece
    assert abs(share_V.mean().item() - 0.15) < 4 * error + 1e-4
    assert error < 0.002


def test_a_common_factor_changes_nothing(rows, masked):
    column, prepared = rows
    batch, _ = masked(prepared, Masking(Word(), WHOLE, None), Constant(0.15))

    class Scaled(Scores):
        def __call__(self, field):
            return 10 * super().__call__(field)

    for budget in (WHOLE, Independent(0)):
        one, ten = (
            masked(prepared, Masking(Word(), budget, kind(column, 1.0, 1e-3)), Constant(0.15), visits=5)[1]
            for kind in (Scores, Scaled)
        )
        assert torch.equal(one.outcome_BL, ten.outcome_BL)
    assert batch["term_weight"].dtype == torch.float32


def test_heavy_words_are_masked_more_and_temperature_0_is_uniform(rows, masked):
    column, prepared = rows
    batch, view = masked(prepared, Masking(Word(), WHOLE, Scores(column, 1.0, 1e-3)), Constant(0.15), visits=20)
    idf_BL, hidden_BL = batch["term_weight"], view.outcome_BL > 0
    assert idf_BL[hidden_BL].mean() > 1.3 * idf_BL[view.maskable_BL].mean()
    assert not (hidden_BL & ~view.maskable_BL).any()
    _, plain = masked(prepared, Masking(Word(), WHOLE, None), Constant(0.15), visits=20)
    _, cold = masked(prepared, Masking(Word(), WHOLE, Scores(column, 0.0, 1e-3)), Constant(0.15), visits=20)
    assert torch.equal(cold.outcome_BL, plain.outcome_BL)


def test_words_are_drawn_as_by_exact_weighted_sampling_without_replacement(tmp_path, prepared_of, addresses, masked):
    """Three of five words, some of several tokens: the frequency of each set against enumeration of all orders."""
    weights = {"congress": 4.0, "the": 0.5, "war": 2.0, "people": 1.0, "constitution": 3.0}
    file = tmp_path / "weights.csv"
    file.write_text("word,weight\n" + "\n".join(f"{word},{weight}" for word, weight in weights.items()))
    column = TermWeights(0.0, None, str(file))
    prepared = prepared_of(
        [" ".join(weights), *(text[:400] for text in addresses[:5])], vocabulary=150, columns=[column]
    )
    words = Counter(len(document.words) for document in prepared.source.train)
    assert words[5] == 1  # the text of the five words is on the training side
    by_unit = Counted(of="unit", rounding="nearest", overshoot="cut", at_least=0, at_most=None)
    batch, view = masked(prepared, Masking(Word(), by_unit, Scores(column, 1.0, 1e-3)), Constant(0.6), visits=8000)
    own = (batch["word"] & view.maskable_BL).sum(1) == 5
    hidden, starts = (view.outcome_BL > 0)[own], (batch["word"] & view.maskable_BL)[own]
    assert (starts.sum(1) == 5).all() and view.maskable_BL[own].sum(1)[0] > 8  # pieces
    chosen_N5 = hidden[starts].view(-1, 5)
    seen = Counter(tuple(row.nonzero()[:, 0].tolist()) for row in chosen_N5)
    value, total = list(weights.values()), sum(weights.values())
    chance = dict.fromkeys(combinations(range(5), 3), 0.0)
    for order in permutations(range(5), 3):
        left, probability = total, 1.0
        for word in order:
            probability *= value[word] / left
            left -= value[word]
        chance[tuple(sorted(order))] += probability
    assert set(seen) <= set(chance)
    counts = np.array([[seen[chosen], number * len(chosen_N5)] for chosen, number in chance.items()])
    assert chisquare(counts[:, 0], counts[:, 1]).pvalue > 1e-3
    assert Outcome.MASKED in view.outcome_BL


def test_what_is_wrong_is_said_with_the_cure(tmp_path):
    with pytest.raises(RecipeError, match="^k of the term weights is -1; it is a number from 0 up"):
        TermWeights(-1, None, None)
    with pytest.raises(
        RecipeError, match="^passage of the term weights is 0; it is a number of words from 1 up, or null"
    ):
        TermWeights(1.2, 0, None)
    file = tmp_path / "weights.csv"
    file.write_text("word,weight\nthe,-1\n")
    with pytest.raises(RecipeError, match="has a weight outside 0..infinity; give numbers from 0 up"):
        TermWeights(1.2, None, str(file))._weights  # noqa: B018
    file.write_text("word,weight\nthe,much\n")
    with pytest.raises(RecipeError, match="has a weight that is no number; give numbers from 0 up"):
        TermWeights(1.2, None, str(file))._weights  # noqa: B018
