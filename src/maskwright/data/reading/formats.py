"""What a file holds by its ending, and its content as bytes or text, whatever it is compressed with."""

from __future__ import annotations

import bz2
import codecs
import csv
import difflib
import gzip
import io
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from maskwright.errors import RecipeError

FORMATS = ("auto", "text", "jsonl", "json", "csv", "tsv", "parquet", "conll")
_ENDINGS = {
    "text": "txt text md markdown rst tex log",
    "jsonl": "jsonl ndjson jl",
    "json": "json",
    "csv": "csv",
    "tsv": "tsv tab",
    "parquet": "parquet pq",
    "conll": "conll conllu conll-u conllup iob iob2 bio",
}
_KINDS = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_COMPRESSED = ("gz", "bz2", "xz", "lzma", "zst", "zip")
_MAGIC = (
    (b"\x1f\x8b", "gzip", ".gz"),
    (b"BZh", "bzip2", ".bz2"),
    (b"\xfd7zXZ\0", "xz", ".xz"),
    (b"\x28\xb5\x2f\xfd", "zstd", ".zst"),
    (b"PAR1", "parquet", ".parquet"),
    (b"PK\x03\x04", "a zip archive or an office document", ""),
    (b"%PDF-", "PDF", ""),
)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_HEAD = 1 << 16


@dataclass(frozen=True)
class How:
    """How files are read. setting: how the recipe names them. format: one of FORMATS; auto goes by the ending.
    encoding: of everything but parquet. columns: names where a table has no header line. separator: between columns
    (None: a comma, in tsv a tab). plain: what a .txt file holds, text or tsv.

    Raises RecipeError for a format or an encoding that there is none of.
    """

    setting: str = "data.files"
    format: str = "auto"
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None
    separator: str | None = None
    plain: str = "text"

    def __post_init__(self) -> None:
        if self.format not in self.formats:
            raise RecipeError(f"{self.group}.format is {self.format!r}; choose one of {', '.join(self.formats)}.")
        try:
            known = codecs.lookup(self.encoding)._is_text_encoding  # type: ignore[attr-defined]
        except (LookupError, ValueError):
            known = False
        if not known:
            from encodings.aliases import aliases

            names = {*aliases, *aliases.values(), "utf-8", "utf-16", "latin-1", "cp1252"} - {self.encoding}
            near = difflib.get_close_matches(str(self.encoding).lower(), sorted(names), n=1, cutoff=0.7)
            perhaps = f"; perhaps {near[0]} is meant" if near else ""
            raise RecipeError(
                f"{self.group}.encoding is {self.encoding!r}, which is no encoding of text{perhaps}; name one, such as "
                "utf-8, latin-1, cp1252 or utf-16."
            )

    @property
    def group(self) -> str:
        return self.setting.rsplit(".", 1)[0]

    @property
    def formats(self) -> tuple[str, ...]:
        return tuple(name for name in FORMATS if name != ("text" if self.plain == "tsv" else "conll"))

    @property
    def codec(self) -> str:
        """The encoding by Python's own name."""
        return codecs.lookup(self.encoding).name


def bare_name(path: Path) -> str:
    """The file's name without the ending of its compression."""
    stem, dot, ending = path.name.rpartition(".")
    return stem if dot and stem and ending.lower() in _COMPRESSED else path.name


def ending_of(path: Path) -> str:
    """What stands behind the last dot, in lower case: letters and digits with a letter among them; else nothing."""
    stem, _, ending = bare_name(path).rpartition(".")
    return ending.lower() if stem and re.fullmatch(r"[\w+-]*[^\W\d_][\w+-]*", ending) and len(ending) <= 12 else ""


def kind_of(path: Path, how: How) -> str:
    """One of FORMATS; nothing where the ending is not known. No ending at all is plain text, where that is read."""
    if how.format != "auto":
        return how.format
    ending = ending_of(path)
    if how.plain == "tsv":  # rows to evaluate on: there is no plain text among them
        return "tsv" if ending == "txt" else _KINDS.get(ending, "").replace("text", "")
    return _KINDS.get(ending, "") if ending else "text"


def shown(path: Path) -> str:
    """The path in one line."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def looks_like_text(path: Path, how: How) -> bool:
    """Whether a file whose ending says nothing begins with text in the encoding."""
    try:
        with _content(path) as file:
            head = file.read(_HEAD)
        if any(head.startswith(magic) for magic, _, _ in _MAGIC):
            return False
        return "\0" not in codecs.getincrementaldecoder(how.encoding)().decode(head)
    except Exception:  # whatever the decompressors and codecs raise
        return False


def looks_like_json(path: Path, how: How) -> bool:
    """Whether a file whose ending says nothing begins with an object, or with a list of them."""
    with refusals(path, "text", how), _content(path) as file:
        head = codecs.getincrementaldecoder(how.encoding)("replace").decode(file.read(_HEAD)).lstrip("\ufeff \t\r\n")
    if not re.match(r'(\[\s*)?\{\s*"', head):
        return False
    try:
        json.JSONDecoder().raw_decode(head)
        return True
    except json.JSONDecodeError as error:
        return error.pos >= len(head) - 1 or "Unterminated" in error.msg


@contextmanager
def refusals(path: Path, kind: str, how: How) -> Iterator[None]:
    """Whatever reading a file raises as a RecipeError in one sentence."""
    try:
        yield
    except RecipeError:
        raise
    except UnicodeError as error:
        raise _undecodable(path, how, error) from error
    except ModuleNotFoundError:
        raise
    except (OSError, EOFError, ValueError, csv.Error, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]
        form = "" if kind == "text" else f" as {kind}"
        raise RecipeError(
            f"{how.setting}: {shown(path)} cannot be read{form} ({reason}); mend it or leave it out."
        ) from error
    except (RecursionError, MemoryError) as error:
        raise RecipeError(
            f"{how.setting}: {shown(path)} is nested too deeply or has a part too large for the memory; leave it out."
        ) from error


@contextmanager
def decoded(path: Path, how: How, newline: str | None = "") -> Iterator[IO[str]]:
    """A file's text, unpacked; a byte order mark is no part of it. newline: as for `open`."""
    with _content(path) as file:
        head = file.peek(16)[:16]
        for magic, name, ending in _MAGIC:
            if head.startswith(magic) and _really(name, head, path):
                cure = f"which its name does not say; let it end in {ending}" if ending else "not text; give its text"
                raise RecipeError(f"{how.setting}: {shown(path)} holds {name}, {cure}.")
        codec = how.codec
        for mark, name in _MARKS:
            if codec in (f"{name}-le", f"{name}-be") and head.startswith(mark):
                file.read(len(mark))
                break
        codec = "utf-8-sig" if codec == "utf-8" else codec
        text = io.TextIOWrapper(cast(IO[bytes], file), encoding=codec, newline=newline)
        try:
            yield text
        finally:
            text.detach()


def checked(text: str, path: Path, how: How) -> str:
    """The text. Raises RecipeError where it is none."""
    if "\0" in text:
        raise RecipeError(
            f"{how.setting}: {shown(path)} is binary, not text; leave it out of {how.setting}, or name its encoding in "
            f"{how.group}.encoding."
        )
    return text


@contextmanager
def _content(path: Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file, unpacked."""
    _, dot, ending = path.name.rpartition(".")
    ending = ending.lower() if dot else ""
    file: Any
    if ending == "zst":
        import pyarrow

        if not pyarrow.Codec.is_available("zstd"):
            raise ValueError("this pyarrow knows no zstd; install one that does with `pip install --upgrade pyarrow`")
        file = pyarrow.CompressedInputStream(pyarrow.OSFile(os.fspath(path), "rb"), "zstd")
    elif ending == "zip":
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            if len(members) != 1:
                raise ValueError(f"the archive holds {len(members)} files and not one; unpack it")
            file = archive.open(members[0])
    else:
        opener = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open, "lzma": lzma.open}.get(ending, open)
        file = cast(Any, opener)(path, "rb")
    with file:
        yield io.BufferedReader(file, 1 << 18)


def _really(name: str, head: bytes, path: Path) -> bool:
    """Whether the first bytes are no chance: a text may begin with the letters of two of the marks."""
    if name == "bzip2":
        return head[4:10] == b"1AY&SY"
    if name == "parquet":
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return file.read() == b"PAR1"
    return True


def _undecodable(path: Path, how: How, error: UnicodeError) -> RecipeError:
    """Which byte of the unpacked file is the first that is wrong."""
    decoder = codecs.getincrementaldecoder(how.encoding)()
    done, head, at = 0, b"", None
    try:
        with _content(path) as file:
            while True:
                block = file.read(_HEAD)
                head = head or block[:16]
                kept = decoder.getstate()[0]
                at = done - len(kept)
                decoder.decode(block, final=not block)
                done += len(block)
                if not block:
                    at = None
                    break
    except UnicodeDecodeError as found:
        at = (at or 0) + found.start
    except Exception:  # codecs of other kinds; the file was read once already
        at = None
    place = "" if at is None else f": byte {at:,} does not fit"
    mark = next((name for start, name in _MARKS if head.startswith(start)), None)
    cure = f"it begins as {mark} does, so set {how.group}.encoding={mark}" if mark and mark != how.codec else (
        f"name its encoding, as in {how.group}.encoding=cp1252"
    )  # fmt: skip
    name = "UTF-8" if how.codec == "utf-8" else how.encoding
    return RecipeError(f"{how.setting}: {shown(path)} is not {name} text{place}; {cure}, or convert it.")
