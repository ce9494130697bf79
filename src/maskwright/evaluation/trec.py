"""Collections for retrieval: documents, queries, judgements, in BEIR's layout (jsonl, tsv) or TREC's (SGML, qrels)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path

from maskwright.data.reading import How, Row, decoded, json_lines, kind_of, refusals
from maskwright.errors import RecipeError

Judgements = dict[str, dict[str, int]]  # query -> document -> grade

_TAG = re.compile(r"<[^>]+>")


def documents(file: str | None, fields: Iterable[str]) -> dict[str, str]:
    """Document id -> text: the `fields` one after the other, those that are there."""
    return _texts(there(file, "documents"), ("doc", "docno"), list(fields), "documents")


def queries(file: str | None, fields: Iterable[str], numbered: bool) -> dict[str, str]:
    """Query id -> text. numbered: ids are 1, 2, 3 ... by place in the file, whatever the file calls them."""
    found = _texts(there(file, "queries"), ("top", "num"), list(fields), "queries")
    return {str(n): text for n, text in enumerate(found.values(), 1)} if numbered else found


def judgements(file: str | None) -> Judgements:
    """Lines of `query 0 document grade` (TREC) or of `query-id corpus-id score` under a header line (BEIR)."""
    path = there(file, "judgements")
    found: Judgements = {}
    for number, line in enumerate(_read(path, "judgements").split("\n"), 1):
        cells = line.split()
        if not cells or (number == 1 and not _is_number(cells[-1])):
            continue
        if len(cells) not in (3, 4) or not _is_number(cells[-1]):
            raise RecipeError(
                f"evaluation.judgements: line {number} of {path} is neither `query 0 document grade` nor "
                "`query document grade`; mend it."
            )
        found.setdefault(cells[0], {})[cells[-2]] = int(float(cells[-1]))
    if not found:
        raise RecipeError(f"evaluation.judgements: {path} holds no judgement; give some.")
    return found


def _texts(path: Path, tags: tuple[str, str], fields: list[str], key: str) -> dict[str, str]:
    text = _read(path, key)
    kind = kind_of(path, How(f"evaluation.{key}"))
    try:
        if kind == "jsonl":
            rows = enumerate(json_lines(text.split("\n")), 1)
            items = [(_identity(row, n), {name: str(row[name]) for name in fields if row.get(name)}) for n, row in rows]
        elif kind == "tsv":
            items = [_cells(line, n, fields[0]) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        else:
            items = _sgml(text, tags, fields)
    except ValueError as error:
        raise RecipeError(f"evaluation.{key}: {path} cannot be read as {kind} ({error}); mend it.") from error
    found = {name: " ".join(" ".join(parts.values()).split()) for name, parts in items}
    if not found:
        raise RecipeError(
            f"evaluation.{key}: nothing was found in {path}; give jsonl, tsv or TREC's <{tags[0]}> layout."
        )
    if not any(found.values()):
        raise RecipeError(f"evaluation.{key}: {path} has none of the fields {', '.join(fields)}; name the right ones.")
    return found


def _identity(row: Row, number: int) -> str:
    found = row.get("_id", row.get("id"))
    if found is None:
        raise ValueError(f"row {number} has neither _id nor id")
    return str(found)


def _cells(line: str, number: int, field: str) -> tuple[str, dict[str, str]]:
    """Id and text; a quotation mark is text."""
    cells = line.split("\t")
    if len(cells) < 2:
        raise ValueError(f"line {number} has no tab between id and text")
    return cells[0], {field: cells[1]}


def _sgml(text: str, tags: tuple[str, str], fields: list[str]) -> list[tuple[str, dict[str, str]]]:
    """Elements of TREC's layout; a field ends with its closing tag, or where the next one begins."""
    items = []
    outer, identity = tags
    for element in re.findall(rf"<{outer}>(.*?)</{outer}>", text, re.S | re.I):
        number = re.search(rf"<{identity}>(?:\s*Number:)?\s*([^<\s]+)", element, re.I)
        if number is None:
            continue
        parts = {}
        for name in fields:
            part = re.search(rf"<{name}>(.*?)(?=</{name}>|<\w+>|$)", element, re.S | re.I)
            if part is not None and part[1].strip():
                parts[name] = html.unescape(_TAG.sub(" ", part[1]))
        items.append((number[1], parts))
    return items


def there(file: str | None, key: str) -> Path:
    """The path of a file. Raises RecipeError when it is missing."""
    if not file:
        raise RecipeError(f"evaluation.{key} is not set; name a file.")
    path = Path(file).expanduser()
    if not path.is_file():
        raise RecipeError(f"evaluation.{key}={file} is no file; mend the path.")
    return path


def _read(path: Path, key: str) -> str:
    how = How(f"evaluation.{key}")
    with refusals(path, "text", how), decoded(path, how, newline=None) as file:
        return file.read()


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?", text))
