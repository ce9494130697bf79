"""The text that a tokenizer learns from: the training documents, or of many an even sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maskwright.data.texts import Texts, runs

MOST = 1 << 25  # bytes of text: of 4,096 pieces eight times as much changes 4 %, and trainers hold all distinct words
_HOLD = 1 << 25  # bytes of text after which pages that were read are given back


def training_sample(texts: Path, most: int = MOST) -> Iterator[str]:
    """Paragraphs of the training documents in the folder `texts` that `split` wrote.

    Of more than `most` bytes evenly spaced paragraphs are taken, the same ones every time, that have about as many.
    """
    documents = Texts(texts / "train.arrow")
    size_D = documents.bytes_D()
    total = int(size_D.sum())
    share = min(1.0, most / max(1, total))
    seen = taken = held = 0
    for first, last in runs(size_D):
        for text in documents.column("text", first, last):
            for paragraph in text.split("\n\n"):
                seen += len(paragraph) + 2
                if share == 1 or taken < seen * share:
                    taken += len(paragraph) + 2
                    yield paragraph
        held += int(size_D[first:last].sum())
        if held > _HOLD:
            documents.release()
            held = 0


def sampled(texts: Path, most: int = MOST) -> str | None:
    """In plain words that `training_sample` leaves something out; None: it does not."""
    total = int(Texts(texts / "train.arrow").bytes_D().sum())
    if total <= most:
        return None
    return f"the tokenizer learns from an even sample of {most / 1e6:.0f} MB of the {total / 1e6:,.0f} MB for training"
