"""Fill-ins against a network whose answers are known."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest
import torch
from rich.console import Console
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from maskwright.errors import RecipeError
from maskwright.masking.view import View
from maskwright.tracking.fill_ins import fill_ins, held_out, show

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "united", "states", "of", "america"]


@pytest.fixture
def tokenizer():
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **{f"{k}_token": v for k, v in names.items()})


class Network(torch.nn.Module):
    """Says with probability 3/4 the token whose id is one more than its left neighbour's, and 1/4 "america"."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.modes = []

    def encode(self, ids_BL, valid_BL):
        assert valid_BL.dtype == torch.bool and valid_BL.shape == ids_BL.shape
        self.modes.append((self.training, torch.is_grad_enabled()))
        left_BL = torch.roll(ids_BL, 1, dims=1)
        return left_BL[..., None].float()

    def predict(self, hidden):
        chance = torch.full((*hidden.shape[:-1], len(WORDS)), 1e-9)
        chance[..., WORDS.index("america")] = 0.25
        chance.scatter_(-1, hidden.long() + 1, 0.75)
        return chance.log()

    def guessable(self, logits):
        return logits


def test_each_mask_of_a_sentence_gets_its_guesses_and_the_network_keeps_its_mode(tokenizer):
    network = Network().train()
    (row,) = fill_ins(network, tokenizer, ["the [MASK] states [MASK] america"], top=2)
    assert row == ("the [MASK] states [MASK] america", "", "united 75%, america 25% / of 75%, america 25%")
    assert network.training and network.modes == [(False, False)]


def test_a_sentence_without_a_mask_is_refused(tokenizer):
    with pytest.raises(RecipeError, match=r"'the united' has no \[MASK\]"):
        fill_ins(Network(), tokenizer, ["the united"])


def test_held_out_rows_show_the_middle_mask_and_the_truth(tokenizer):
    clean_BL = torch.tensor([[2, 5, 6, 7, 8, 9, 3, 0], [2, 5, 6, 3, 0, 0, 0, 0], [2, 7, 3, 0, 0, 0, 0, 0]])
    ids_BL = clean_BL.clone()
    place_BK = torch.tensor([[5, 1, 3], [2, 0, 0], [0, 0, 0]])
    counts_BK = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    for row in range(3):
        ids_BL[row, place_BK[row][counts_BK[row]]] = 4
    given = {
        "ids_BM": ids_BL, "clean_BL": clean_BL, "valid_BM": clean_BL > 0, "document_BM": (clean_BL > 0).long(),
        "place_BK": place_BK, "counts_BK": counts_BK, "target_BK": clean_BL.gather(1, place_BK),
        "rate_B": torch.full((3,), 0.3, dtype=torch.float64),
    }  # fmt: skip
    rest = {f.name: torch.zeros_like(clean_BL) for f in dataclasses.fields(View) if f.name not in given}
    rows = held_out(Network(), tokenizer, View(**given, **rest), rows=3, around=2, top=1)
    assert rows == [("_ united [MASK] of _", "states", "states 75%"), ("the [MASK] |", "united", "united 75%")]


def test_the_table_fits_and_escapes(tokenizer):
    console = Console(file=io.StringIO(), width=80)
    show([("the [MASK] of [bold]", "states", "states 75%"), ("x " * 60, "y", "z 1%")], console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "[MASK] of [bold]" in text and "truth" in text
    console = Console(file=io.StringIO(), width=80)
    show([("the [MASK]", "", "states 75%")], console)
    assert "truth" not in console.file.getvalue()
    assert math.isclose(Network().predict(torch.zeros(1, 1)).exp().sum().item(), 1.0, abs_tol=1e-6)
