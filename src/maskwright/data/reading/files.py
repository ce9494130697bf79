"""Which files a recipe means: paths, patterns with alternatives in braces, and folders; and the hash of what they hold."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xxhash import xxh3_128

from maskwright.data.reading.formats import How, ending_of, refusals
from maskwright.errors import RecipeError


@dataclass
class Found:
    """Files, each once, in the order in which they were asked for. left: how many a folder holds besides, by ending."""

    paths: list[Path] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """What was left out, in plain words."""
        if not self.left:
            return []
        kinds = ", ".join(f".{ending}" if ending else "no ending" for ending, _ in self.left.most_common(8))
        count = sum(self.left.values())
        return [f"{count:,} file{'s' * (count > 1)} of other kinds in the folder left out ({kinds})"]


def found(patterns: Iterable[str], how: How, takes: Callable[[Path], bool]) -> Found:
    """The files that match. A folder stands for all files below it that `takes` accepts, hidden ones left out.

    A path that exists is taken as it is, whatever signs it has; so is the beginning of a pattern. Raises RecipeError
    when nothing matches a pattern or one of its alternatives.
    """
    all_of = Found()
    once: set[str] = set()
    for pattern in patterns:
        for match in _matches(os.path.expanduser(pattern), pattern, how):
            for path in _below(match, takes, all_of.left) if match.is_dir() else (match,):
                real = os.path.realpath(path)
                if real not in once:
                    once.add(real)
                    all_of.paths.append(Path(os.path.abspath(path)))
    if not all_of.paths:
        named = ", ".join(repr(pattern) for pattern in patterns)
        more = "".join(f"; {note}" for note in all_of.notes())
        raise RecipeError(
            f"{how.setting}: {named} holds no file that is read (by its ending: {', '.join(how.formats[1:])}){more}; name others."
        )
    return all_of


def content(path: Path, how: How) -> str:
    """The hash of a file's bytes, 128 bits at some GB/s, so that it is computed whenever it is asked for: a time stamp
    says nothing about content."""
    found = xxh3_128()
    block = bytearray(1 << 20)
    view = memoryview(block)
    with refusals(path, "text", how), path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            found.update(view[:size])
    return found.hexdigest()


def _matches(pattern: str, asked: str, how: How) -> list[Path]:
    matches: dict[Path, None] = {}
    literal, rest = _literal(pattern)
    for alternative in _alternatives(rest) if rest else [""]:
        if not rest or os.path.exists(os.path.join(literal, alternative)):
            names = [os.path.join(literal, alternative)] if alternative else [literal]
        else:
            names = glob.glob(os.path.join(glob.escape(literal), alternative), recursive=True)
            shortest: dict[str, str] = {}  # of the names of one file, which a link to a folder above it multiplies
            for name in sorted(names, key=len, reverse=True):
                shortest[os.path.realpath(name)] = name
            names = sorted(shortest.values())
        paths = [Path(name) for name in names if os.path.isfile(name) or os.path.isdir(name)]
        if not paths:
            part = f" ({alternative})" if alternative != rest else ""
            raise RecipeError(
                f"{how.setting}: no file matches {asked!r}{part} from {os.getcwd()}; mend the path or the pattern."
            )
        # `**` finds files and the folders that they lie in: then the files alone are meant
        files = [path for path in paths if path.is_file()]
        matches.update(dict.fromkeys(files if files and "**" in alternative else paths))
    return list(matches)


def _literal(pattern: str) -> tuple[str, str]:
    """The longest beginning of a pattern that exists as it is written, and the rest."""
    if os.path.exists(pattern):
        return pattern, ""
    parts = pattern.split("/")
    for count in range(len(parts) - 1, 0, -1):
        beginning = "/".join(parts[:count]) or "/"
        if os.path.isdir(beginning):
            return beginning, "/".join(parts[count:])
    return "", pattern


def _alternatives(pattern: str) -> list[str]:
    """`{a,b}.txt` as a.txt and b.txt; braces may be nested. Braces without a comma stand for themselves."""
    for brace in re.finditer(r"\{", pattern):
        depth, edges = 0, [brace.start()]
        for at in range(brace.start(), len(pattern)):
            depth += {"{": 1, "}": -1}.get(pattern[at], 0)
            if depth == 1 and pattern[at] == ",":
                edges.append(at)
            if depth == 0:
                if len(edges) > 1:
                    edges.append(at)
                    head, tail = pattern[: brace.start()], pattern[at + 1 :]
                    middles = [pattern[begin + 1 : end] for begin, end in zip(edges, edges[1:])]
                    return [whole for middle in middles for whole in _alternatives(head + middle + tail)]
                break
    return [pattern]


def _below(folder: Path, takes: Callable[[Path], bool], left: Counter[str]) -> Iterator[Path]:
    """The files below a folder, sorted by their path; links are followed, each folder is entered once."""
    entered: set[str] = set()
    files: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in entered else sorted(name for name in folders if not name.startswith("."))
        if real not in entered:
            entered.add(real)
            files += [Path(place, name) for name in names if not name.startswith(".")]
    for path in sorted(files):
        if path.is_file() and takes(path):
            yield path
        else:
            left[ending_of(path)] += 1


def names_of(paths: list[Path]) -> list[str]:
    """Paths below the folder that they share: names that do not depend on where it lies."""
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return [os.fsencode(path.relative_to(shared).as_posix()).decode("utf-8", "replace") for path in paths]
