"""From a corpus to packed rows, each stage cached in its own folder under a name that says all it depends on.

    texts    documents of each side of the split          key: corpus content, cleaning, held-out share, carried columns
    tokens   token ids, offsets and bytes                 key: texts, tokenizer
    columns  one annotation of the tokens                 key: tokens, words, the annotator's settings
    rows     packed ids and bytes, memory-mapped          key: tokens, side, packing, groups
    packed   one annotation in those rows                 key: rows, column

A folder is written beside its final place and renamed, under a lock: processes may prepare the same data at once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from maskwright.data.annotate import Annotator, Words, check_fields, mark_all
from maskwright.data.cleaning import Cleaning, Rewriting
from maskwright.data.corpus import Corpus, cache_root, digest
from maskwright.data.document import Side, Source
from maskwright.data.flat import mapped
from maskwright.data.folders import folder_of, is_whole
from maskwright.data.pack import Packing
from maskwright.data.packed import VERSION, Packer
from maskwright.data.progress import progress, say
from maskwright.data.rows import Rows
from maskwright.data.sample import sampled, training_sample
from maskwright.data.split import split
from maskwright.data.texts import Texts
from maskwright.data.tokenizers import TrainedTokenizer, train_texts
from maskwright.data.tokenizers import fingerprint as tokenizer_fingerprint
from maskwright.data.tokenizers.folding import asked_for, folded
from maskwright.data.tokenizers.reading import check_read
from maskwright.data.tokens import tokenise
from maskwright.data.words import Rule, Segmenter
from maskwright.errors import RecipeError
from maskwright.tokenids import table_rows, unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TEXTS_VERSION = 2
_SIDES = ("train", "heldout")
_LEARNED = "cleaning.json"  # beside the texts: what the cleaning must know again


class TokenizerRecipe(Protocol):
    """What conf/tokenizer builds."""

    def load(
        self, texts: Callable[[], Any], corpus_key: str, cache: Path, markers: tuple[str, ...] = ()
    ) -> PreTrainedTokenizerFast: ...


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs of the data. `fingerprints` name the data exactly; `report` counts it.

    at: the training rows by length, `train` among them. groups: names of the groups that rows are kept apart by, one
    for each entry of `Rows.group_rows`; empty without. source: the training side, for whoever learns from it.
    """

    tokenizer: PreTrainedTokenizerFast
    train: Rows
    heldout: Rows
    ruler: Rows
    at: dict[int, Rows]
    fingerprints: dict[str, str]
    report: dict[str, Any]
    source: Source
    groups: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line, as in `sotu: 236 + 13 documents, 2.5M + 0.2M tokens, 45 paragraphs removed that are held out`."""
        documents, tokens = self.report["documents"], self.report["tokens"]
        line = f"{self.report['corpus']}: {documents['train']:,} + {documents['heldout']:,} documents, "
        line += f"{_short(tokens['train'])} + {_short(tokens['heldout'])} tokens"
        return line + _removed(self.report)

    @property
    def figures(self) -> dict[str, float]:
        """What metrics.json has of the text: the share of unknown tokens on each side."""
        return {f"data/{side}_unknown_share": share for side, share in self.report["unknown_share"].items()}

    def save(self, path: Path) -> None:
        """Fingerprints and report as JSON."""
        content = {"fingerprints": self.fingerprints, "report": self.report}
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def prepare(
    corpus: Corpus,
    tokenizer: TokenizerRecipe,
    packing: Packing,
    ruler_length: int = 128,
    columns: Iterable[str | Annotator] = ("word",),
    cache: str | Path | None = None,
    *,
    words: Segmenter | None = None,
    cleaning: Cleaning | None = None,
    markers: tuple[str, ...] = (),
    processes: int = 1,
    lengths: Iterable[int] = (),
) -> Prepared:
    """Read, clean, split, tokenize, annotate and pack, or open what an earlier call left in the cache.

    What is damaged or gone in the cache is made again.

    `train` and `heldout` are packed as `packing` says; `ruler` holds the held-out documents each on its own in rows of
    `ruler_length`, whatever the packing. columns: annotators, or `word`, the words of `words` (None: by rule). markers:
    special tokens that the tokenizer must have, beside those that `cleaning` writes. lengths: of further training rows,
    packed alike. Raises RecipeError for data that cannot be used.
    """
    lengths = list(lengths)
    if cleaning and cleaning.prefixes and packing.kind != "document":
        raise RecipeError(
            f"the cleaning writes a prefix that every row must show, and packing={packing.kind} would cut it off; use "
            "packing=document."
        )
    resolved = _resolved(columns, words or Rule())
    annotators = [alike[0] for alike in resolved]
    check_fields(annotators, [name for name in corpus.columns if not cleaning or name not in cleaning.spends])
    # Loader workers are forked later; without a choice of its own the library warns in each of them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    root = Path(cache).expanduser() if cache else cache_root()

    def attempt() -> Prepared:
        return _prepared(
            corpus, tokenizer, packing, ruler_length, resolved, root, cleaning, markers, processes, lengths
        )

    try:
        return attempt()
    except FileNotFoundError as error:  # somebody removed the cache between two stages
        if str(root) not in str(error):
            raise
        say(f"the data cache {root} went away while it was in use; it is made again")
    try:
        return attempt()
    except FileNotFoundError as error:
        raise RecipeError(
            f"the data cache {root} goes away while it is in use ({error}); see what removes it, or point "
            "MASKWRIGHT_CACHE to another folder."
        ) from error


def _prepared(
    corpus: Corpus,
    tokenizer: TokenizerRecipe,
    packing: Packing,
    ruler_length: int,
    resolved: Sequence[Sequence[Annotator]],
    root: Path,
    cleaning: Cleaning | None,
    markers: tuple[str, ...],
    processes: int,
    lengths: Sequence[int],
) -> Prepared:
    annotators = [alike[0] for alike in resolved]
    texts, texts_key = texts_of(corpus, root, cleaning, processes)
    if cleaning:
        markers = (*cleaning.markers, *cleaning.tokens, *markers)
    with progress("make the tokenizer", None):
        loaded = tokenizer.load(lambda: training_sample(texts), texts_key, root, tuple(dict.fromkeys(markers)))
    loaded.model_max_length = max(packing.length, ruler_length, *lengths)
    sha = tokenizer_fingerprint(loaded)
    tokens_key = digest("tokens", VERSION, texts.name, sha)
    tokens = folder_of(root / "tokens" / tokens_key, lambda new: _tokenise(new, texts, loaded, processes))
    marked, source = _marked(resolved, texts, tokens, loaded, root, processes)
    groups, group_of = _groups(texts, tokens, corpus.group)

    packer = Packer(root, texts_key, sha, tokens, loaded, annotators, marked, corpus.group, groups, group_of)
    alike = bool(groups)
    at = {length: packer("train", packing.of(length), alike) for length in sorted({packing.length, *lengths})}
    heldout, ruler = packer("heldout", packing, alike), packer("heldout", Packing("document", ruler_length), False)
    keys = {"train": at[packing.length].key, "heldout": heldout.key, "ruler": ruler.key}
    keys |= {f"train of {length}": part.key for length, part in at.items() if length != packing.length}
    parts = {"train": at[packing.length].rows, "heldout": heldout.rows, "ruler": ruler.rows}

    report = {"corpus": corpus.name} | _facts(texts) | {"folded": folded(loaded)}
    own = tokenizer.notes(loaded) if isinstance(tokenizer, TrainedTokenizer) else []
    if isinstance(tokenizer, TrainedTokenizer) and (sample := sampled(texts)):
        own.append(sample)
    notes = [*report["notes"], *own, *_facts(tokens)["notes"]]
    if report["folded"]:
        *first, last = report["folded"]
        notes.append(f"the tokenizer folds {', '.join(first)}{' and ' if first else ''}{last}")
    report |= _facts(tokens) | {"notes": notes}
    report["rows"] = {name: len(part) for name, part in parts.items()}
    return Prepared(
        tokenizer=loaded,
        train=parts["train"],
        heldout=parts["heldout"],
        ruler=parts["ruler"],
        at={length: part.rows for length, part in at.items()},
        fingerprints={"corpus": texts_key, "tokenizer": sha, **keys},
        report=report,
        source=source,
        groups=groups,
    )


def texts_of(corpus: Corpus, cache: Path, cleaning: Cleaning | None = None, processes: int = 1) -> tuple[Path, str]:
    """The folder with both sides of the split, and a key of the text in it, whatever else the documents carry."""
    settings: list[dict[str, Any]] = [cleaning.settings()] if cleaning else []
    settings += [{"keep": corpus.keep}] if corpus.keep else []
    settings += [{"duplicates": corpus.duplicates}]
    key = digest("texts", _TEXTS_VERSION, corpus.fingerprint(cache), corpus.heldout, *settings)

    def build(new: Path) -> None:
        rewriting = Rewriting(cleaning, new, processes) if cleaning else None
        # What `datasets` keeps of its own goes by paths and times: it is used once, and never found again.
        scratch = new / "reading"
        with progress(f"read the documents of {corpus.name}", None):
            documents = corpus.documents(scratch)
        facts = split(documents, corpus.heldout, new, corpus.keep, rewriting, corpus.duplicates, processes)
        facts["notes"] = [*corpus.notes, *facts["notes"]]
        del documents
        shutil.rmtree(scratch, ignore_errors=True)
        if cleaning:
            cleaning.rest()
            (new / _LEARNED).write_text(json.dumps(cleaning.learned()), encoding="utf-8")
        _write_facts(new, facts)

    name = digest(key, corpus.columns) if corpus.columns else key
    folder = folder_of(cache / "texts" / name, build)
    if cleaning:
        cleaning.recall(json.loads((folder / _LEARNED).read_text(encoding="utf-8")))
    return folder, key


def _resolved(columns: Iterable[str | Annotator], words: Segmenter) -> list[list[Annotator]]:
    """The annotators of the columns: for each column all objects that stand for it, the words first.

    `word` is among them where anything else is: others count in words.
    """
    found: dict[str, list[Annotator]] = {}
    for column in columns:
        if isinstance(column, str) and column != "word":
            raise RecipeError(
                f"there is no column {column!r}; `word` is known by name, others are annotators (see conf/masking)."
            )
        annotator = Words(words) if isinstance(column, str) else column
        alike = found.setdefault(annotator.name, [])
        if alike and (type(alike[0]), alike[0].settings()) != (type(annotator), annotator.settings()):
            raise RecipeError(
                f"two columns are named {annotator.name} and differ in their settings; give one of them another name."
            )
        alike.append(annotator)
    if found and "word" not in found:
        found["word"] = [Words(words)]
    return [found[name] for name in sorted(found, key=lambda name: (name != "word", name))]


def _marked(
    resolved: Sequence[Sequence[Annotator]],
    texts: Path,
    tokens: Path,
    tokenizer: PreTrainedTokenizerFast,
    root: Path,
    processes: int,
) -> tuple[list[Path], Source]:
    """The folder of each annotator's column, and the training side as they saw it.

    Words are marked first, then all others in one pass, so that they can share what they do with a document.
    """
    places: list[Path] = []
    word: Path | None = None
    source = Source(_side(texts, tokens, None, "train"), tokenizer, tokens.name, root, processes)
    for part in (resolved[:1], resolved[1:]):
        for annotator, *alike in part:
            for each in (annotator, *alike):  # the column is marked once, the tables are needed by every object
                each.fit(source)
            key = digest("column", VERSION, source.key, annotator.name, annotator.settings())
            places.append(root / "columns" / key)
        own = list(zip((alike[0] for alike in part), places[-len(part) :] if part else [], strict=True))
        _mark_missing(own, {side: _side(texts, tokens, word, side) for side in _SIDES}, processes)
        if part and word is None:
            word = places[0]
            source = Source(
                _side(texts, tokens, word, "train"), tokenizer, digest(tokens.name, word.name), root, processes
            )
    return places, source


def _mark_missing(columns: list[tuple[Annotator, Path]], sides: dict[str, Side], processes: int) -> None:
    """Mark the columns that are not in the cache yet, all in one pass over the documents."""
    missing = [(annotator, place) for annotator, place in columns if not is_whole(place)]
    if not missing:
        return

    def build(new: Path) -> None:
        for name, side in sides.items():
            targets = []
            for annotator, place in missing:
                (new / place.name / name).mkdir(parents=True)
                targets.append(new / place.name / name / f"{annotator.name}.npy")
            mark_all(side, [annotator for annotator, _ in missing], targets, processes, f"{name} documents")
        for _, place in missing:
            folder_of(place, partial(_moved, new / place.name))

    together = missing[0][1].parent / digest("pass", sorted(place.name for _, place in missing))
    shutil.rmtree(together, ignore_errors=True)  # a process that was ended may have left it, its columns moved
    shutil.rmtree(folder_of(together, build), ignore_errors=True)


def _side(texts: Path, tokens: Path, word: Path | None, side: str) -> Side:
    return Side(texts / f"{side}.arrow", tokens / side, None if word is None else word / side / "word.npy")


def _groups(texts: Path, tokens: Path, column: str | None) -> tuple[list[str], dict[str, np.ndarray]]:
    """The sorted values of the column that rows are kept apart by, and by side the number of each document's value."""
    if column is None:
        return [], {}
    values = {}
    for side in _SIDES:
        there = Texts(texts / f"{side}.arrow")
        named = np.array([str(value) for value in there.column(column, 0, len(there))])
        values[side] = named[mapped(tokens / side / "number.npy")]
    groups = np.unique(np.concatenate(list(values.values())))
    return groups.tolist(), {side: np.searchsorted(groups, named) for side, named in values.items()}


def _facts(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def _write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / "report.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _moved(made: Path, place: Path) -> None:
    """Move the contents of one folder to another."""
    for path in made.iterdir():
        os.replace(path, place / path.name)


def _tokenise(folder: Path, texts: Path, tokenizer: PreTrainedTokenizerFast, processes: int) -> None:
    facts: dict[str, Any] = {"tokens": {}, "unknown_share": {}, "unread_share": {}, "notes": []}
    unknown, rows = unknown_id(tokenizer), table_rows(tokenizer)
    for side in _SIDES:
        (folder / side).mkdir()
        file = texts / f"{side}.arrow"
        read, empty = tokenise(folder / side, file, tokenizer.backend_tokenizer, side, rows, unknown, processes)
        facts["tokens"][side] = read.tokens
        facts["unknown_share"][side], facts["unread_share"][side] = read.unknown_share, read.unread_share
        facts["notes"] += check_read(read, side)
        if empty:
            facts["notes"].append(f"{empty} {side} documents have no token")
    facts["characters"] = asked_for(tokenizer, train_texts(texts, "heldout"))
    _write_facts(folder, facts)


def _removed(report: Mapping[str, Any]) -> str:
    """What was taken out of train, for `summary`."""
    if report["duplicates_by"] == "none":
        return ", not compared for duplicates"
    whole = report["duplicate_documents"]
    counts = {"document": whole, "paragraph": report["duplicates"] - whole}
    parts = [f"{count:,} {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count]
    near = "nearly " if report["duplicates_by"] == "near" else ""
    return f", {' and '.join(parts)} removed that {near}stand in held-out text too" if parts else ""


def _short(count: int) -> str:
    return f"{count / 1e6:.2g}M" if count >= 1e5 else f"{count:,}"
