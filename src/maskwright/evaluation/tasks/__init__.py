"""Supervised tasks, by the word that `evaluation.task` takes. A new one is a class and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from maskwright.errors import RecipeError
from maskwright.evaluation.tasks.base import Batch, Encode, Example, Task, collate
from maskwright.evaluation.tasks.spans import Spans
from maskwright.evaluation.tasks.tagging import Tagging
from maskwright.evaluation.tasks.text import Classification, Regression

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, Regression, Tagging, Spans)}

__all__ = ["TASKS", "Batch", "Encode", "Example", "Task", "collate", "make"]


def make(task: str, text: str | Sequence[str] | None, label: str | None, metric: str | None) -> Task:
    """A task by name. Raises RecipeError when there is none of that name."""
    if task not in TASKS:
        raise RecipeError(f"evaluation.task is {task!r}; choose one of {', '.join(TASKS)}.")
    return TASKS[task](text, label, metric)
