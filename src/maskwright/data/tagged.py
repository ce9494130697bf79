"""Corpora that bring tags: CoNLL-U treebanks, and files with one word and its tags a line (IOB, IOBES, plain tags).

The text is put together again from the words; words and tagged spans are columns that count its characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from maskwright.data.corpus import digest
from maskwright.data.reading import kind_of, lines, shown
from maskwright.data.stored import Notes, Read, stored
from maskwright.data.textfiles import TextFiles
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_VERSION = 2
_NAMES = {"form": 1, "lemma": 2, "upos": 3, "xpos": 4, "deprel": 7}  # of CoNLL-U's columns; 9 is MISC
_CONLLU = (".conllu", ".conll-u")
_DOCUMENTS = ("sentence", "document", "file")
_COLUMNS = ("words", "tags", "file")
_CHUNK = re.compile(r"([BIESLUM])-(.+)")
_SPACES = {r"\s": " ", r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\p": "|", r"\\": "\\"}


_Row = tuple[str, list[str]]  # where it stands, and its columns


class _Word(NamedTuple):
    """One word as written, its tag, and what stands behind it."""

    form: str
    tag: str
    behind: str


@dataclass
class _Block:
    """Lines without a blank one between them."""

    first: bool = False  # the first block of a document
    paragraph: bool = False  # it begins a paragraph
    lines: list[tuple[int, str]] = field(default_factory=list)
    words: list[_Word] = field(default_factory=list)


class ConllFiles(TextFiles):
    """Files of words with tags, `.conllu` or other columns.

    files: a path, a folder, a pattern or a list of them, also compressed. word, tag: columns, counted from 0 (from the last: -1),
    or in CoNLL-U by name: form, lemma, upos, xpos, deprel. None: `form` and `upos` in .conllu files, else the first and
    the last column. document: what is one: a `sentence`, a `document` (from `# newdoc` or -DOCSTART- to the next), or a
    `file`. spaced: whether a space stands behind a word of which the file does not say; CoNLL-U says it.

    The documents can carry `words`, a list of {start, end}, and `tags`, a list of {start, end, type}: B-, I- (E-, S-,
    L-, U-) tags are put together to spans and O and _ are none; any other tag is that of its word.
    """

    name = "conll"

    def __init__(
        self,
        files: str | Sequence[str] | None = None,
        word: str | int | None = None,
        tag: str | int | None = None,
        document: Literal["sentence", "document", "file"] = "sentence",
        spaced: bool = True,
        encoding: str = "utf-8",
        heldout: float = 0.05,
        columns: Sequence[str] = ("words", "tags"),
        group: str | None = None,
        balance: float = 1.0,
        keep: Mapping[str, Any] | None = None,
        duplicates: Literal["exact", "near", "none"] = "exact",
    ) -> None:
        super().__init__(
            files, encoding=encoding, heldout=heldout, columns=columns, group=group, balance=balance, keep=keep,
            duplicates=duplicates,
        )
        for setting, value in (("word", word), ("tag", tag)):
            if isinstance(value, bool) or (isinstance(value, str) and value not in _NAMES):
                raise RecipeError(
                    f"data.{setting} is {value!r}; give the number of a column, counted from 0, or one of "
                    f"{', '.join(_NAMES)}."
                )
        if document not in _DOCUMENTS:
            raise RecipeError(f"data.document is {document!r}; choose one of {', '.join(_DOCUMENTS)}.")
        strange = [column for column in self.columns if column not in _COLUMNS]
        if strange:
            raise RecipeError(f"data.columns names {strange[0]!r}; data=conll carries {', '.join(_COLUMNS)}.")
        self.word, self.tag, self.unit, self.spaced = word, tag, document, spaced

    def fingerprint(self, cache: Path) -> str:
        return digest("conll", _VERSION, super().fingerprint(cache), self.word, self.tag, self.unit, self.spaced)

    def documents(self, cache: Path) -> Dataset:
        import pyarrow as pa

        place = [("start", pa.int64()), ("end", pa.int64())]
        types = {
            "words": pa.list_(pa.struct(place)),
            "tags": pa.list_(pa.struct([*place, ("type", pa.string())])),
            "file": pa.string(),
        }
        key = digest(self.fingerprint(cache), self.columns)
        matched = self.found()
        table, notes = stored(self._rows, key, cache, self.columns, types)
        self.notes = [*matched.notes(), *notes]
        return table

    def _takes(self, path: Path) -> bool:
        return kind_of(path, self.how) == "conll"

    def _rows(self, notes: Notes) -> Iterator[Read]:
        for name, path in self.named_paths():
            for number, blocks in enumerate(self._grouped(self._blocks(path))):
                text, words, tags = _put_together(blocks)
                values = {"words": words, "tags": tags, "file": name}
                document = name if self.unit == "file" else f"{name}:{number}"
                if text:
                    yield Read(text, document, tuple(values[column] for column in self.columns), shown(path))
                else:
                    notes.count("{n} empty document{s} left out")

    def _grouped(self, blocks: Iterable[_Block]) -> Iterator[list[_Block]]:
        """The blocks of each document."""
        group: list[_Block] = []
        for block in blocks:
            if group and (self.unit == "sentence" or (self.unit == "document" and block.first)):
                yield group
                group = []
            group.append(block)
        if group:
            yield group

    def _blocks(self, path: Path) -> Iterator[_Block]:
        conllu = any(suffix in _CONLLU for suffix in path.suffixes)
        block = _Block(first=True)
        for number, line in enumerate(lines(path, self.how), 1):
            if not line.strip():
                if block.lines:
                    yield self._read_block(block, path, conllu)
                    block = _Block()
            elif line.startswith("-DOCSTART-") or (conllu and line.startswith("# newdoc")):
                block.first = True
            elif conllu and line.startswith("#"):
                block.paragraph |= line.startswith("# newpar")
            else:
                block.lines.append((number, line))
        if block.lines:
            yield self._read_block(block, path, conllu)

    def _read_block(self, block: _Block, path: Path, conllu: bool) -> _Block:
        rows = []
        for number, line in block.lines:
            row = line.split("\t") if conllu or "\t" in line else line.split()
            if conllu and len(row) < 10:
                raise RecipeError(
                    f"data.files: {shown(path)}, line {number} has {len(row)} columns, and CoNLL-U has 10, parted by tabs; "
                    "mend the file."
                )
            rows.append((f"{shown(path)}, line {number}", row))
        block.words = list(self._of_treebank(rows) if conllu else self._of_columns(rows))
        return block

    def _of_columns(self, rows: Sequence[_Row]) -> Iterator[_Word]:
        for where, row in rows:
            yield _Word(_at(row, self.word, 0, where), _at(row, self.tag, -1, where), " " if self.spaced else "")

    def _of_treebank(self, rows: Sequence[_Row]) -> Iterator[_Word]:
        """Words as written. One that stands for several (1-2) is cut into them where they are its parts (do + n't);
        else it has the first one's tag. Words that are not written (1.1) are left out."""
        rows = [(where, row) for where, row in rows if "." not in row[0]]
        at = 0
        while at < len(rows):
            where, whole = rows[at]
            first, _, last = whole[0].partition("-")
            size = int(last) - int(first) + 1 if last else 0
            parts = rows[at + 1 : at + 1 + size] or [rows[at]]
            words = [(_at(row, self.word, 1, where), _at(row, self.tag, 3, where)) for where, row in parts]
            written = _at(whole, self.word, 1, where)
            if "".join(form for form, _ in words) != written:
                words = [(written, words[0][1])]
            for form, tag in words[:-1]:
                yield _Word(form, tag, "")
            yield _Word(*words[-1], _behind(whole[9]))
            at += 1 + size


def _at(row: Sequence[str], column: str | int | None, usual: int, where: str) -> str:
    """A column of a line. Raises RecipeError when the line has no such column, or nothing in it."""
    number = usual if column is None else _NAMES[column] if isinstance(column, str) else column
    if not -len(row) <= number < len(row) or not row[number].strip():
        raise RecipeError(
            f"data.files: {where} has nothing in column {number}; set data.word and data.tag, or mend it."
        )
    return row[number].strip()


def _behind(misc: str) -> str:
    """The white space behind a word, by CoNLL-U's last column."""
    said = dict(part.split("=", 1) for part in misc.split("|") if "=" in part)
    if "SpacesAfter" in said:
        return re.sub(r"\\(?:u[0-9A-Fa-f]{4}|.)", _space, said["SpacesAfter"])
    return "" if said.get("SpaceAfter") == "No" else " "


def _space(escape: re.Match[str]) -> str:
    return chr(int(escape[0][2:], 16)) if escape[0].startswith("\\u") else _SPACES.get(escape[0], " ")


def _put_together(blocks: Sequence[_Block]) -> tuple[str, list[dict[str, int]], list[dict[str, Any]]]:
    """The text of a document, its words and its tagged spans."""
    parts: list[str] = []
    length = 0
    words: list[dict[str, int]] = []
    tags: list[dict[str, Any]] = []
    for block in blocks:
        if parts and block.paragraph:
            length += 2 - len(parts[-1])
            parts[-1] = "\n\n"  # in place of what stood behind the last word
        opened = ""  # the type of the span that the next word may go on with
        for form, tag, behind in block.words:
            place = {"start": length, "end": length + len(form)}
            words.append(place)
            chunk = _CHUNK.fullmatch(tag)
            if chunk is None and tag not in ("O", "_"):
                tags.append({**place, "type": tag})
            elif chunk is not None and chunk[1] in "IELM" and chunk[2] == opened:
                tags[-1]["end"] = place["end"]
            elif chunk is not None:
                tags.append({**place, "type": chunk[2]})
            opened = chunk[2] if chunk is not None and chunk[1] not in "ELSU" else ""
            parts += [form, behind]
            length += len(form) + len(behind)
    text = "".join(parts)
    return text.rstrip(), words, tags
