"""Passes over a side, in parallel, in portions small enough for memory."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from maskwright.data.annotate import shards
from maskwright.data.document import Side
from maskwright.data.progress import progress

Result = TypeVar("Result")
Work = Callable[[Side, int, int], Result]

_PORTION = 1 << 20  # tokens that one call of the work sees
_SMALL = 1 << 18  # tokens below which one process is quicker than several


def over_documents(side: Side, work: Work[Result], label: str, processes: int = 1) -> Iterator[Result]:
    """`work(side, first, last)` for runs of documents first..last - 1 of about a million tokens, results in order; a
    longer document is a run by itself."""
    runs = shards(side, max(side.tokens // _PORTION, 1))
    sizes = [int(side.length_D[first:last].sum()) for first, last in runs]
    return in_order(side, work, runs, sizes, label, processes)


def over_tokens(side: Side, work: Work[Result], label: str, processes: int = 1) -> Iterator[Result]:
    """`work(side, first, last)` for runs of a million tokens first..last - 1 of `side.ids`, wherever documents end;
    results in order."""
    firsts = range(0, side.tokens, _PORTION)
    runs = [(first, min(first + _PORTION, side.tokens)) for first in firsts]
    return in_order(side, work, runs, [last - first for first, last in runs], label, processes)


def in_order(
    side: Side, work: Work[Result], runs: list[tuple[int, int]], sizes: list[int], label: str, processes: int
) -> Iterator[Result]:
    """`work(side, first, last)` for the given runs, which see so many tokens each (sizes); results in order.

    work: picklable, such as a function of a module or a partial of one. Only a few results wait at a time, so memory is
    that of a few runs however large the corpus is.
    """
    processes = 1 if sum(sizes) < _SMALL else max(1, min(processes, len(runs)))
    with progress(label, sum(sizes)) as advance:
        if processes == 1:
            for run, size in zip(runs, sizes, strict=True):
                yield work(side, *run)
                advance(size)
            return
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
        with ProcessPoolExecutor(processes, context, _remember, (side, work)) as pool:
            waiting: deque[tuple[Future[Result], int]] = deque()
            for run, size in zip(runs, sizes, strict=True):
                waiting.append((pool.submit(_call, *run), size))
                if len(waiting) > 2 * processes:
                    task, finished = waiting.popleft()
                    yield task.result()
                    advance(finished)
            while waiting:
                task, finished = waiting.popleft()
                yield task.result()
                advance(finished)


_own: dict[str, Any] = {}  # of a worker: what it works on, and how


def _remember(side: Side, work: Work[Any]) -> None:
    _own.update(side=side, work=work)


def _call(first: int, last: int) -> Any:
    return _own["work"](_own["side"], first, last)
