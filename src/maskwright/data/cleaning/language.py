"""In which language a text is, by the package py3langid: n-grams of bytes, about 100 languages, no network."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from maskwright.errors import RecipeError

_ENOUGH = 4096  # characters from the beginning of a text that decide


class Languages:
    """Whether a text is in one of some languages, named by their ISO 639-1 codes."""

    def __init__(self, codes: list[str]) -> None:
        try:
            import py3langid
        except ImportError as error:
            raise RecipeError(
                "cleaning.languages needs the package py3langid; install it with `pip install py3langid`."
            ) from error
        self._classify = py3langid.classify
        self.codes = sorted(codes)
        known = {code for code, _ in py3langid.rank("a")}
        if not codes or not known.issuperset(codes):
            raise RecipeError(
                f"cleaning.languages is {list(codes)}; give codes that py3langid knows ({', '.join(sorted(known))}), "
                "or null."
            )

    def settings(self) -> dict[str, Any]:
        return {"codes": self.codes, "py3langid": version("py3langid")}

    def has(self, text: str) -> bool:
        """Whether the text is in one of the languages. A text without a letter is in none that could be told, and
        stays."""
        text = text[:_ENOUGH]
        return not any(character.isalpha() for character in text) or self._classify(text)[0] in self.codes
