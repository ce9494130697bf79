"""The pool of entities: those of one type and as many tokens stand for each other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from maskwright.annotation.entities import EntityPool
from maskwright.annotation.sources import ColumnSpans
from maskwright.annotation.spans import SpanUnits
from maskwright.data import Packing, TrainedTokenizer, prepare
from maskwright.data.tagged import ConllFiles
from maskwright.errors import RecipeError

NAMES = {
    "person": ["Anna Lee", "Bob Ray", "Carl", "Dora May Fox"],
    "place": ["Rome", "Oslo", "New York", "Old Lyme"],
}


@pytest.fixture(scope="module")
def named(tmp_path_factory, addresses):
    folder = tmp_path_factory.mktemp("named")
    words = iter(" ".join(addresses).split())
    rng = np.random.default_rng(0)
    with (folder / "named.txt").open("w", encoding="utf-8") as file:
        for _ in range(400):
            for _ in range(3):
                file.writelines(f"{next(words)} O\n" for _ in range(rng.integers(1, 4)))
                kind = rng.choice(list(NAMES))
                for place, word in enumerate(rng.choice(NAMES[kind]).split()):
                    file.write(f"{word} {'I' if place else 'B'}-{kind}\n")
            file.write("\n")
    unit = SpanUnits("entity", ColumnSpans("tags"), "word")

    def made(pool):
        return prepare(
            ConllFiles(str(folder / "named.txt")),
            TrainedTokenizer("wordpiece", 300),
            Packing("document", 48),
            columns=[unit, pool],
            cache=folder / "cache",
        )

    return unit, made


def test_the_pool_has_every_entity_of_the_training_side(named):
    unit, made = named
    column = EntityPool("entity_pool", unit, 1, 1000)
    prepared = made(column)
    seen: Counter = Counter()
    for document in prepared.source.train:
        for place in document.fields["tags"]:
            seen[document.text[place["start"] : place["end"]].lower(), place["type"]] += 1
    table = column._artefact.table("entries").to_pylist()
    assert {(row["entity"], row["type"]): row["count"] for row in table} == seen
    pool = column.pool
    for row, entry in enumerate(table):
        at = int(column._pooled.row_E[row])
        group = int(pool.group_N[at])
        assert pool.piece_NS[at][: int(pool.pieces_G[group])].tolist() == entry["pieces"]
        assert int(pool.first_G[group]) <= at < int(pool.first_G[group] + pool.size_G[group])
    alike = {(row["type"], len(row["pieces"])) for row in table}
    assert len(pool.size_G) == len(alike) and int(pool.size_G.sum()) == len(table)


def test_tokens_know_their_entity(named):
    unit, made = named
    column = EntityPool("entity_pool", unit, 1, 1000)
    prepared = made(column)
    for number in range(50):
        document = prepared.source.train[number]
        row_T = column.mark(document)
        for start, end in zip(document.start_T.tolist(), document.end_T.tolist()):
            token = int(np.flatnonzero(document.start_T == start)[0])
            inside = any(place["start"] <= start and end <= place["end"] for place in document.fields["tags"])
            assert (row_T[token] >= 0) == inside


def test_rare_entities_stay_out(named):
    unit, made = named
    column = EntityPool("entity_pool", unit, 1, 3)
    made(column)
    assert len(column.pool.group_N) == 3
    counts = column._artefact.table("entries").column("count").to_pylist()
    assert counts == sorted(counts, reverse=True)
    with pytest.raises(RecipeError, match=r"^the training documents hold no entity that occurs 100000 times"):
        made(EntityPool("entity_pool", unit, 100_000, 3))
    with pytest.raises(RecipeError, match=r"^most of the entity_pool is 1; it is a whole number from 2 up"):
        EntityPool("entity_pool", unit, 1, 1)


def test_entities_are_exchanged_for_their_like(named):
    """Every masked entity becomes another one of its type and size; nothing else changes; all choices are equally
    likely."""
    from maskwright.masking import Masking, Outcome, ViewRecipe, Views, Vocabulary
    from maskwright.masking.budgets import Independent
    from maskwright.masking.corruptions import Corruption, Exchange
    from maskwright.masking.rates import Constant
    from maskwright.masking.units import Marked

    unit, made = named
    column = EntityPool("entity_pool", unit, 1, 1000)
    prepared = made(column)
    recipe = ViewRecipe(
        "main",
        Masking(Marked(unit), Independent(0)),
        Constant(0.9),
        Corruption([Exchange(1.0, column, "unit")], "unit"),
    )
    recipe.bind(prepared.tokenizer)
    views = Views([recipe], Vocabulary.of(prepared.tokenizer, ()), 0, 48, prepared.train.longest)
    rows = prepared.train.take(np.arange(len(prepared.train)))
    rows["visit"] = torch.zeros_like(rows["sample"])
    view = views(rows, 0.0)["main"]
    replaced = view.outcome_BL == Outcome.REPLACED
    assert not (replaced & (rows["entity_pool"] < 0)).any() and replaced.sum() > 1000
    assert torch.equal(view.ids_BM[~replaced], rows["ids"][~replaced])
    pool = column.pool
    where = {
        (int(pool.group_N[row]), tuple(pool.piece_NS[row][: int(pool.pieces_G[pool.group_N[row]])].tolist())): row
        for row in range(len(pool.group_N))
    }
    chosen: Counter = Counter()
    for row, begin in (replaced & rows["entity"]).nonzero().tolist():
        own = int(rows["entity_pool"][row, begin])
        group = int(pool.group_N[own])
        size = int(pool.pieces_G[group])
        new = where[group, tuple(view.ids_BM[row, begin : begin + size].tolist())]  # an entity of the same group
        assert new != own
        chosen[own, new] += 1
    for own in {one for one, _ in chosen}:
        others = [chosen[own, new] for new in range(len(pool.group_N)) if (own, new) in chosen]
        if len(others) > 1:
            mean = sum(others) / len(others)
            assert sum((count - mean) ** 2 / mean for count in others) < 25
