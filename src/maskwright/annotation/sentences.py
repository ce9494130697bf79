"""Sentences by rule: where a mark that ends sentences stands, unless it belongs to an abbreviation.

For text with capitals (English and its like) and for Chinese and Japanese. A blank line ends a sentence, a line break
does not: much text is wrapped.
"""

from __future__ import annotations

import re
from typing import Any

from maskwright.annotation.sources import Span, Spans
from maskwright.annotation.wordlists import WordList
from maskwright.data.document import Document

_VERSION = 1
_CLOSING = r"[\"'”’»)\]】」』）]*"
_END = re.compile(
    rf"(?P<blank>\n[^\S\n]*\n)|(?P<wide>[。！？]+[…]*[\"'”’」』）]*)|(?P<mark>[.!?…]+{_CLOSING})(?P<space>\s+|$)"
)
_BEFORE = re.compile(r"[^\s(\[\"'“‘—–]*\Z")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_ORDINAL = re.compile(r"(?:\d{1,3}|[ivxlcIVXLC]{1,5})")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Before a name or a number: never an end.
_TITLES = _set(
    "mr mrs ms dr prof rev hon st ste gen col capt cpt lt lieut sgt maj adm cmdr brig gov sen rep pres supt messrs mme "
    "mlle fr sr. nos vol vols fig figs pp p ch sec art cf vs viz eg ie e.g i.e eds ed tr approx ca"
)
# At the end of a sentence or inside one: an end where a word follows that often begins sentences.
_OTHERS = _set(
    "jr sr inc co corp ltd bros etc al esq dept est u.s u.k u.n a.m p.m ph.d m.d b.a m.a d.c b.c a.d jan feb mar apr "
    "jun jul aug sep sept oct nov dec mt ave blvd rd"
)
_STARTERS = _set(
    "The A An In On At He She It We They I You This That These Those But And If When While As For There His Her Its "
    "Our Their My To By From With No Not So Then What Who How Why Where After Before Since Some All One"
)


class Sentences(Spans):
    """The sentences of a document, of the one type `sentence`.

    abbreviations: a file with further abbreviations, one a line without the final point, that never end a sentence.
    """

    def __init__(self, abbreviations: str | None) -> None:
        listed = None if abbreviations is None else WordList(abbreviations, "spans.abbreviations")
        self._more = frozenset() if listed is None else frozenset(line.rstrip(".").lower() for line in listed.lines)
        self._digest = None if listed is None else listed.sha

    @property
    def types(self) -> tuple[str, ...]:
        return ("sentence",)

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "abbreviations": self._digest}

    def find(self, document: Document) -> list[Span]:
        text, found, begin = document.text, [], 0
        for match in _END.finditer(text):
            if match["mark"] is None or self._ends(text, match, begin):
                found.append((begin, match.end(), "sentence"))
                begin = match.end()
        if begin < len(text):
            found.append((begin, len(text), "sentence"))
        return found

    def _ends(self, text: str, match: re.Match[str], begin: int) -> bool:
        """Whether a sentence that began at `begin` ends with the mark that was found."""
        behind, mark = match.end(), match["mark"]
        following = text[behind : behind + 1].lstrip("\"'“‘«([")
        following = following or text[behind + 1 : behind + 2]
        if following.islower():
            return False
        if mark[0] != "." or mark.startswith(".."):
            return True
        before = _BEFORE.search(text[max(begin, match.start() - _LOOK_BACK) : match.start()])[0]  # type: ignore[index]
        small = before.lower()
        if small == "no":  # a number, or a refusal
            return not following.isdigit()
        if small in _TITLES or small in self._more:
            return False
        if small in _OTHERS or (_INITIALS.fullmatch(before) and before != "I"):
            return _next_word(text, behind) in _STARTERS
        alone = text[begin : match.start()].strip("\"'“‘([ \n\t") == before
        return not (alone and _ORDINAL.fullmatch(before))  # "1. " at the begin of a sentence counts something


_LOOK_BACK = 20  # characters: longer than any abbreviation
_WORD = re.compile(r"[\"'“‘«(\[]*([^\W\d_]+)")


def _next_word(text: str, place: int) -> str:
    match = _WORD.match(text, place)
    return match[1] if match else ""
