"""Plain text: whole files, lines, paragraphs. A line ends at \\n, \\r\\n or \\r and nowhere else; its end is no part of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maskwright.data.reading.formats import How, checked, decoded, refusals


def whole(path: Path, how: How) -> str:
    """The text of a file, its line ends as \\n."""
    with refusals(path, "text", how), decoded(path, how, newline=None) as file:
        return checked(file.read(), path, how)


def lines(path: Path, how: How) -> Iterator[str]:
    """Every line, empty ones too. Memory: a line."""
    with refusals(path, "text", how), decoded(path, how, newline=None) as file:
        for line in file:
            yield checked(line, path, how).removesuffix("\n")


def blocks(path: Path, how: How) -> Iterator[str]:
    """What stands between lines of white space alone, without the line end behind it. Memory: a block."""
    block: list[str] = []
    for line in lines(path, how):
        if line.strip():
            block.append(line)
        elif block:
            yield "\n".join(block)
            block = []
    if block:
        yield "\n".join(block)
