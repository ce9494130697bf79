"""Work shared by processes, its results in the order of the tasks."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from maskwright.errors import RecipeError

Task = TypeVar("Task")
Result = TypeVar("Result")


def pool(processes: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()) -> ProcessPoolExecutor:
    """Processes that share the memory of this one where the system can fork. begin: called in each of them first."""
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    return ProcessPoolExecutor(processes, mp_context=context, initializer=begin, initargs=arguments)


def in_order(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    processes: int,
    begin: Callable[..., None],
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """The result of each task, few of them ahead of who reads, so that memory does not grow with the work.

    begin: called first in each process, or in this one where `processes` is 1. Raises RecipeError when the system ends
    a process.
    """
    if processes <= 1:
        begin(*arguments)
        yield from map(work, tasks)
        return
    tasks = iter(tasks)
    with pool(processes, begin, arguments) as workers:
        try:
            waiting: deque[Future[Result]] = deque(workers.submit(work, task) for task in islice(tasks, 2 * processes))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(workers.submit(work, task) for task in islice(tasks, 1))
                yield result
        except BrokenProcessPool as error:
            raise RecipeError(
                "a process that prepared the data was ended by the system, most likely for want of memory; free some "
                "and start again, what is done is kept."
            ) from error
        finally:
            workers.shutdown(wait=True, cancel_futures=True)
