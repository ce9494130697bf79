"""A tokenizer learned from the training documents."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.data.corpus import digest
from maskwright.data.tokenizers.kinds import KINDS
from maskwright.data.tokenizers.wrapping import SPECIAL, marked, wrapped
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_ASSETS = Path(__file__).parent.parent / "assets"


class TrainedTokenizer:
    """A tokenizer learned from the training documents, with [PAD] [UNK] [CLS] [SEP] [MASK].

    kind: `wordpiece` (as BERT), `bpe` (byte-level), or `unigram`. vocabulary: its size, special tokens included; fewer
    where the text yields no more. lowercase: fold case. strip_accents: é becomes e, of Latin and Greek letters alone.
    min_frequency: how often a piece must occur (not for unigram).
    """

    def __init__(
        self,
        kind: str = "wordpiece",
        vocabulary: int = 4096,
        lowercase: bool = True,
        min_frequency: int = 2,
        strip_accents: bool = False,
    ) -> None:
        if kind not in KINDS:
            raise RecipeError(f"tokenizer.kind is {kind!r}; choose one of {', '.join(KINDS)}.")
        smallest = 300 if kind == "bpe" else 64
        if isinstance(vocabulary, bool) or not isinstance(vocabulary, int) or vocabulary < smallest:
            raise RecipeError(f"tokenizer.vocabulary is {vocabulary}; {kind} needs a whole number from {smallest} on.")
        if isinstance(min_frequency, bool) or not isinstance(min_frequency, int) or min_frequency < 1:
            raise RecipeError(f"tokenizer.min_frequency is {min_frequency}; give a whole number from 1 on.")
        self.kind, self.vocabulary, self.min_frequency = kind, vocabulary, min_frequency
        self.lowercase, self.strip_accents = lowercase, strip_accents

    def key(self, corpus_key: str) -> str:
        settings = (self.kind, self.vocabulary, self.lowercase, self.strip_accents, self.min_frequency)
        return digest("tokenizer 2", *settings, corpus_key)

    def load(
        self,
        texts: Callable[[], Iterable[str]],
        corpus_key: str,
        cache: Path,
        markers: tuple[str, ...] = (),
    ) -> PreTrainedTokenizerFast:
        """The bundled tokenizer if it fits these settings and this text, else the cached one, else a new one.

        markers: tokens added behind the vocabulary, kept whole wherever they stand in the text.
        """
        return marked(wrapped(self._learned(texts, corpus_key, cache)), markers)

    def notes(self, tokenizer: PreTrainedTokenizerFast) -> list[str]:
        """What came out otherwise than asked for, and what its folding does to a language of the text."""
        found = []
        size = tokenizer.backend_tokenizer.get_vocab_size(with_added_tokens=False)
        if size < self.vocabulary:
            found.append(f"tokenizer.vocabulary is {self.vocabulary:,}, and the text yields {size:,} pieces, all taken")
        dotless = "Ä±" if self.kind == "bpe" else "ı"  # as its two bytes are written
        if self.lowercase and any(dotless in token for token in tokenizer.get_vocab()):
            found.append(
                "the text has the Turkish ı, and lower-casing writes I as i, another letter there; "
                "tokenizer.lowercase=false keeps them apart"
            )
        return found

    def _learned(self, texts: Callable[[], Iterable[str]], corpus_key: str, cache: Path) -> Tokenizer:
        from filelock import FileLock
        from tokenizers import Tokenizer

        key = self.key(corpus_key)
        bundled = json.loads((_ASSETS / "bundled.json").read_text(encoding="utf-8"))
        if key in bundled:
            return Tokenizer.from_file(str(_ASSETS / bundled[key]))
        path = cache / "tokenizers" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if (found := _whole(path)) is not None:
                return found
            self.train(texts()).save(str(path.with_suffix(".new")))
            os.replace(path.with_suffix(".new"), path)
        return Tokenizer.from_file(str(path))

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn pieces from texts and add the special tokens and the `[CLS] A [SEP] B [SEP]` template."""
        from tokenizers.processors import TemplateProcessing

        tokenizer, trainer = KINDS[self.kind](self)
        try:
            tokenizer.train_from_iterator(_portions(texts), trainer)
        except BaseException as error:  # the library panics (a BaseException) when Unigram's likelihood is undefined
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise RecipeError(
                f"tokenizer.kind={self.kind} cannot learn {self.vocabulary} pieces from this text ({error}); "
                "set a smaller tokenizer.vocabulary, another tokenizer, or give more text."
            ) from error
        if tokenizer.get_vocab_size() > self.vocabulary:
            raise RecipeError(
                f"tokenizer.vocabulary is {self.vocabulary}, but the characters of the text alone need "
                f"{tokenizer.get_vocab_size()}; set at least that, or tokenizer=bpe."
            )
        cls, sep = SPECIAL["cls"], SPECIAL["sep"]
        tokenizer.post_processor = TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
        )
        return tokenizer


def train_texts(folder: Path, side: str = "train") -> Iterator[str]:
    """The documents of one side of a folder that `split` wrote."""
    from datasets import Dataset

    for batch in Dataset.from_file(str(folder / f"{side}.arrow")).iter(100):
        yield from batch["text"]


def _whole(path: Path) -> Tokenizer | None:
    """The tokenizer in the cache; None where there is none, or a damaged one."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception:  # the library raises a bare Exception
        return None


def _portions(texts: Iterable[str]) -> Iterator[str]:
    """Paragraphs: trainers keep one string per item, and a whole book is a slow one."""
    for text in texts:
        yield from text.split("\n\n")
