"""Taggers. spaCy is tried with pipelines of rules, which need no model; without it the cure is named."""

from __future__ import annotations

import pytest

from maskwright.annotation.taggers import UNIVERSAL, JiebaTags, Spacy, _portions, _universal, tagger_of
from maskwright.errors import RecipeError

TEXT = "Anna went to New York. The tall man saw her."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A saved pipeline: entities, tags and sentences by rule."""
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "Anna"}, {"label": "PLACE", "pattern": "New York"}])
    tags = pipeline.add_pipe("attribute_ruler")
    for word, tag in {"Anna": "PROPN", "went": "VERB", "man": "NOUN", ".": "PUNCT", "The": "DET"}.items():
        tags.add([[{"ORTH": word}]], {"POS": tag})
    pipeline.add_pipe("sentencizer")
    folder = tmp_path_factory.mktemp("model") / "rules"
    pipeline.to_disk(folder)
    return str(folder)


def found(source, document):
    return [(document.text[start:end], kind) for start, end, kind in source(document)]


def test_entities_tags_and_sentences(model, document_of):
    document = document_of(TEXT)
    assert found(Spacy(model, "entities"), document) == [("Anna", "PERSON"), ("New York", "PLACE")]
    tags = dict(found(Spacy(model, "tags"), document))
    assert {word: tags[word] for word in ("Anna", "went", "man", ".")} == {
        "Anna": "PROPN", "went": "VERB", "man": "NOUN", ".": "PUNCT"}  # fmt: skip
    assert set(tags.values()) <= set(UNIVERSAL)
    sentences = found(Spacy(model, "sentences"), document)
    assert [text for text, _ in sentences] == ["Anna went to New York.", "The tall man saw her."]


def test_noun_chunks(tmp_path, document_of):
    """Chunks of a parse that is set by hand."""
    spacy = pytest.importorskip("spacy")
    from spacy.language import Language

    @Language.component("parse_by_hand")
    def parse(doc):
        for token in doc:
            token.pos_ = {"The": "DET", "tall": "ADJ", "man": "NOUN", "saw": "VERB"}.get(token.text, "PUNCT")
            token.dep_ = {"The": "det", "tall": "amod", "man": "nsubj", "saw": "ROOT"}.get(token.text, "punct")
            token.head = doc[3] if token.text not in ("The", "tall") else doc[2]
        return doc

    pipeline = spacy.blank("en")
    pipeline.add_pipe("parse_by_hand")
    pipeline.to_disk(tmp_path / "parsed")
    assert found(Spacy(str(tmp_path / "parsed"), "phrases"), document_of("The tall man saw .")) == [
        ("The tall man", "phrase")]  # fmt: skip


def test_long_texts_are_tagged_in_portions(model, document_of):
    text = ("Anna went home. " * 300 + "\n\n") * 10
    places = list(_portions(text))
    assert "".join(text[begin:end] for begin, end in places) == text and len(places) > 2
    assert all(end - begin <= 20_000 for begin, end in places)
    entities = found(Spacy(model, "entities"), document_of(text))
    assert entities == [("Anna", "PERSON")] * 3000


def test_what_a_model_does_not_mark(model, document_of):
    with pytest.raises(RecipeError, match=r"^the spaCy model .* marks no phrases; name one that does"):
        Spacy(model, "phrases")(document_of(TEXT))


def test_refusals(monkeypatch, document_of):
    if pytest.importorskip("spacy"):
        with pytest.raises(RecipeError, match=r"^the spaCy model xx_none is not installed; run `python -m spacy"):
            Spacy("xx_none", "tags")
        with pytest.raises(RecipeError, match=r"^spaCy marks entities, phrases, tags, sentences; it is asked for k"):
            tagger_of("xx_none", "keyphrases")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"needs spaCy, .* run `pip install 'maskwright\[spacy\]'`"):
        Spacy("en_core_web_sm", "tags")
    with pytest.raises(RecipeError, match=r"^tagger=jieba needs rjieba"):
        tagger_of("jieba", "tags")
    with pytest.raises(RecipeError, match=r"^jieba gives tags, no entities"):
        tagger_of("jieba", "entities")


def test_chinese_tags(document_of):
    pytest.importorskip("rjieba")
    document = document_of("我爱北京，他不在大学。")
    expected = ["我PRON", "爱VERB", "北京PROPN", "，PUNCT", "他PRON", "不ADV", "在ADP", "大学NOUN", "。PUNCT"]
    assert [word + tag for word, tag in found(JiebaTags(None), document)] == expected


TAGS = (
    "a ad ag an b c d df dg e eng f g h i j k l m mg mq n ng nr nrfg nrt ns nt nz o p q r rg rr rz s t tg u ud ug uj "
    "ul uv uz v vd vg vi vn vq x y z zg"
)  # of jieba's dictionary


def test_every_tag_of_jiebas_dictionary_has_a_class():
    classes = {tag: _universal(tag) for tag in TAGS.split()}
    assert set(classes.values()) <= set(UNIVERSAL)
    expected = {
        "nrfg": "PROPN",
        "ng": "NOUN",
        "uj": "PART",
        "ul": "AUX",
        "vn": "NOUN",
        "vi": "VERB",
        "mq": "NUM",
        "eng": "X",
    }
    assert {tag: classes[tag] for tag in expected} == expected
    assert _universal("unheard") == "PART" and _universal("?") == "X"
