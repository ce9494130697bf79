"""Segmenters: where words begin, for `words=` (conf/words).

Shapes: C characters of one document.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from maskwright.annotation.sources import ColumnSpans
from maskwright.annotation.wordlists import WordList
from maskwright.data.words import begins_by_rule, solid
from maskwright.errors import RecipeError

_VERSION = 1
_HAN = (("\u3400", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003134f"))


class Jieba:
    """Chinese words by jieba, in its Rust form `rjieba` (whole-word masking as in arXiv 1906.08101, which used LTP);
    other text by the rule.

    Tokens stay what the tokenizer makes of the text: only units change. dictionary: a file of further words, one a
    line, maybe with a frequency and a tag behind a space. hmm: guess words that the dictionary lacks. Raises
    RecipeError when jieba is not installed.
    """

    reads: tuple[str, ...] = ()

    def __init__(self, dictionary: str | None, hmm: bool) -> None:
        require_jieba("words=jieba")
        self.dictionary, self.hmm = dictionary, hmm
        self._settings = {"words": "jieba", "version": _VERSION, "hmm": hmm} | jieba_settings(dictionary)

    def settings(self) -> dict[str, Any]:
        return self._settings

    def begins(self, text: str, fields: dict[str, Any]) -> np.ndarray:
        begins_C = begins_by_rule(text)
        if not any(low <= letter <= high for letter in set(text) for low, high in _HAN):
            return begins_C
        words = jieba_words(self.dictionary).cut(text, self.hmm)
        size_W = np.fromiter(map(len, words), np.int64, len(words))
        first_W = np.cumsum(size_W) - size_W
        # Words with a Han character are jieba's, what stands between them is left to the rule.
        han_W = np.fromiter(map(_has_han, words), bool, len(words))
        within_C = np.repeat(han_W, size_W)
        begins_C[within_C] = False
        begins_C[first_W[han_W]] = True
        behind_W = (first_W + size_W)[han_W]
        begins_C[behind_W[behind_W < len(text)]] = True
        return begins_C & solid(text)


class Column:
    """Words that the documents bring: a list of words or one text with spaces between them, in the order in which they
    stand in the text, or spans {start, end} in characters. Raises RecipeError where they are not the text's."""

    def __init__(self, column: str | None) -> None:
        if not column:
            raise RecipeError("words.column is not set; name a column of the documents that holds words.")
        self.column, self.reads = column, (column,)
        self._spans = ColumnSpans(column)

    def settings(self) -> dict[str, Any]:
        return {"words": "column", "version": _VERSION, "column": self.column}

    def begins(self, text: str, fields: dict[str, Any]) -> np.ndarray:
        value = fields[self.column] or []
        begins_C = np.zeros(len(text), bool)
        if isinstance(value, Mapping) or (isinstance(value, list) and any(not isinstance(one, str) for one in value)):
            places = [(start, end) for start, end, _ in self._spans.read(fields)]
        else:
            places = list(self._places(text, value.split() if isinstance(value, str) else value, fields))
        passed = 0
        for start, end in [*places, (len(text), len(text))]:
            if start < passed or end > len(text) or text[passed:start].strip():
                raise self._refusal(text, passed, fields)
            begins_C[start:end][:1] = True
            passed = end
        return begins_C

    def _places(self, text: str, words: Iterable[str], fields: dict[str, Any]) -> Iterator[tuple[int, int]]:
        """Where each word stands, in order."""
        passed = 0
        for word in filter(None, (word.strip() for word in words)):
            start = text.find(word, passed)
            if start < 0:
                raise self._refusal(text, passed, fields)
            passed = start + len(word)
            yield start, passed

    def _refusal(self, text: str, place: int, fields: dict[str, Any]) -> RecipeError:
        return RecipeError(
            f"words.column={self.column} of document {fields.get('document')} does not go on with the text at "
            f"{text[place : place + 30].strip()!r}; give all words of the text itself, in order."
        )


class Spaces:
    """Words are what stands between white space, punctuation included (`words=spaces`)."""

    reads: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        return {"words": "spaces", "version": _VERSION}

    def begins(self, text: str, fields: dict[str, Any]) -> np.ndarray:
        solid_C = solid(text)
        return solid_C & ~np.concatenate(([False], solid_C[:-1]))


def require_jieba(setting: str) -> None:
    """Raises RecipeError when jieba is not installed."""
    if importlib.util.find_spec("rjieba") is None:
        raise RecipeError(f"{setting} needs rjieba, which is not installed; run `pip install 'maskwright[chinese]'`.")


def jieba_settings(dictionary: str | None) -> dict[str, Any]:
    """What decides how jieba cuts: its release and the further words."""
    further = None if dictionary is None else WordList(dictionary, "words.dictionary").sha
    return {"rjieba": importlib.metadata.version("rjieba"), "dictionary": further}


@lru_cache(maxsize=2)
def jieba_words(dictionary: str | None) -> Any:
    """jieba with its dictionary and the further words, loaded once in each process."""
    import rjieba

    words = rjieba.Jieba()
    if dictionary is not None:
        for line in WordList(dictionary, "words.dictionary").lines:
            word, *more = line.split()
            frequency = int(more[0]) if more and more[0].isdigit() else None
            words.add_word(word, frequency, more[1] if len(more) > 1 else None)
    return words


def _has_han(word: str) -> bool:
    return any(low <= letter <= high for letter in word for low, high in _HAN)
