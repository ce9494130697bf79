"""Flat arrays on disk: one .npy file per column, written piece by piece, read as memory maps."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

_HEADER = 128  # bytes; the format pads with spaces


class Appending:
    """A one-dimensional .npy file whose length is known only at the end."""

    def __init__(self, path: Path, dtype: np.dtype | type) -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        self.count = 0
        self._file = path.open("wb")
        self._file.write(b" " * _HEADER)

    def append(self, values: np.ndarray) -> None:
        np.ascontiguousarray(values, dtype=self.dtype).tofile(self._file)
        self.count += len(values)

    def __enter__(self) -> Appending:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        described = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.count,)}
        text = repr(described).encode("latin1")
        head = np.lib.format.magic(1, 0) + (_HEADER - 10).to_bytes(2, "little")
        self._file.seek(0)
        self._file.write(head + text.ljust(_HEADER - len(head) - 1) + b"\n")
        self._file.close()


def mapped(path: Path) -> np.ndarray:
    """The file as a memory map; an empty one as an empty array, which cannot be mapped."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:
        return np.load(path)
