"""Questions with options as one text: `passage [OPTION] first [OPTION] second ...`."""

from __future__ import annotations

from typing import Any

from maskwright.data.cleaning.base import Cleaning
from maskwright.errors import RecipeError


class Options(Cleaning):
    """Writes the options of a document, a column of lists of strings, behind its text, each behind a marker token."""

    def __init__(self, column: str, marker: str) -> None:
        if not column or not marker:
            raise RecipeError("cleaning.column and cleaning.marker name the options' column and the token before each.")
        self.column, self.marker = column, marker
        self.reads, self.markers = (column,), (marker,)

    def settings(self) -> dict[str, Any]:
        return {"cleaning": "options", "version": 1, "column": self.column, "marker": self.marker}

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        if self.marker in text:
            return text
        options = fields[self.column]
        if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
            raise RecipeError(f"cleaning.column={self.column} must hold lists of strings, one for each option.")
        return " ".join([text.rstrip(), *(f"{self.marker} {option}" for option in options)])
