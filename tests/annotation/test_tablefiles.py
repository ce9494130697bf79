"""Tables of the user's: the same whatever the kind of file, and refused in one sentence."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from maskwright.annotation.tablefiles import TableFile
from maskwright.errors import RecipeError

ROWS = [{"word": "war", "weight": 2.5, "note": "a"}, {"word": "peace, now", "weight": 0.5, "note": "b"}]


def write(folder, kind):
    file = folder / f"table.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), file)
    elif kind == "jsonl":
        file.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        between = "\t" if kind == "tsv" else ","
        lines = [ROWS[0].keys(), *(row.values() for row in ROWS)]
        file.write_text("\n".join(between.join(f'"{value}"' for value in line) for line in lines))
    return file


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_reads_alike(kind, tmp_path):
    file = write(tmp_path, kind)
    found = TableFile(str(file), ("word", "weight"), "table")
    assert found.table.to_pylist() == [{"word": row["word"], "weight": row["weight"]} for row in ROWS]
    assert found.sha == hashlib.sha256(file.read_bytes()).hexdigest()


def test_what_cannot_be_used_is_said_with_the_cure(tmp_path):
    with pytest.raises(
        RecipeError, match="^table of it=.*/none.csv is no file; name a csv, tsv, jsonl or parquet file"
    ):
        TableFile(str(tmp_path / "none.csv"), (), "table of it")
    (tmp_path / "table.xls").write_text("")
    with pytest.raises(RecipeError, match="has an unknown ending; name a csv, tsv, jsonl or parquet file"):
        TableFile(str(tmp_path / "table.xls"), (), "table")
    with pytest.raises(RecipeError, match="has no column 'value', and it has word, weight, note; the first"):
        TableFile(str(write(tmp_path, "csv")), ("value",), "table").table  # noqa: B018
    (tmp_path / "bad.parquet").write_text("no table")
    with pytest.raises(RecipeError, match=r"^table=.*bad.parquet cannot be read: "):
        TableFile(str(tmp_path / "bad.parquet"), ("word",), "table").table  # noqa: B018
