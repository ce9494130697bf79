"""Temporal expressions and signals of English text by rule (what BiTimeBERT masks first, arXiv 2204.13032, 2406.01863).

Months, weekdays and the like count with their capital letters, so that `march` and `may` are verbs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from maskwright.annotation.sources import Span, Spans
from maskwright.data.document import Document
from maskwright.errors import RecipeError

_VERSION = 1

_FULL_MONTH = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH = rf"(?:{'|'.join(_FULL_MONTH)}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
_SURE_MONTH = rf"(?:{'|'.join(name for name in _FULL_MONTH if name != 'May')})"  # May alone may be a verb
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_NTH = rf"{_DAY}(?:st|nd|rd|th|d)?"
_YEAR = r"(?:1\d{3}|20\d{2})"
_THINGS = r"(?:men|people|persons|dollars|pounds|tons|miles|feet|yards|acres|years|days|words|pages|copies|horses)"
_ORDINAL = (
    r"(?:[1-9]\d?(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    r"|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|twenty[ -]first)"
)
_NUMBER = (
    r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty"
    r"|several|some|many)"
)
_UNIT = r"(?:(?:second|minute|hour|day|night|week|fortnight|month|year|decade)s?|century|centuries)"
_TENS = r"(?:twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties)"
_OF_DAY = "morning|evening|afternoon"

# Tried in this order at every word, if its first letter is in the set. \s+ is any white space, line breaks too.
_RULES = (
    ("date", "12", rf"{_YEAR}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])(?![\d-])"),
    ("date", "0-9", r"\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})(?![\d/])"),
    ("date", "ADFJMNOSTW", rf"(?:{_WEEKDAY},?\s+)?{_MONTH}\s+{_NTH}(?!\d)(?:,?\s+{_YEAR}(?!\d))?"),
    ("date", "0-9FMSTWt", rf"(?:{_WEEKDAY},?\s+)?(?:the\s+)?{_NTH}\s+(?:of\s+)?{_MONTH}(?!\w)(?:,?\s+{_YEAR}(?!\d))?"),
    ("date", "ADFJMNOS", rf"{_MONTH},?\s+(?:of\s+)?{_YEAR}(?!\d)"),
    ("decade", "12elmt'’", r"(?:the\s+)?(?:(?:early|mid|late)[ -])?(?:(?:1\d|20)\d0['’]?s|['’]\d0s)(?!\w)"),
    ("decade", "t", rf"the\s+(?:(?:early|mid|late)[ -])?(?:(?:eighteen|nineteen|twenty)[ -])?{_TENS}(?!\w)"),
    ("century", "1-9EeFfLlMmNnSsTt", rf"(?i:(?:the\s+)?(?:(?:early|mid|late)[ -])?{_ORDINAL}[ -]centur(?:y|ies))"),
    ("season", "SsAaFfWwTt", rf"(?i:(?:the\s+)?(?:spring|summer|autumn|fall|winter)\s+(?:of\s+)?){_YEAR}(?!\d)"),
    ("relative", "0-9AaEeFfMmNnOoSsTt", rf"(?i:(?:a\s+few|{_NUMBER})\s+{_UNIT}"
                                        r"\s+(?:ago|before|after|earlier|later|hence))(?!\w)"),
    ("relative", "LlNnTtPpCcFf", rf"(?i:last|next|this|past|coming|previous|following)\s+(?:{_WEEKDAY}|{_SURE_MONTH}"
                                 rf"|(?i:{_UNIT}|spring|summer|autumn|winter|{_OF_DAY}))(?!\w)"),
    ("relative", "YyTtNn", r"(?i:yesterday|to-?day|to-?morrow|to-?night|nowadays)(?!\w)"),
    ("weekday", "MTWFS", rf"{_WEEKDAY}s?(?!\w)"),
    ("month", "ADFJMNOS", rf"{_SURE_MONTH}(?!\w)"),
    ("month", "M", r"(?<=\bin\s|\bof\s|\bby\s)May(?!\w)|(?<=since\s|until\s)May(?!\w)|(?<=last\s|next\s)May(?!\w)"),
    ("year", "12", rf"(?:1[5-9]\d\d|20\d\d)(?![\d%/]|[.,]\d|-\d{{1,3}}(?!\d))(?!\s+{_THINGS}\b)"),
    ("year", "0-9A", r"\d{1,4}\s+(?:A\.D\.|B\.C\.|BCE?|AD|CE)(?!\w)|A\.D\.\s+\d{1,4}(?!\d)"),
    ("signal", "AaBb", r"(?i:before|after|afterwards|ago|by\s+the\s+time)(?!\w)"),
    ("signal", "DdEeFfLlMm", r"(?i:during|earlier|formerly|later|meanwhile)(?!\w)"),
    ("signal", "NnOoPpSsTtUuWw", r"(?i:now|once|prior\s+to|previously|since|soon|subsequently|then|thereafter|till"
                                 r"|until|when|while|whilst)(?!\w)"),
)  # fmt: skip
TYPES = tuple(dict.fromkeys(kind for kind, _, _ in _RULES))


class Temporal(Spans):
    """Expressions of time, by type; `signal` are the words that order them (before, during, since ...).

    types: which to look for, of date, decade, century, season, relative, weekday, month, year, signal (None: all).
    """

    def __init__(self, types: Sequence[str] | None) -> None:
        self.kept = TYPES if types is None else tuple(kind for kind in TYPES if kind in set(types))
        strange = sorted(set(types or ()) - set(TYPES))
        if strange or not self.kept:
            raise RecipeError(
                f"spans.types is {list(types or ())}; temporal expressions are of the types {', '.join(TYPES)}."
            )
        self._compiled = _compiled(self.kept)

    @property
    def types(self) -> tuple[str, ...]:
        return self.kept

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "types": list(self.kept)}

    def find(self, document: Document) -> list[Span]:
        return [
            (match.start(), match.end(), str(match.lastgroup).rpartition("_")[0])
            for match in self._compiled.finditer(document.text)
        ]


def _compiled(kept: Sequence[str]) -> re.Pattern[str]:
    """One pattern of the rules, each a group named by its type."""
    parts = [
        rf"(?=[{first}])(?P<{kind}_{number}>{rule})"
        for number, (kind, first, rule) in enumerate(_RULES)
        if kind in kept
    ]
    return re.compile(rf"(?<![\w$€£.,/-])(?=[0-9A-Za-z'’])(?:{'|'.join(parts)})")
