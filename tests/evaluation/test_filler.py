"""Words written into holes: against a loop that fills one hole after the other with the whole model."""

from __future__ import annotations

import pytest
import torch

from maskwright.data import TrainedTokenizer
from maskwright.data.tokenizers import wrapped
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError
from maskwright.evaluation.filler import Filler
from maskwright.masking.noise import stream_id, uniform
from maskwright.models import ModelRecipe

TEXTS = [
    "Mister Smith and Mister John Quincy Adams went to the house of the people today.",
    "No hole here.",
    "(Smith), Smith: Smith's! It was [MASK] of the people; the people were there and there again and again.",
    "Adams",
]
HIDDEN = {"Smith", "Smith's", "John", "Quincy", "Adams"}


def holes_of(text):
    return [word for word in word_spans(text) if text[slice(*word)] in HIDDEN]


HOLES = [holes_of(text) for text in TEXTS]
NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def model(request, small_text, tmp_path_factory):
    """A random network whose rows hold 24 tokens, saved with a tokenizer that knows whole words."""
    folder = tmp_path_factory.mktemp(request.param)
    kind = TrainedTokenizer(request.param, 700, lowercase=request.param == "wordpiece")
    tokenizer = wrapped(kind.train([small_text.read_text()]))
    tokenizer.model_max_length = 24
    torch.manual_seed(3)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    network = ModelRecipe("bert", {**shape, "initializer_range": 0.5}).build(tokenizer, 24).eval()
    network.hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, network.hf, tokenizer


def safe(word):
    return len(word) > 1


def filled(filler, texts=TEXTS, holes=HOLES, names=NAMES, banned=None):
    if banned is None:
        banned = [{text[slice(*hole)].casefold() for hole in own} for text, own in zip(texts, holes, strict=True)]
    return filler(texts, holes, names, safe, banned)


def by_hand(model, text, holes, banned, choose):
    """One forward pass of the whole model for each hole, from left to right among neighbours."""
    _, hf, tokenizer = model
    backend, mask = tokenizer.backend_tokenizer, tokenizer.mask_token_id
    backend.encode_special_tokens = True
    ids, places, last = [], [], 0
    encoding = backend.encode(text, add_special_tokens=False)
    backend.encode_special_tokens = False
    spans = list(zip(encoding.ids, encoding.offsets, strict=True))
    for first, behind in holes:
        before = [(token, text[start:end]) for token, (start, end) in spans if start >= last and end <= first]
        if before and before[-1][1] == " ":  # the word that is written brings its space
            before.pop()
        ids += [token for token, _ in before]
        places.append(len(ids))
        ids.append(mask)
        last = behind
    ids += [token for token, (start, _) in spans if start >= last]
    words = {}
    for token in range(len(tokenizer)):
        word = tokenizer.decode([token]).strip()
        whole = word and token not in tokenizer.all_special_ids and word_spans(word) == [(0, len(word))]
        if whole and any(map(str.isalnum, word)) and safe(word) and word.casefold() not in banned:
            behind = tokenizer(f"a {word}", add_special_tokens=False)["input_ids"]
            if behind == [*tokenizer("a", add_special_tokens=False)["input_ids"], token]:
                words[token] = word
    rank = [0] * len(places)
    for number in range(1, len(places)):
        rank[number] = rank[number - 1] + 1 if places[number] == places[number - 1] + 1 else 0
    written = [""] * len(places)
    for turn in range(max(rank, default=-1) + 1):
        chosen = {}
        for number, place in enumerate(places):
            if rank[number] != turn:
                continue
            window = place // 22 * 22
            row = [tokenizer.cls_token_id, *ids[window : window + 22], tokenizer.sep_token_id]
            with torch.no_grad():
                scores = hf(torch.tensor([row])).logits[0, place - window + 1]
            best = sorted(words, key=lambda token: -scores[token].item())
            chosen[place], written[number] = best[choose(number)], words[best[choose(number)]]
        for place, token in chosen.items():
            ids[place] = token
    return written


def test_the_most_likely_words(model):
    found = filled(Filler(str(model[0])))
    for text, holes, words in zip(TEXTS, HOLES, found, strict=True):
        banned = {text[slice(*hole)].casefold() for hole in holes}
        assert words == by_hand(model, text, holes, banned, lambda hole: 0)
        assert len(words) == len(holes)


def test_one_of_the_most_likely_words(model):
    """The draw is a function of seed, document and hole."""
    filler = Filler(str(model[0]), top=5, seed=9)
    found = filled(filler)
    for text, holes, name, words in zip(TEXTS, HOLES, NAMES, found, strict=True):
        banned = {text[slice(*hole)].casefold() for hole in holes}
        draws = (uniform((9, stream_id("fill"), stream_id(name)), 16)[0] * 5).long().tolist()
        assert words == by_hand(model, text, holes, banned, draws.__getitem__)
    assert filled(filler, TEXTS[::-1], HOLES[::-1], NAMES[::-1]) == found[::-1]
    assert [filled(filler, [t], [h], [n])[0] for t, h, n in zip(TEXTS, HOLES, NAMES, strict=True)] == found
    assert filled(Filler(str(model[0]), top=5, seed=10)) != found
    assert filled(filler, names=NAMES[::-1]) != found


def test_what_is_banned_is_not_written(model):
    filler = Filler(str(model[0]))
    words = filled(filler)[0]
    banned = [{word.casefold() for word in words}, set(), set(), set()]
    again = filled(filler, banned=banned)[0]
    assert not banned[0] & {word.casefold() for word in again}
    assert len(again) == len(words)


def test_settings_follow_the_models_content(model, tmp_path):
    folder, hf, tokenizer = model
    hf.save_pretrained(tmp_path / "copy")
    tokenizer.save_pretrained(tmp_path / "copy")
    settings = Filler(str(folder)).settings()
    assert Filler(str(tmp_path / "copy")).settings() == settings
    assert Filler(str(folder), seed=5).settings() == settings  # no draw, no seed
    assert Filler(str(folder), top=2, seed=5).settings() != Filler(str(folder), top=2, seed=6).settings()
    other = ModelRecipe("bert", {"hidden_size": 32, "num_attention_heads": 2}).build(tokenizer, 24)
    other.hf.save_pretrained(tmp_path / "copy")
    assert Filler(str(tmp_path / "copy")).settings() != settings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Filler(None), "cleaning.filler.run is not set; name a run's folder, an export, or a masked language"),
        (lambda: Filler("x", top=0), "cleaning.filler.top is 0; it is a number of words from 1 up."),
        (lambda: Filler("./nowhere").settings(), "cleaning.filler.run is ./nowhere, which does not exist; give a fold"),
        (lambda: Filler("some/name").settings(), "cleaning.filler.run=some/name is neither a local model nor one that"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(RecipeError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_model_must_know_an_unprotected_word(model):
    with pytest.raises(RecipeError, match=r"^cleaning.filler.run=.* has no token that is an unprotected word; protect"):
        Filler(str(model[0]))(TEXTS, HOLES, NAMES, lambda word: False, [set()] * 4)
