"""What a cleaning is, and how it is carried out over a corpus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.data.duplicates import is_aligned
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset

_TOGETHER = 256  # documents that a cleaning sees at once
_SMALL = 1 << 26  # bytes below which one process is quicker than several


class Cleaning(ABC):
    """Rewrites the text of each document, and may then cut it into pieces.

    markers: special tokens that it writes into the text: the tokenizer keeps them whole, and they are never masked nor
    drawn as replacements. tokens: further tokens that it writes, kept whole and masked like any other. reads: columns
    of the documents that it needs (`data.columns`). spends: those of them that count characters of the old text and are
    left out of the result. prefixes: it writes something in front of every piece that all rows must show. train_only:
    held-out documents keep their text. alone: it wants all texts in one process.
    """

    markers: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    spends: tuple[str, ...] = ()
    prefixes = False
    train_only = False
    alone = False

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that shape the result: part of the cache's keys."""

    @abstractmethod
    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        """The text rewritten; `fields` are the document's other columns, `document` (its id) among them.

        It must change nothing when applied to its own result.
        """

    def together(self, texts: Sequence[str], fields: Sequence[dict[str, Any]]) -> list[str]:
        """Several texts rewritten, for a cleaning that is quicker with many at once."""
        return [self(text, own) for text, own in zip(texts, fields, strict=True)]

    def pieces(self, text: str, fields: dict[str, Any]) -> list[str]:
        """The parts that the rewritten text of one document is cut into. This comes after the held-out documents are
        chosen and repeated paragraphs removed, so all parts of a document are on one side."""
        return [text]

    def prefix(self, fields: dict[str, Any]) -> str:
        """What is written in front of every piece of the document."""
        return ""

    def learn(self, documents: Dataset, scratch: Path) -> None:  # noqa: B027 - most learn nothing
        """See the documents before any is rewritten. scratch: a folder for temporary files."""

    def learned(self) -> Any:
        """Plain values that it must know again when the texts come from the cache; None: nothing."""
        return None

    def recall(self, learned: Any) -> None:  # noqa: B027
        """Take what `learned` gave."""

    def rest(self) -> None:  # noqa: B027
        """Let go of what only rewriting needs; all texts are written."""


class Several(Cleaning):
    """One cleaning after the other (conf/cleaning/several.yaml).

    The parts that one cuts a document into are cut further by the next.
    """

    def __init__(self, steps: Sequence[Cleaning] | None = None) -> None:
        if not steps:
            raise RecipeError("cleaning.steps is empty; list the cleanings, each with its _target_, in their order.")
        self.steps = list(steps)
        self.markers = tuple(dict.fromkeys(marker for step in self.steps for marker in step.markers))
        self.reads = tuple(dict.fromkeys(name for step in self.steps for name in step.reads))
        self.spends = tuple(dict.fromkeys(name for step in self.steps for name in step.spends))
        self.prefixes = any(step.prefixes for step in self.steps)
        self.alone = any(step.alone for step in self.steps)
        if len({step.train_only for step in self.steps}) > 1:
            raise RecipeError(
                "cleaning.steps has steps that leave held-out documents as they are and steps that do not; set "
                "heldout=true in the former."
            )
        self.train_only = self.steps[0].train_only

    @property
    def tokens(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(dict.fromkeys(token for step in self.steps for token in step.tokens))

    def settings(self) -> dict[str, Any]:
        return {"cleaning": "several", "steps": [step.settings() for step in self.steps]}

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        return self.together([text], [fields])[0]

    def together(self, texts: Sequence[str], fields: Sequence[dict[str, Any]]) -> list[str]:
        for step in self.steps:
            texts = step.together(texts, fields)
        return list(texts)

    def pieces(self, text: str, fields: dict[str, Any]) -> list[str]:
        parts = [text]
        for step in self.steps:
            parts = [piece for part in parts for piece in step.pieces(part, fields)]
        return parts

    def prefix(self, fields: dict[str, Any]) -> str:
        return "".join(step.prefix(fields) for step in self.steps)

    def learn(self, documents: Dataset, scratch: Path) -> None:
        """Every step sees the documents as they came."""
        for step in self.steps:
            step.learn(documents, scratch)

    def learned(self) -> Any:
        return [step.learned() for step in self.steps]

    def recall(self, learned: Any) -> None:
        for step, own in zip(self.steps, learned, strict=True):
            step.recall(own)

    def rest(self) -> None:
        for step in self.steps:
            step.rest()


@dataclass(frozen=True)
class Rewriting:
    """A cleaning at work on one corpus, as `split` asks for it. folder: where files may lie until the split is done."""

    cleaning: Cleaning
    folder: Path
    processes: int = 1

    @property
    def train_only(self) -> bool:
        return self.cleaning.train_only

    @property
    def prefixes(self) -> bool:
        return self.cleaning.prefixes

    def learn(self, documents: Dataset) -> None:
        """Raises RecipeError when a column that the cleaning reads is missing, or when another one counts characters of
        the old text."""
        missing = [name for name in self.cleaning.reads if name not in documents.column_names]
        if missing:
            raise RecipeError(
                f"cleaning reads the column {missing[0]!r}, which the documents do not carry; "
                f"set data.columns=[{missing[0]}] with data that has it."
            )
        aligned = [name for name, feature in documents.features.items() if is_aligned(feature)]
        moved = [name for name in aligned if name not in self.cleaning.spends]
        if moved:
            raise RecipeError(
                f"cleaning would move the characters that the column {moved[0]!r} counts; use cleaning=null with it."
            )
        self.cleaning.learn(documents, self.folder)

    def rewritten(self, documents: Dataset, side: str) -> Dataset:
        """The documents with their new texts, without the columns that were spent."""
        small = documents.data.nbytes < _SMALL or len(documents) < self.processes
        if not (side == "heldout" and self.train_only):
            documents = documents.map(
                _rewritten,
                fn_kwargs={"cleaning": self.cleaning},
                batched=True,
                batch_size=_TOGETHER,
                writer_batch_size=_TOGETHER,
                new_fingerprint=f"cleaned {side}",
                cache_file_name=str(self.folder / f"cleaned-{side}.arrow"),
                num_proc=None if self.processes == 1 or small or self.cleaning.alone else self.processes,
                desc=f"clean {side} documents",
            )
        return documents.remove_columns([name for name in self.cleaning.spends if name in documents.column_names])

    def pieces(self, text: str, fields: dict[str, Any]) -> list[str]:
        return self.cleaning.pieces(text, fields)

    def prefix(self, fields: dict[str, Any]) -> str:
        return self.cleaning.prefix(fields)


def settled(text: str, rewrite: Callable[[str], str]) -> str:
    """`rewrite` applied until it changes nothing: taking something out may join what was apart into more to take out.

    `rewrite` must not make text longer for ever.
    """
    while (again := rewrite(text)) != text:
        text = again
    return text


def check_placeholder(rewrite: Callable[[str], str], name: str, placeholder: str) -> None:
    """Raises RecipeError for a placeholder that is empty, holds white space, or would be rewritten itself."""
    if not placeholder or placeholder.split() != [placeholder]:
        raise RecipeError(f"cleaning.{name} is {placeholder!r}; give one word, such as [URL], or null.")
    if rewrite(placeholder) != placeholder:
        raise RecipeError(
            f"cleaning.{name} is {placeholder!r}, which the cleaning would rewrite itself; choose another, such as "
            f"[{name.upper()}]."
        )


def _rewritten(batch: dict[str, list[Any]], cleaning: Cleaning) -> dict[str, list[str]]:
    names = [name for name in batch if name != "text"]
    fields = [dict(zip(names, values)) for values in zip(*(batch[name] for name in names))]
    return {"text": cleaning.together(batch["text"], fields)}
