"""Taggers that the user installs: spaCy for entities, phrases, sentences and parts of speech, jieba for Chinese ones.

They are loaded once in each process, when the first document is tagged, and not at all where the columns are cached.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.annotation.segmenters import jieba_settings, jieba_words, require_jieba
from maskwright.annotation.sources import Span, Spans
from maskwright.data.document import Document
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

_VERSION = 1
_PORTION = 20_000  # characters that spaCy sees at once, cut at white space, if possible between paragraphs
UNIVERSAL = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)  # fmt: skip

# What is asked for -> the components that it does not need, and the annotation that shows it was there.
_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "entities": (("tagger", "morphologizer", "attribute_ruler", "parser", "senter", "lemmatizer"), "ENT_IOB"),
    "phrases": (("ner", "senter", "lemmatizer", "entity_ruler"), "DEP"),
    "tags": (("ner", "parser", "senter", "lemmatizer", "entity_ruler"), "POS"),
    "sentences": (("ner", "tagger", "morphologizer", "attribute_ruler", "lemmatizer", "entity_ruler"), "SENT_START"),
}


def tagger_of(name: str, what: str) -> Spans:
    """The tagger of that name: `jieba` for tags of Chinese, else a spaCy model."""
    if name != "jieba":
        return Spacy(name, what)
    if what != "tags":
        raise RecipeError(f"jieba gives tags, no {what}; set tagger to a spaCy model, or name a column or a file.")
    return JiebaTags(None)


class Spacy(Spans):
    """What a spaCy pipeline marks. model: its name, or the folder of a saved one. what: `entities`, `phrases` (noun
    chunks), `tags` (universal parts of speech) or `sentences`.

    Raises RecipeError when spaCy or the model is not installed, or when the model does not mark that.
    """

    def __init__(self, model: str, what: str) -> None:
        if what not in _KINDS:
            raise RecipeError(f"spaCy marks {', '.join(_KINDS)}; it is asked for {what}.")
        if importlib.util.find_spec("spacy") is None:
            raise RecipeError(
                f"tagger={model} needs spaCy, which is not installed; run `pip install 'maskwright[spacy]'` and "
                f"`python -m spacy download {model}`."
            )
        self.model, self.what = str(model), what
        self._release = _release(self.model)

    @property
    def types(self) -> tuple[str, ...] | None:
        return {"tags": UNIVERSAL, "phrases": ("phrase",), "sentences": ("sentence",)}.get(self.what)

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION, "model": self.model, "release": self._release, "what": self.what}

    def find(self, document: Document) -> list[Span]:
        pipeline = _pipeline(self.model, self.what)
        found: list[Span] = []
        portions = list(_portions(document.text))
        with pipeline.memory_zone():  # what it learns of new words is forgotten with the document
            tagged = pipeline.pipe(document.text[begin:end] for begin, end in portions)
            for (begin, _), part in zip(portions, tagged):
                if len(part) and not part.has_annotation(_KINDS[self.what][1]):
                    raise RecipeError(
                        f"the spaCy model {self.model} marks no {self.what}; name one that does, as en_core_web_sm."
                    )
                found += [(begin + start, begin + end, kind) for start, end, kind in _marked(part, self.what)]
        return found


def _marked(doc: Doc, what: str) -> Iterator[Span]:
    if what == "tags":
        for token in doc:
            if token.pos_ and token.pos_ != "SPACE":
                yield token.idx, token.idx + len(token), token.pos_
        return
    spans = {"entities": lambda: doc.ents, "phrases": lambda: doc.noun_chunks, "sentences": lambda: doc.sents}[what]()
    for span in spans:
        yield span.start_char, span.end_char, span.label_ if what == "entities" else what[:-1]


@lru_cache(maxsize=4)
def _pipeline(model: str, what: str) -> Language:
    import spacy

    try:
        pipeline = spacy.load(model, exclude=list(_KINDS[what][0]))
    except Exception as error:  # unreadable or outdated models raise whatever their parts raise
        raise RecipeError(f"the spaCy model {model} cannot be loaded ({error}); install one for this spaCy.") from None
    return pipeline


def _release(model: str) -> str:
    """What tells one release of a model from the next, without loading it."""
    folder = Path(model).expanduser()
    if (folder / "meta.json").is_file():
        parts = [path for name in ("meta.json", "config.cfg") for path in sorted(folder.glob(name))]
        return hashlib.blake2b(b"".join(path.read_bytes() for path in parts), digest_size=16).hexdigest()
    if not model.isidentifier() or importlib.util.find_spec(model) is None:
        raise RecipeError(
            f"the spaCy model {model} is not installed; run `python -m spacy download {model}`, or name the folder of "
            "a saved one."
        )
    return importlib.metadata.version(model)


_PARAGRAPHS = re.compile(r"\n\s*\n")


def _portions(text: str) -> Iterator[tuple[int, int]]:
    """Characters of each portion."""
    begin = 0
    while len(text) - begin > _PORTION:
        window = text[begin : begin + _PORTION]
        cut = max((match.end() for match in _PARAGRAPHS.finditer(window)), default=0)
        cut = cut or max(window.rfind(" "), window.rfind("\n"), window.rfind("。")) + 1 or _PORTION
        yield begin, begin + cut
        begin += cut
    yield begin, len(text)


# jieba's tags (those of the Peking University corpus) by their first letters, the longest first.
_JIEBA = {
    "ng": "NOUN", "nr": "PROPN", "ns": "PROPN", "nt": "PROPN", "nz": "PROPN", "n": "NOUN", "t": "NOUN", "s": "NOUN",
    "f": "ADP", "vd": "ADV", "vn": "NOUN", "v": "VERB", "ad": "ADV", "an": "NOUN", "a": "ADJ", "b": "ADJ", "z": "ADJ",
    "r": "PRON", "m": "NUM", "q": "NOUN", "d": "ADV", "p": "ADP", "c": "CCONJ", "ug": "AUX", "ul": "AUX", "uz": "AUX",
    "u": "PART", "y": "PART", "e": "INTJ", "o": "INTJ", "x": "PUNCT", "w": "PUNCT", "i": "X", "l": "X", "j": "NOUN",
    "k": "PART", "h": "PART", "g": "NOUN", "eng": "X",
}  # fmt: skip


class JiebaTags(Spans):
    """Universal parts of speech of Chinese text from jieba's own tags; a tag is given to a whole word of jieba's.

    dictionary: a file with further words, as for `maskwright.annotation.segmenters.Jieba`.
    """

    def __init__(self, dictionary: str | None) -> None:
        require_jieba("tagger=jieba")
        self.dictionary = dictionary

    @property
    def types(self) -> tuple[str, ...]:
        return UNIVERSAL

    def settings(self) -> dict[str, Any]:
        return {"version": _VERSION} | jieba_settings(self.dictionary)

    def find(self, document: Document) -> list[Span]:
        found: list[Span] = []
        begin = 0
        for word, tag in jieba_words(self.dictionary).tag(document.text):
            end = begin + len(word)
            if not word.isspace():
                found.append((begin, end, _universal(tag)))
            begin = end
        return found


@cache
def _universal(tag: str) -> str:
    return next((_JIEBA[tag[:size]] for size in range(len(tag), 0, -1) if tag[:size] in _JIEBA), "X")
