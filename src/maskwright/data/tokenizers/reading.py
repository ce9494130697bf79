"""How much of a text a tokenizer reads: its unknown tokens, and the characters that no token stands for.

Shapes: T tokens of a text, C characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.data.words import solid
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_SAID = 0.001  # shares from here on are said


class Read(NamedTuple):
    """Counts over documents; characters are those that are not white space.

    unread: characters under an unknown token, or under none, as where a tokenizer without an unknown token drops what
    it has no piece for.
    """

    tokens: int = 0
    unknown: int = 0
    characters: int = 0
    unread: int = 0

    def __add__(self, other: Read) -> Read:  # type: ignore[override]
        return Read(*(one + more for one, more in zip(self, other, strict=True)))

    @property
    def unknown_share(self) -> float:
        """Of the tokens; 0 without any."""
        return self.unknown / max(1, self.tokens)

    @property
    def unread_share(self) -> float:
        """Of the characters; 0 without any."""
        return self.unread / max(1, self.characters)


def read(text: str, id_T: np.ndarray, start_T: np.ndarray, end_T: np.ndarray, unknown: int | None) -> Read:
    """What the tokens of a text (a document, or several joined) read of it.

    Ends never decrease; unknown: the id that stands for unknown text.
    """
    solid_C = np.concatenate(([0], np.cumsum(solid(text))))
    unknown_T = np.zeros(len(id_T), dtype=bool) if unknown is None else id_T == unknown
    first_T = np.maximum(start_T, np.concatenate(([0], end_T[:-1])))  # pieces of one character have the same offsets
    covered = int((solid_C[end_T] - solid_C[np.minimum(first_T, end_T)])[~unknown_T].sum())
    return Read(len(id_T), int(unknown_T.sum()), int(solid_C[-1]), int(solid_C[-1]) - covered)


def check_read(found: Read, side: str) -> list[str]:
    """A note where some of a side's text is not read.

    Raises RecipeError where most of what is trained on is not: there is then little to learn, and every figure looks
    too good. Held-out text alone may be like this where there is very little text in all.
    """
    said = []
    if found.unknown_share >= _SAID:
        said.append(f"{_percent(found.unknown_share)} of the tokens are the unknown token")
    if found.unread_share >= _SAID:
        said.append(f"{_percent(found.unread_share)} of the characters stand under no{' other' * bool(said)} token")
    if side == "train" and max(found.unknown_share, found.unread_share) > 0.5:
        raise RecipeError(
            f"the tokenizer cannot read the {side} documents: {' and '.join(said)}; train one on this text "
            "(tokenizer=wordpiece, or tokenizer=bpe, which can write every text), or name another."
        )
    return [f"{side} documents: {' and '.join(said)}; they are never masked nor asked for"] if said else []


def _percent(share: float) -> str:
    return f"{100 * share:.{2 if share < 0.995 else 3}g} %"


def encodings(backend: Tokenizer, texts: Sequence[str], special: bool = False) -> list[Encoding]:
    """The texts as the library encodes them. special: with the tokenizer's special tokens around them.

    Raises RecipeError where the tokenizer has neither a piece nor an unknown token for some text.
    """
    try:
        return backend.encode_batch(texts, add_special_tokens=special)
    except Exception as error:  # the library raises a bare Exception
        raise RecipeError(
            f"the tokenizer has neither a piece nor an unknown token for some of this text ({error}); train one on it "
            "(tokenizer=wordpiece, or tokenizer=bpe, which can write every text), or name another."
        ) from error
