"""Text from the web, as SlovakBERT cleans it (arXiv 2109.15254).

Links and e-mail addresses become placeholders, markup is taken out, runs of one punctuation mark are shortened and
quotation marks straightened. Repeated paragraphs are the split's business.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from maskwright.data.cleaning.base import Cleaning, check_placeholder, settled
from maskwright.data.cleaning.language import Languages
from maskwright.errors import RecipeError

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}(?![\w-])")
# A link ends before white space, a quotation mark or a bracket that it did not open, and not with the punctuation of
# the sentence around it.
URL = re.compile(
    r"(?<![\w@])(?:(?:https?|ftp)://|www\.)(?:[^\s<>\"“”„«»{}|\\^`\[\]()]|\([^\s<>\"()]*\))+(?<![.,;:!?'’*_~])",
    re.IGNORECASE,
)
_BRACES = re.compile(r"\{[^{}]*\}")
_TAG = re.compile(r"<!--.*?-->|</?[^\W\d_][^<>]*>", re.DOTALL)
_ENTITY = re.compile(r"&(?:#\d+|#[xX][\da-fA-F]+|\w+);")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{2,3}|~~|`+)(?=\S)((?:(?!\1).){1,500}?)(?<=\S)\1(?!\w)")
_LINE = re.compile(r"^[^\S\n]*(?:#{1,6}[^\S\n]+|>[^\S\n]*|(?:[-*_][^\S\n]*){3,}$)", re.MULTILINE)
_DOUBLE, _SINGLE = re.compile(r"[“”„‟«»]"), re.compile(r"[‘’‚‛]")
_KINDS = ("braces", "tags", "markdown")


class Web(Cleaning):
    """url, email: placeholders, or None to leave them. markup: kinds of markup to take out: `braces` ({...} with all in
    it), `tags` (HTML, and its entities as the characters that they stand for), `markdown` (its marks; the text stays).
    longest: marks in a run of one punctuation mark (None: any). straight_quotes: “ and ‘ become " and '. languages:
    documents in others are left out (None: all are kept).
    """

    def __init__(
        self,
        url: str | None = "[URL]",
        email: str | None = "[EMAIL]",
        markup: list[str] | tuple[str, ...] = _KINDS,
        longest: int | None = 1,
        straight_quotes: bool = True,
        languages: list[str] | None = None,
    ) -> None:
        unknown = [kind for kind in markup if kind not in _KINDS]
        if unknown:
            raise RecipeError(f"cleaning.markup names {unknown[0]!r}; choose among {', '.join(_KINDS)}.")
        if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int) or longest < 1):
            raise RecipeError(f"cleaning.longest is {longest}; give a whole number from 1 up, or null.")
        self.url, self.email, self.markup = url, email, sorted(markup)
        self.longest, self.straight_quotes = longest, straight_quotes
        self.languages = None if languages is None else Languages(languages)
        self.markers = tuple(marker for marker in (url, email) if marker is not None)
        self._run = None if longest is None else re.compile(rf"([^\w\s])\1{{{longest},}}")
        for name, marker in (("url", url), ("email", email)):
            if marker is not None:
                check_placeholder(self._once, name, marker)

    def settings(self) -> dict[str, Any]:
        return {
            "cleaning": "web 1",
            "url": self.url,
            "email": self.email,
            "markup": self.markup,
            "longest": self.longest,
            "straight_quotes": self.straight_quotes,
            "languages": None if self.languages is None else self.languages.settings(),
        }

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        text = settled(text, self._once)
        return text if self.languages is None or self.languages.has(text) else ""

    def _once(self, text: str) -> str:
        if self.email is not None and "@" in text:
            text = EMAIL.sub(lambda found: self.email or "", text)
        if self.url is not None:
            return self._marks(URL.sub(self.url.replace("\\", "\\\\"), text))
        return _between(URL, text, self._marks)  # links that are left are left whole

    def _marks(self, text: str) -> str:
        if "braces" in self.markup:
            text = _BRACES.sub("", text)
        if "tags" in self.markup:
            text = _ENTITY.sub(lambda found: html.unescape(found[0]), _TAG.sub("", text))
        if "markdown" in self.markup:
            text = _LINK.sub(lambda found: found[0] if f"[{found[1]}]" in self.markers else found[1], text)
            text = _LINE.sub("", _EMPHASIS.sub(r"\2", text))
        if self.straight_quotes:
            text = _SINGLE.sub("'", _DOUBLE.sub('"', text))
        if self._run is not None:
            text = self._run.sub(lambda run: run[1] * (self.longest or 1), text)
        return text


def _between(pattern: re.Pattern[str], text: str, rewrite: Callable[[str], str]) -> str:
    """`rewrite` applied to what lies between the matches."""
    parts, last = [], 0
    for match in pattern.finditer(text):
        parts += [rewrite(text[last : match.start()]), match[0]]
        last = match.end()
    return "".join([*parts, rewrite(text[last:])])
