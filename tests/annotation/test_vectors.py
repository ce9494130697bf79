"""Word vectors against the closed form and another library, and neighbours against all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.annotation.vectors import file_vectors, nearest, normalised, pmi_vectors, ppmi
from maskwright.errors import RecipeError


def counts(words, contexts, seed=0):
    chance = np.random.default_rng(seed)
    return chance.poisson(chance.gamma(0.3, 3.0, (words, contexts))).astype(np.uint32)


def test_ppmi_equals_its_definition(monkeypatch):
    monkeypatch.setattr("maskwright.annotation.vectors._BLOCK", 7)
    counts_VC = counts(40, 30)
    found = ppmi(counts_VC).toarray()
    total = counts_VC.sum()
    smoothed = counts_VC.sum(0) ** 0.75 / (counts_VC.sum(0) ** 0.75).sum()
    for word in range(40):
        for context in range(30):
            joint = counts_VC[word, context] / total
            value = np.log(joint / (counts_VC[word].sum() / total * smoothed[context])) if joint else 0
            assert found[word, context] == pytest.approx(max(value, 0), abs=1e-5)


def test_vectors_are_those_of_the_exact_decomposition():
    chance = np.random.default_rng(2)
    topics = chance.gamma(0.1, 9.0, (60, 5)) @ chance.gamma(0.1, 9.0, (5, 40))
    counts_VC = chance.poisson(topics + 0.1).astype(np.uint32)
    found = pmi_vectors(counts_VC, 5)
    left, value, _ = np.linalg.svd(ppmi(counts_VC).toarray())
    exact = normalised(left[:, :5] * np.sqrt(value[:5]))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert found @ found.T == pytest.approx(exact @ exact.T, abs=0.02)  # signs are free, cosines are not
    assert (pmi_vectors(counts_VC, 5) == found).all()
    assert pmi_vectors(counts_VC, 500).shape == (60, 40)


def test_words_in_the_same_places_are_near_each_other():
    counts_VC = counts(50, 40)
    counts_VC[7] = 3 * counts_VC[11]
    near = nearest(pmi_vectors(counts_VC, 20), np.zeros(50, np.int64), 1, -1)
    assert near[7][0][0] == 11 and near[11][0][0] == 7


@pytest.mark.parametrize("block", [5, 1024])
def test_neighbours_equal_all_pairs(block, monkeypatch):
    monkeypatch.setattr("maskwright.annotation.vectors._BLOCK", block)
    chance = np.random.default_rng(1)
    vector_VD = normalised(chance.normal(size=(60, 6)).astype(np.float32))
    vector_VD[4] = 0
    kind_V = chance.integers(-1, 3, 60)
    found = nearest(vector_VD, kind_V, 4, 0.2)
    for word in range(60):
        cosine = {
            other: float(vector_VD[word] @ vector_VD[other])
            for other in range(60)
            if other != word and kind_V[other] == kind_V[word] >= 0 and 4 not in (word, other)
        }
        best = sorted((value, other) for other, value in cosine.items() if value >= 0.2)[::-1][:4]
        assert [other for other, _ in found[word]] == [other for _, other in best]
        assert [value for _, value in found[word]] == pytest.approx([value for value, _ in best], abs=1e-4)


@pytest.mark.parametrize("head", ["", "4 3\n"])
def test_a_file_of_vectors(head, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text(head + "the 1 0 0\nCat 0 3 4\ncat 9 9 9\nunknown 1 1 1 \n")
    found = file_vectors(str(file), {"cat": 0, "dog": 1, "the": 2}, "vectors")
    assert found.tolist() == pytest.approx(np.array([[0, 0.6, 0.8], [0, 0, 0], [1, 0, 0]]))


def test_files_that_hold_no_vectors_are_refused(tmp_path):
    file = tmp_path / "vectors.txt"
    with pytest.raises(RecipeError, match=r"^vectors=.* cannot be read \(No such file or directory\); name a file of"):
        file_vectors(str(file), {"cat": 0}, "vectors")
    file.write_text("cat 1 2 3\nthe 1 2\n")
    with pytest.raises(RecipeError, match="line 2 is not a word and as many numbers as other lines have"):
        file_vectors(str(file), {"cat": 0, "the": 1}, "vectors")
    with pytest.raises(RecipeError, match="has a vector for none of the corpus' words"):
        file_vectors(str(file), {"dog": 0}, "vectors")
