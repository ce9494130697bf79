"""Sample rows say what the views hold, also where their length differs from the clean row's."""

from __future__ import annotations

import pytest

from maskwright.masking import Outcome
from maskwright.seeing.pieces import Reader, apart
from maskwright.seeing.tokens import plain_tokens, read, tokens

RECIPES = {
    "masked": ("corruption=bert",),
    "deleted": ("corruption=mask_and_delete",),
    "infilled": ("masking=span_poisson", "corruption=infill", "rate.value=0.5"),
    "sentinel": ("masking=span", "corruption=sentinel"),
    "inserted": ("corruption=insert", "rate.value=0.2"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_and_readings_agree_with_the_view(recipe, look_at):
    look = look_at(*RECIPES[recipe])
    view, special = look.made["main"], look.prepared.tokenizer
    inserted = 0
    for row in range(len(view.clean_BL)):
        clean, reading = tokens(look, view, row, None), read(view, row)
        assert [t.id for t in clean] == view.clean_BL[row][look.real_BL[row]].tolist()
        assert [t.id for t in reading] == view.ids_BM[row][view.valid_BM[row]].tolist()
        there = {t.origin: t.id for t in reading if t.origin >= 0}
        inserted += sum(t.origin < 0 for t in reading)
        for token in clean:
            assert token.shown == there.get(token.place)
            assert (token.shown is None) == (token.outcome == Outcome.REMOVED)
            if token.outcome in (Outcome.VISIBLE, Outcome.KEPT, Outcome.INSERTED):
                assert token.shown == token.id
            if token.outcome in (Outcome.MASKED, Outcome.INFILLED):
                assert token.shown == special.mask_token_id
            if token.outcome == Outcome.SENTINEL:
                assert special.convert_ids_to_tokens(token.shown).startswith("<extra_id_")
        predicted = set(view.source_BK[row][view.counts_BK[row]].tolist())
        assert {t.place for t in clean if t.predicted} == predicted
        assert [t.origin for t in reading if t.origin >= 0] == sorted(there)
        # what is read and what was removed make the clean row again
        assert sorted([*there, *(t.place for t in clean if t.shown is None)]) == [t.place for t in clean]
    assert (inserted > 0) == (recipe in ("infilled", "inserted"))


def test_why_training_would_refuse_is_said(look_at):
    assert look_at("corruption=bert").refused is None
    assert "corruption=mask" in look_at(*RECIPES["infilled"]).refused


def test_columns_are_told_by_name(look_at, strata):
    look = look_at(*strata, rows=6)
    view, words = look.made["main"], {"stop": {"the", "of", "and", "to", "a", "in"}}
    told = [token for row in range(6) for token in tokens(look, view, row, None)]
    reader = Reader(look.prepared.tokenizer)
    stopped = {reader[token.id].text for token in told if token.columns["stratum"] == "stop"}
    assert stopped and stopped <= words["stop"]
    assert {token.columns["stratum"] for token in told} == {None, "stop", "easy"}
    assert all(isinstance(token.columns["word"], bool) for token in told)


def test_loss_weights_are_those_of_the_view(look_at, strata):
    look = look_at(*strata, rows=6)
    view = look.made["main"]
    for row in range(6):
        listed = plain_tokens(tokens(look, view, row, None), Reader(look.prepared.tokenizer))
        total = sum(token["loss_weight"] for token in listed if token["predicted"])
        assert total == pytest.approx(view.weight_BK[row][view.counts_BK[row]].sum().item())


@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe", "unigram"])
def test_tokens_read_as_the_text(tokenizer, look_at):
    """Glued pieces together, others apart: the row reads as the tokenizer decodes it, spaces aside."""
    vocabulary = "400" if tokenizer == "bpe" else "300"
    look = look_at(f"tokenizer={tokenizer}", f"tokenizer.vocabulary={vocabulary}", rows=3)
    reader, special = Reader(look.prepared.tokenizer), set(look.prepared.tokenizer.all_special_ids)
    for row in range(3):
        ids = [token.id for token in tokens(look, look.made["main"], row, None) if token.id not in special]
        text = "".join((" " if reader[i].spaced else "") + reader[i].text for i in ids).strip()
        text = text.replace("▁", "")  # a token of white space alone is shown as ▁
        decoded = look.prepared.tokenizer.decode(ids).removeprefix("##")
        assert "".join(text.split()) == "".join(decoded.split())
        if tokenizer != "wordpiece":  # whose decoding sets signs apart as it likes
            assert [w for w in text.split() if w.isalpha()] == [w for w in decoded.split() if w.isalpha()]


def test_scripts_without_spaces_have_none():
    """Han characters stand side by side though each is a token; Korean words stand apart."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pieces = ["[UNK]", "[CLS]", "京", "剧", "1934", "年", "，", "한국", "a", "##b", "か"]
    backend = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    reader = Reader(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]"))
    text, before = "", None
    for number in (1, 2, 3, 6, 4, 5, 8, 9, 7, 10):
        text += (" " if apart(before, reader[number]) else "") + reader[number].text
        before = reader[number]
    assert text == "[CLS] 京剧， 1934年 ab 한국か"
