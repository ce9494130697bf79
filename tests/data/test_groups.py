"""Groups of documents: rows of their own, presented in the proportion asked for, chosen by value."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskwright.data import Packing, SampleOrder, Sotu, TextFiles, TrainedTokenizer, prepare
from maskwright.data.order import balanced_visits, plain_visits
from maskwright.errors import RecipeError

SIZES = [3, 40, 0, 11, 200]
TOTAL = sum(SIZES)
EDGES = np.cumsum(SIZES)


def stream(visits, many):
    shown = [visits(visit) for visit in range(many)]
    return np.concatenate([part.sample_N for part in shown]), np.concatenate([part.visit_N for part in shown])


def counts_by_visit(alpha, many):
    visits = balanced_visits(SIZES, alpha, 0)
    return np.array(
        [np.bincount(np.searchsorted(EDGES, visits(v).sample_N, side="right"), minlength=5) for v in range(many)]
    )


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.0])
def test_each_visit_takes_its_share_of_every_group(alpha):
    size_G = np.array(SIZES, dtype=float)
    share_G = np.where(size_G > 0, (size_G / TOTAL) ** alpha, 0)
    share_G /= share_G.sum()
    counts_VG = counts_by_visit(alpha, 400)
    assert (counts_VG.sum(1) == TOTAL).all()
    assert (counts_VG[:, 2] == 0).all()
    assert (np.abs(counts_VG - share_G * TOTAL) < 1 + 1e-9).all()  # rounded by chance, never further off than one
    exact = share_G * TOTAL
    spread = np.sqrt((exact % 1) * (1 - exact % 1) / 400)  # of a mean of rounded numbers
    assert (np.abs(counts_VG.mean(0) - exact) <= 5 * spread + 1e-9).all()


def test_one_is_by_size_and_zero_is_alike():
    assert (counts_by_visit(1.0, 50) == SIZES).all()
    alike_VG = counts_by_visit(0.0, 50)
    assert set(np.unique(alike_VG[:, [0, 1, 3, 4]])) <= {TOTAL // 4, TOTAL // 4 + 1}


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_group_goes_through_all_its_samples_before_any_again(alpha):
    """Its stream is a permutation after the other, and the visit that comes with a sample counts them."""
    sample, visit = stream(balanced_visits(SIZES, alpha, 7), 60)
    group = np.searchsorted(EDGES, sample, side="right")
    for number, size in enumerate(SIZES):
        own, times = sample[group == number], visit[group == number]
        seen = np.bincount(own, minlength=TOTAL)[EDGES[number] - size : EDGES[number]]
        assert seen.size == 0 or seen.max() - seen.min() <= 1
        pairs = list(zip(own.tolist(), times.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)  # so no sample gets the same mask twice
        assert sorted(times.tolist()) == sorted(np.arange(len(own)) // max(size, 1))


def test_batches_ranks_and_restarts_only_cut_the_stream():
    visits = balanced_visits(SIZES, 0.3, 5)

    def order(rows, steps, **options):
        return list(SampleOrder(TOTAL, rows, steps, 5, visits=visits, **options))

    whole = np.concatenate([part.sample for part in order(1, 2 * 7 * 60)])
    times = np.concatenate([part.visit for part in order(1, 2 * 7 * 60)])
    for rows in (7, 60):
        parts = order(rows, len(whole) // rows)
        np.testing.assert_array_equal(np.concatenate([part.sample for part in parts]), whole)
        np.testing.assert_array_equal(np.concatenate([part.visit for part in parts]), times)
    ranks = [order(12, 60, rank=rank, ranks=3) for rank in range(3)]
    for step, part in enumerate(order(12, 60)):
        for rank in range(3):
            np.testing.assert_array_equal(ranks[rank][step].sample, part.sample[rank::3])
    late = order(12, 60, first_step=41)
    assert [part.sample.tolist() for part in late] == [part.sample.tolist() for part in order(12, 60)[41:]]
    other = stream(balanced_visits(SIZES, 0.3, 6), 2)[0]
    assert not np.array_equal(other, whole[: len(other)])


def test_samples_of_groups_are_mixed_in_a_visit():
    """As mixed as without balance: the mean place of a group is the middle."""
    visits, plain = balanced_visits(SIZES, 1.0, 3), plain_visits(TOTAL, 3)
    for shown in (visits, plain):
        place = np.concatenate([np.flatnonzero(shown(v).sample_N >= EDGES[3]) for v in range(100)])
        assert abs(place.mean() - (TOTAL - 1) / 2) < 5 * TOTAL / np.sqrt(12 * len(place))


@pytest.fixture(scope="module")
def languages(tmp_path_factory):
    """60 documents in three alphabets; the languages' shares are 1/6, 1/3 and 1/2."""
    letters = {"aa": "abcde", "bb": "klmno", "cc": "uvwxy"}
    draw = np.random.default_rng(1)
    rows = []
    for number in range(60):
        lang = ("aa", "bb", "bb", "cc", "cc", "cc")[number % 6]
        words = ["".join(draw.choice(list(letters[lang]), 4)) for _ in range(int(draw.integers(10, 60)))]
        rows.append({"text": " ".join(words), "lang": lang, "year": 1900 + number % 2})
    path = tmp_path_factory.mktemp("languages") / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def made(languages, cache, kind="segment", **options):
    corpus = TextFiles(str(languages), heldout=0.2, **options)
    return prepare(corpus, TrainedTokenizer(vocabulary=64, min_frequency=1), Packing(kind, 32), 32, cache=cache)


@pytest.mark.parametrize("kind", ["concatenate", "segment", "document"])
def test_no_row_mixes_groups_and_no_token_is_lost(languages, tmp_path, kind):
    prepared = made(languages, tmp_path, kind, group="lang")
    assert prepared.groups == ["aa", "bb", "cc"]
    alone = {}
    for name, letters in {"aa": set("abcde"), "bb": set("klmno"), "cc": set("uvwxy")}.items():
        alone[prepared.groups.index(name)] = letters
    for rows, side in ((prepared.train, "train"), (prepared.heldout, "heldout")):
        batch = rows.take(np.arange(len(rows)))
        assert np.bincount(batch["group"].numpy(), minlength=3).tolist() == rows.group_rows
        real = 0
        for ids, group in zip(batch["ids"], batch["group"].tolist(), strict=True):
            tokens = [t for t in prepared.tokenizer.convert_ids_to_tokens(ids.tolist()) if not t.startswith("[")]
            assert set("".join(tokens).replace("#", "")) <= alone[group]
            real += len(tokens)
        assert real == prepared.report["tokens"][side]


def test_groups_without_documents_on_one_side(tmp_path):
    words = "".join(chr(97 + n) for n in range(26))
    rows = [{"text": f"some {words[n:]} {words[:n]} words", "lang": "rare" if n == 0 else "often"} for n in range(12)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    prepared = made(path, tmp_path, "document", group="lang")
    assert prepared.groups == ["often", "rare"]
    sides = [prepared.train.group_rows, prepared.heldout.group_rows]
    assert [side[1] for side in sides] in ([1, 0], [0, 1])


def test_keep_chooses_documents_and_leaves_the_split_as_it_was(languages, tmp_path):
    whole = made(languages, tmp_path, "document", columns=["lang", "year"])
    part = made(languages, tmp_path, "document", keep={"lang": ["aa", "cc"], "year": 1901}, columns=["lang", "year"])

    def ids(prepared, side):
        from datasets import Dataset

        reports = [path for path in (tmp_path / "texts").glob("*/report.json")
                   if json.loads(path.read_text())["documents"] == prepared.report["documents"]]  # fmt: skip
        return Dataset.from_file(str(reports[0].parent / f"{side}.arrow")).to_list()

    for side in ("train", "heldout"):
        wanted = [row for row in ids(whole, side) if row["lang"] in ("aa", "cc") and row["year"] == 1901]
        assert ids(part, side) == wanted
    assert whole.fingerprints["corpus"] != part.fingerprints["corpus"]


def test_keep_needs_no_masking_and_finds_its_columns():
    corpus = Sotu(keep={"year": [1790, "1791"]})
    assert corpus.columns == ["year"]
    assert corpus.keep == {"year": ["1790", "1791"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": {"lang": ["dd"]}}, "data.keep: no document has lang=dd; they have aa, bb, cc."),
        ({"keep": {"lang": []}}, "data.keep.lang names no value; list some, as in 'data.keep={lang: [a,b]}'."),
        ({"keep": {"town": "x"}}, "data.columns, data.group or data.keep names 'town', but the columns are text, "),
        ({"keep": {"lang": "aa", "year": 1901}}, "data.keep: no document has all of lang, year as asked for; ask for"),
        ({"group": "town"}, "data.columns, data.group or data.keep names 'town', but the columns are text, "),
        ({"balance": 0.3}, "data.balance needs groups to balance; name their column, as in data.group=lang."),
        ({"balance": 1.3, "group": "lang"}, "data.balance is 1.3; it lies between 0 (groups alike) and 1"),
    ],
)
def test_refusals(languages, tmp_path, options, message):
    with pytest.raises(RecipeError) as caught:
        made(languages, tmp_path, **options)
    assert str(caught.value).startswith(message)
