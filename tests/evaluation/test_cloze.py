"""Cloze prompts: what stands where, and what is cut of it."""

from __future__ import annotations

import numpy as np
import pytest

from maskwright.errors import RecipeError
from maskwright.evaluation.cloze import ClozeEncoder, ClozeTemplate


def encoder(subject, template: str, texts: int = 1, length: int = 96) -> ClozeEncoder:
    return ClozeEncoder(ClozeTemplate(template, texts), subject.tokenizer, length, subject.mask)


@pytest.mark.parametrize(
    ("template", "filled", "triggers", "slot"),
    [
        ("{text} {trigger} {trigger} {mask}.", "the lost art [MASK] [MASK] [MASK].", [4, 5], 6),
        ("{mask} {trigger}: {text}", "[MASK] [MASK]: the lost art", [2], 1),
        ("in {trigger} {text} was {mask}", "in [MASK] the lost art was [MASK]", [2], 7),
    ],
)
def test_a_prompt_is_the_filled_template(template, filled, triggers, slot, subject):
    bert = subject("bert")
    (prompt,) = encoder(bert, template)([("the lost art",)])
    assert prompt.ids_L.tolist() == bert.tokenizer(filled)["input_ids"]
    assert prompt.trigger_T.tolist() == triggers and prompt.slot == slot


def test_a_space_before_a_slot_is_the_slots_own(subject):
    """Byte-level tokens hold the space before them: none is left over before a trigger."""
    bpe = subject("bert", "bpe")
    (prompt,) = encoder(bpe, "{text} {trigger} {mask} the")([("the ",)])
    plain = [bpe.tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("the", " the")]
    cls, sep = bpe.tokenizer.cls_token_id, bpe.tokenizer.sep_token_id
    assert prompt.ids_L.tolist() == [cls, *plain[0], bpe.mask, bpe.mask, *plain[1], sep]


@pytest.mark.parametrize(
    "template", ["{text} {trigger} {mask}.", "{mask} in {text} {trigger} of", "{trigger} {mask}{text}"]
)
@pytest.mark.parametrize("words", [5, 12, 13, 14, 15, 16, 300])
def test_one_mask_survives_and_texts_alone_are_cut(template, words, subject):
    bert = subject("bert")
    text = " ".join(["art", "[MASK]", "lost"] * words)[: 4 * words]  # a mask that is written in the text is text
    (whole,) = encoder(bert, template, length=10_000)([(text,)])
    cut_to = encoder(bert, template, length=16)
    (prompt,) = cut_to([(text,)])
    trigger = bert.tokenizer.convert_tokens_to_ids("state")
    for one in (whole, prompt):
        one.ids_L[one.trigger_T] = trigger
        assert one.ids_L[one.slot] == bert.mask and (one.ids_L == bert.mask).sum() == 1
    over = max(0, len(whole.ids_L) - 16)
    assert len(prompt.ids_L) == len(whole.ids_L) - over and cut_to.truncated == (over > 0)
    (empty,) = encoder(bert, template)([("",)])
    empty.ids_L[empty.trigger_T] = trigger
    size = len(whole.ids_L) - len(empty.ids_L)
    first = next(n for n in range(len(whole.ids_L)) if n >= len(empty.ids_L) or whole.ids_L[n] != empty.ids_L[n])
    expected = np.concatenate([whole.ids_L[: first + size - over], whole.ids_L[first + size :]])
    assert prompt.ids_L.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("sizes", "kept"), [((3, 50), (3, 13)), ((50, 3), (13, 3)), ((50, 50), (8, 8)), ((9, 7), (9, 7))]
)
def test_of_a_pair_the_longer_text_is_cut(sizes, kept, subject):
    bert = subject("bert")
    art, state = bert.tokenizer.convert_tokens_to_ids(["art", "state"])
    cut = encoder(bert, "{text} {mask} {trigger} {text}", 2, length=20)
    (prompt,) = cut([("art " * sizes[0], "state " * sizes[1])])
    assert ((prompt.ids_L == art).sum(), (prompt.ids_L == state).sum()) == kept
    assert cut.truncated == (sum(sizes) > 16) and len(prompt.ids_L) == min(20, 4 + sum(sizes))


def test_mistakes_are_named(subject):
    for template, texts, sentence in (
        ("{text} {trigger}", 1, r"needs \{mask\} once and \{text\} as often as"),
        ("{text} {mask} {mask}", 1, r"needs \{mask\} once"),
        ("{text} {mask}", 2, r"names columns \(2\)"),
        ("{sentence} {mask}", 1, r"has \{sentence\}; its places are \{text\}, \{trigger\} and \{mask\}"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            ClozeTemplate(template, texts)
    with pytest.raises(RecipeError, match="evaluation.template alone takes 6 tokens, and a prompt may have 6"):
        encoder(subject("bert"), "{text} {mask} of the {trigger}", length=6)([("art",)])
