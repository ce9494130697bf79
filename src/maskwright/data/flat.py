"""Flat arrays on disk: one .npy file per column, written piece by piece, read as memory maps."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

_HEADER = 128  # bytes; the format pads with spaces
_DONTNEED = 4  # of madvise(2)


class Appending:
    """A .npy file whose length is known only at the end. shape: of one item; () for a plain column."""

    def __init__(self, path: Path, dtype: np.dtype | type, shape: tuple[int, ...] = ()) -> None:
        self.path, self.dtype, self.shape = path, np.dtype(dtype), shape
        self.count = 0
        self._file = path.open("wb")
        self._file.write(b" " * _HEADER)

    def append(self, values: np.ndarray) -> None:
        np.ascontiguousarray(values, dtype=self.dtype).tofile(self._file)
        self.count += len(values)

    def __enter__(self) -> Appending:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shape = (self.count, *self.shape)
        described = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
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


def trim() -> None:
    """Give back what was freed: Arrow and glibc keep it for later."""
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def release(files: Iterable[str | Path | None]) -> None:
    """Give back the memory that the pages of memory-mapped files took when they were read; they can be read again.

    Without it a process that reads a file from end to end holds all of it. What was written to
    a shared map stays with its file. Where the system does not list its maps (/proc), nothing happens.
    """
    wanted = {os.path.realpath(file) for file in files if file is not None}
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as listed:
            maps = [line.rstrip("\n").split(maxsplit=5) for line in listed]
    except OSError:
        return
    for facts in maps:
        if len(facts) == 6 and facts[5] in wanted and ("w" not in facts[1] or facts[1].endswith("s")):
            first, last = (int(place, 16) for place in facts[0].split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _DONTNEED)
