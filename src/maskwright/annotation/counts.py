"""How often each word occurs, and in how many documents."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pyarrow as pa

from maskwright.annotation.artefact import artefact
from maskwright.annotation.passes import over_documents
from maskwright.annotation.tally import Tally
from maskwright.data.document import Side, Source

_VERSION = 1


def word_counts(source: Source, lowercase: bool = True) -> pa.Table:
    """The words of the training side: columns word (string), count and documents (int64), the most frequent first and
    equals by the alphabet; punctuation marks are words too (see `maskwright.data.words`).

    lowercase: `The` and `the` are one word, `the`. Counted once per corpus and kept as an artefact. Memory is that of a
    few runs of documents and the table itself.
    """
    settings = {"version": _VERSION, "lowercase": lowercase}
    found = artefact(source, "word_counts", settings, partial(_counted, lowercase=lowercase))
    return found.table("words")


def _counted(source: Source, lowercase: bool) -> dict[str, pa.Table]:
    with Tally(source.cache, "string", ("count", "documents"), source.processes) as tally:
        work = partial(_count, lowercase=lowercase)
        for words, counts, documents in over_documents(source.train, work, "count words", source.processes):
            tally.add(pa.array(words, pa.string()), counts, documents)
        table = tally.sums().rename_columns(["word", "count", "documents"])
    return {"words": table.sort_by([("count", "descending"), ("word", "ascending")])}


def _count(side: Side, first: int, last: int, lowercase: bool) -> tuple[list[str], list[int], list[int]]:
    """The words of documents first..last - 1, their counts, and the documents that have them."""
    total: Counter[str] = Counter()
    documents: Counter[str] = Counter()
    for number in range(first, last):
        found = Counter(side[number].words)
        found.pop("", None)  # white space that no word follows
        if lowercase:
            written, found = found, Counter()
            for word, count in written.items():
                found[word.lower()] += count
        total.update(found)
        documents.update(found.keys())
    return list(total), list(total.values()), [documents[word] for word in total]
