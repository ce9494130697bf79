"""Passes over the documents of a side, in parallel, in runs small enough for memory."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from maskwright.data.annotate import shards
from maskwright.data.document import Side
from maskwright.data.progress import progress

Result = TypeVar("Result")

_SHARD = 1 << 20  # tokens that one call of the work sees, unless a document has more
_SMALL = 1 << 18  # tokens below which one process is quicker than several


def in_passes(side: Side, work: Callable[[Side, int, int], Result], label: str, processes: int = 1) -> Iterator[Result]:
    """`work(side, first, last)` for runs of documents first..last - 1 of about a million tokens, results in order.

    work: picklable, such as a function of a module or a partial of one. Only a few results wait at a time, so memory is
    that of a few runs of documents however large the corpus is.
    """
    runs = shards(side, max(side.tokens // _SHARD, 1))
    processes = 1 if side.tokens < _SMALL else max(1, min(processes, len(runs)))
    with progress(label, side.tokens) as advance:

        def done(first: int, last: int) -> None:
            advance(float(side.length_D[first:last].sum()))

        if processes == 1:
            for first, last in runs:
                yield work(side, first, last)
                done(first, last)
            return
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            waiting: deque[tuple[Future[Result], int, int]] = deque()
            for first, last in runs:
                waiting.append((pool.submit(work, side, first, last), first, last))
                if len(waiting) > 2 * processes:
                    task, *run = waiting.popleft()
                    yield task.result()
                    done(*run)
            while waiting:
                task, *run = waiting.popleft()
                yield task.result()
                done(*run)
