"""What argparse says of options (--name), in one sentence with the nearest name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from maskwright.config.names import hint
from maskwright.errors import RecipeError


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The options. Raises RecipeError in place of printing the usage."""

    def error(message: str) -> None:
        raise RecipeError(_sentence(message, [name for name in parser._option_string_actions if name[:2] == "--"]))

    parser.error = error  # type: ignore[method-assign, assignment]
    return parser.parse_args(list(words))


def _sentence(message: str, options: Sequence[str]) -> str:
    for pattern, told in _TOLD:
        found = re.fullmatch(pattern, message, re.DOTALL)
        if found:
            return told.format(*(part.replace("'", "") if "," in part else _cut(part) for part in found.groups()))
    unknown = re.match(r"unrecognized arguments: (\S+)", message)
    if unknown:
        name = unknown[1].partition("=")[0]
        return f"{_cut(name)} is no option; {hint(name, options)}"
    return f"{_cut(message)}; see --help."


_TOLD = (
    (r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", "{0} is {1}; choose one of {2}."),
    (r"argument (\S+): invalid float value: (.*)", "{0} is {1}; give a number."),
    (r"argument (\S+): expected one argument",
     "{0} stands without its value; give it, as {0}=<value> where the value begins with a minus sign."),
    (r"the following arguments are required: (.*)", "{0}: nothing is named; see --help."),
)  # fmt: skip


def _cut(text: str, most: int = 80) -> str:
    text = text.encode("unicode_escape").decode() if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text) else text
    return text if len(text) <= most else text[: most - 3] + "..."
