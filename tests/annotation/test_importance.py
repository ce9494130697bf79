"""Importance equals a plain loop; as a weight it keeps the budget, and hides more often what scores higher."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, chisquare, spearmanr

from maskwright.annotation import cooccurrence, importance
from maskwright.annotation.cooccurrence import Information, pairs
from maskwright.annotation.importance import PMIImportance
from maskwright.masking import Masking
from maskwright.masking.budgets import Counted
from maskwright.masking.rates import Constant
from maskwright.masking.units import Token
from maskwright.masking.weights import Scores

BUDGET = Counted(of="token", rounding="nearest", overshoot="cut", at_least=0, at_most=None)


@pytest.mark.parametrize(("dense", "portion"), [(True, 4096), (False, 4096), (True, 7), (False, 7)])
def test_scores_equal_a_plain_loop(source, dense, portion, monkeypatch):
    if not dense:
        monkeypatch.setattr(cooccurrence, "_DENSE", 0)
    monkeypatch.setattr(importance, "_PORTION", portion)
    annotator = PMIImportance(5, 3, 0.1)
    annotator.fit(source)
    table = Information(pairs(source, 5, 3), 0.1, positive=True)
    for number in (0, 3):
        document = source.train[number]
        id_T, whole = table.near(document.id_T.astype(np.int64), 10**9)
        expected = []
        for place in range(len(id_T)):
            around = [other for other in range(max(place - 5, 0), min(place + 6, len(id_T))) if other != place]
            expected.append(np.mean([whole[id_T[place], id_T[other]] for other in around]))
        found = annotator.mark(document)
        assert found.dtype == np.float32
        assert found == pytest.approx(np.array(expected), abs=1e-4)
        assert found.max() > 0.5 > found.min()


def test_short_documents(source):
    annotator = PMIImportance(5, 3, 0.0)
    annotator.fit(source)
    document = source.train[0]
    for tokens in (0, 1, 2):
        document.id_T = document.id_T[:tokens] if tokens == 0 else source.train[0].id_T[:tokens]
        found = annotator.mark(document)
        assert len(found) == tokens
        assert tokens > 1 or not found.any()


@pytest.fixture(scope="module")
def rows(prepared_of, addresses):
    column = PMIImportance(5, 3, 0.0)
    return column, prepared_of(addresses[:4], columns=[column])


def test_the_higher_the_score_the_more_often_it_is_hidden(rows, masked):
    column, prepared = rows
    weight = Scores(column, temperature=1.0, floor=0.01)
    batch, view = masked(prepared, Masking(Token(), BUDGET, weight), Constant(0.3), visits=300)
    hidden = (view.outcome_BL > 0).view(300, -1, view.outcome_BL.shape[1]).double().mean(0)
    maskable = view.maskable_BL[: len(hidden)]
    full = maskable.sum(1) > 50
    score = batch["pmi_importance"][: len(hidden)]
    for row in full.nonzero()[:10, 0].tolist():
        s, share = score[row][maskable[row]].double(), hidden[row][maskable[row]]
        assert spearmanr(s, share).statistic > 0.9
        fifths = [part.mean().item() for part in share[s.argsort()].tensor_split(5)]
        assert fifths == sorted(fifths)
        assert fifths[-1] > 2 * fifths[0]


def test_every_weighting_has_the_same_budget(rows, masked):
    column, prepared = rows
    counts = []
    for weight in (None, Scores(column, 0.0, 0.01), Scores(column, 1.0, 0.01), Scores(column, 3.0, 0.01)):
        _, view = masked(prepared, Masking(Token(), BUDGET, weight), Constant(0.3), visits=3)
        counts.append((view.outcome_BL > 0).sum(1))
    assert all((count == counts[0]).all() for count in counts)
    assert counts[0].sum() > 0


def test_equal_weights_hide_all_alike(rows, masked):
    """Temperature 0 makes all weights equal: every place of a row is hidden as often as any other, by chi-square."""
    column, prepared = rows
    weight = Scores(column, temperature=0.0, floor=0.01)
    visits = 300
    _, view = masked(prepared, Masking(Token(), BUDGET, weight), Constant(0.3), visits=visits)
    hidden = (view.outcome_BL > 0).view(visits, -1, view.outcome_BL.shape[1]).sum(0)
    statistic, freedom = 0.0, 0
    for row in (view.maskable_BL[: len(hidden)].sum(1) > 50).nonzero()[:20, 0].tolist():
        count = hidden[row][view.maskable_BL[row]].double()
        n, share = len(count), float(count.mean()) / visits
        # Draws without replacement vary less than a multinomial's: its statistic is (1 - share) n / (n - 1) chi-square.
        statistic += chisquare(count).statistic / (1 - share) * (n - 1) / n
        freedom += n - 1
    assert freedom > 500
    assert 1e-4 < chi2.sf(statistic, freedom) < 1 - 1e-4
