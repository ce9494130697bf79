"""A suite: one kind of evaluation. A new one is a class like this, a YAML in conf/evaluation and a test."""

from __future__ import annotations

from abc import ABC, abstractmethod

from maskwright.evaluation.results import Result
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.tools import Tools


class Suite(ABC):
    """Measures a subject. Constructors check their own settings; `check` what the subject must be able to do.

    name: the word after `evaluation=`, as errors say it. A suite leaves network, random state and files as they were.
    """

    name: str
    reads_heldout: bool = False  # whether it measures on the held-out text of a corpus

    def check(self, subject: Subject) -> None:  # noqa: B027  (many suites take any network)
        """Raises RecipeError when the subject cannot be measured; reads no data."""

    @abstractmethod
    def run(self, subject: Subject, tools: Tools) -> Result:
        """Raises RecipeError for what the user can mend."""
