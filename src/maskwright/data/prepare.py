"""From a corpus to packed rows, each stage cached in its own folder under a name that says all it depends on.

    texts   documents of each side of the split          key: corpus content, held-out share
    tokens  token ids, bytes and annotations             key: texts, tokenizer, annotations
    rows    packed columns, memory-mapped                key: tokens, side, packing

A folder is written beside its final place and renamed, under a lock: processes may prepare the same data at once.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from maskwright.data import rows as row_files
from maskwright.data.annotate import ANNOTATIONS, token_columns
from maskwright.data.corpus import Corpus, cache_root, digest
from maskwright.data.pack import Packing
from maskwright.data.rows import Rows
from maskwright.data.split import split
from maskwright.data.tokenizers import fingerprint as tokenizer_fingerprint
from maskwright.data.tokenizers import train_texts
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_VERSION = 1  # of what the stages write; raise it when that changes


class TokenizerRecipe(Protocol):
    """What conf/tokenizer builds."""

    def load(self, texts: Callable[[], Any], corpus_key: str, cache: Path) -> PreTrainedTokenizerFast: ...


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs of the data. `fingerprints` name the data exactly; `report` counts it."""

    tokenizer: PreTrainedTokenizerFast
    train: Rows
    heldout: Rows
    ruler: Rows
    fingerprints: dict[str, str]
    report: dict[str, Any]

    @property
    def summary(self) -> str:
        """One line, as in `sotu: 236 + 13 documents, 2.5M + 0.2M tokens, 645 duplicate paragraphs removed`."""
        documents, tokens = self.report["documents"], self.report["tokens"]
        line = f"{self.report['corpus']}: {documents['train']:,} + {documents['heldout']:,} documents, "
        line += f"{_short(tokens['train'])} + {_short(tokens['heldout'])} tokens"
        if self.report["duplicates"]:
            line += f", {self.report['duplicates']:,} duplicate paragraphs removed"
        return line

    def save(self, path: Path) -> None:
        """Fingerprints and report as JSON."""
        content = {"fingerprints": self.fingerprints, "report": self.report}
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def prepare(
    corpus: Corpus,
    tokenizer: TokenizerRecipe,
    packing: Packing,
    ruler_length: int = 128,
    annotations: Sequence[str] = ("word",),
    cache: str | Path | None = None,
) -> Prepared:
    """Read, split, tokenize, annotate and pack, or open what an earlier call left in the cache.

    `train` and `heldout` are packed as `packing` says; `ruler` holds the held-out documents each on its own in rows of
    `ruler_length`, whatever the packing. Raises RecipeError for data that cannot be used.
    """
    unknown = [name for name in annotations if name not in ANNOTATIONS]
    if unknown:
        raise RecipeError(f"there is no annotation {unknown[0]!r}; known are {', '.join(ANNOTATIONS)}.")
    # Loader workers are forked later; without a choice of its own the library warns in each of them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    root = Path(cache).expanduser() if cache else cache_root()
    texts, texts_key = texts_of(corpus, root)
    loaded = tokenizer.load(lambda: train_texts(texts), texts_key, root)
    loaded.model_max_length = max(packing.length, ruler_length)
    sha = tokenizer_fingerprint(loaded)
    names = sorted(set(annotations))
    tokens_key = digest("tokens", _VERSION, texts_key, sha, names)
    tokens = _folder(root / "tokens" / tokens_key, lambda new: _tokenise(new, texts, loaded.backend_tokenizer, names))

    def packed(side: str, rule: Packing) -> tuple[Rows, str]:
        # Annotations are left out: the same text in the same rows is the same data, whatever a masking wants to know.
        key = digest("rows", _VERSION, texts_key, sha, side, rule.key)
        place = root / "rows" / digest(key, names)
        return Rows.open(_folder(place, lambda new: _pack(new, tokens / side, rule, loaded))), key

    sides = {"train": ("train", packing), "heldout": ("heldout", packing)}
    sides["ruler"] = ("heldout", Packing("document", ruler_length))
    parts, keys = {}, {}
    for name, (side, rule) in sides.items():
        parts[name], keys[name] = packed(side, rule)

    report = {"corpus": corpus.name} | _facts(texts) | {"tokens": _facts(tokens)["tokens"]}
    report["notes"] = report["notes"] + _facts(tokens)["notes"]
    report["rows"] = {name: len(part) for name, part in parts.items()}
    return Prepared(
        tokenizer=loaded,
        train=parts["train"],
        heldout=parts["heldout"],
        ruler=parts["ruler"],
        fingerprints={"corpus": texts_key, "tokenizer": sha, **keys},
        report=report,
    )


def texts_of(corpus: Corpus, cache: Path) -> tuple[Path, str]:
    """The folder with both sides of the split, and its key."""
    key = digest("texts", _VERSION, corpus.fingerprint(cache), corpus.heldout)

    def build(new: Path) -> None:
        _write_facts(new, split(corpus.documents(cache), corpus.heldout, new))

    return _folder(cache / "texts" / key, build), key


def _folder(place: Path, build: Callable[[Path], None]) -> Path:
    """`place`, built by one process at a time into a temporary folder that takes its name when complete."""
    if place.exists():
        return place
    from filelock import FileLock

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not place.exists():
                new = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
                try:
                    build(new)
                    os.replace(new, place)
                finally:
                    shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise RecipeError(
            f"the data cache {place.parent} cannot be written ({error.strerror or error}); "
            "free some space or point MASKWRIGHT_CACHE to another folder."
        ) from error
    return place


def _facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / "report.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _tokenise(folder: Path, texts: Path, backend: Tokenizer, annotations: list[str]) -> None:
    """Flat columns of each side, and the documents' lengths, as .npy files."""
    from datasets import Dataset

    backend = type(backend).from_str(backend.to_str())
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True  # a "[MASK]" written in the text is text
    facts: dict[str, Any] = {"tokens": {}, "notes": []}
    for side in ("train", "heldout"):
        new = folder / side
        new.mkdir()
        tokens = Dataset.from_file(str(texts / f"{side}.arrow")).map(
            token_columns,
            batched=True,
            batch_size=50,
            writer_batch_size=50,
            remove_columns=["text", "document"],
            fn_kwargs={"backend": backend, "annotations": annotations},
            new_fingerprint=side,
            cache_file_name=str(new / "tokens.arrow"),
            desc=f"tokenize {side} documents",
        )
        length_D = np.concatenate([_values(chunk, lists=False) for chunk in tokens.data.column("length").chunks])
        if not length_D.any():
            raise RecipeError(f"the tokenizer finds no token in the {side} documents; give more or other text.")
        if not length_D.all():
            facts["notes"].append(f"{np.count_nonzero(length_D == 0)} {side} documents have no token")
        np.save(new / "length.npy", length_D[length_D > 0])
        for name in ("ids", "bytes", *annotations):
            flat = np.concatenate([_values(chunk) for chunk in tokens.data.column(name).chunks])
            if name not in annotations:
                flat = flat.astype(np.uint16 if flat.max() < 1 << 16 else np.uint32)
            np.save(new / f"{name}.npy", flat)
        facts["tokens"][side] = int(length_D.sum())
        del tokens
        (new / "tokens.arrow").unlink()
    _write_facts(folder, facts)


def _values(chunk: Any, lists: bool = True) -> np.ndarray:
    """The flat values of an Arrow chunk."""
    return (chunk.flatten() if lists else chunk).to_numpy(zero_copy_only=False)


def _pack(folder: Path, tokens: Path, packing: Packing, tokenizer: PreTrainedTokenizerFast) -> None:
    names = [path.stem for path in sorted(tokens.glob("*.npy")) if path.stem != "length"]
    columns = {name: np.load(tokens / f"{name}.npy", mmap_mode="r") for name in names}
    special = {name: annotation.special for name, annotation in ANNOTATIONS.items()}
    special |= {"bytes": (0, 0, 0)}
    special |= {"ids": (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)}
    if max(special["ids"]) >= 1 << 16 and columns["ids"].dtype == np.uint16:
        columns["ids"] = columns["ids"].astype(np.uint32)
    row_files.write(folder, packing.plan(np.load(tokens / "length.npy")), packing.length, columns, special)


def _short(count: int) -> str:
    return f"{count / 1e6:.2g}M" if count >= 1e5 else f"{count:,}"
