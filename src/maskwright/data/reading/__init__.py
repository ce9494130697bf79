"""Files as documents and rows: one reader for training and evaluation.

`files` finds them, `formats` opens them, `lines` and `tables` read them, `column` takes a text out of a row.
"""

from maskwright.data.reading.column import MISSING, Column, NotText, find, listed, paths, unknown_column
from maskwright.data.reading.files import Found, content, found, names_of
from maskwright.data.reading.formats import How, decoded, kind_of, looks_like_json, looks_like_text, refusals, shown
from maskwright.data.reading.lines import blocks, lines, whole
from maskwright.data.reading.tables import Row, Table, json_lines

__all__ = [
    "MISSING",
    "Column",
    "Found",
    "How",
    "NotText",
    "Row",
    "Table",
    "blocks",
    "content",
    "decoded",
    "find",
    "found",
    "json_lines",
    "kind_of",
    "lines",
    "listed",
    "looks_like_json",
    "looks_like_text",
    "names_of",
    "paths",
    "refusals",
    "shown",
    "unknown_column",
    "whole",
]
