"""Texts cut where white space begins, without a Python object for each stretch.

Shapes: C characters, D texts, S stretches, U different ones.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from maskwright.data.words import utf8_ends

_WHITE = np.zeros(0x110000, dtype=bool)  # what Python calls white space
_WHITE[[code for code in range(0x3001) if chr(code).isspace()]] = True


class Stretches:
    """The stretches of several texts: each text is cut before all white space that follows something else.

    first_S: the first character of each in its own text, int64. text_S: the number of its text, int64.
    """

    def __init__(self, texts: list[str]) -> None:
        self._joined = "".join(texts)
        self._size_D = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        code_C = np.frombuffer(self._joined.encode("utf-32-le"), dtype=np.uint32)
        white_C = _WHITE[code_C]
        begins_C = np.zeros(len(code_C), dtype=bool)
        begins_C[1:] = white_C[1:] & ~white_C[:-1]
        begins_C[self._first_D()[self._size_D > 0]] = True
        self._cut(np.flatnonzero(begins_C))

    def distinct(self) -> tuple[list[str], np.ndarray]:
        """The different ones, and for each stretch the place of its own among them: int32 [S]."""
        utf8 = self._joined.encode()
        end_S = np.append(self._begin_S, len(self._joined))
        byte_S = end_S if len(utf8) == len(self._joined) else utf8_ends(self._joined)[end_S]
        pieces = pa.LargeStringArray.from_buffers(len(self._begin_S), pa.py_buffer(byte_S), pa.py_buffer(utf8))
        indexed = pieces.dictionary_encode()
        return indexed.dictionary.to_pylist(), indexed.indices.to_numpy()

    def join(self, joins_S: np.ndarray) -> None:
        """Make those that `joins_S` (bool [S]) names one with what follows them in their text."""
        begins_S = np.ones(len(self._begin_S), dtype=bool)
        begins_S[1:] = ~joins_S[:-1] | (self.text_S[:-1] != self.text_S[1:])
        self._cut(self._begin_S[begins_S])

    def _cut(self, begin_S: np.ndarray) -> None:
        self._begin_S = begin_S  # among the characters of all texts
        first_D = self._first_D()
        self.text_S = np.searchsorted(first_D + self._size_D, begin_S, side="right")
        self.first_S = begin_S - first_D[self.text_S]

    def _first_D(self) -> np.ndarray:
        return np.cumsum(self._size_D) - self._size_D
