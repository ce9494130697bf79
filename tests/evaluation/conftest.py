"""Tiny networks of every family with real tokenizers, and the sentences that they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from maskwright.evaluation.subject import Subject
from maskwright.models import ModelRecipe

SENTENCES = (
    "The traveller lost the souvenir.",
    "Don't the unbelievably careless travellers' children carelessly lose souvenirs?",
    "the the the the",
    "lost",
    "A state-of-the-art traveller, lost in 1984, was found!",
    "Ünïcode traveller 旅行 lost.",
)
SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 104, "initializer_range": 0.3,
}  # fmt: skip


def wrapped(backend: Tokenizer, bos: str | None = None) -> PreTrainedTokenizerFast:
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    special = {f"{role}_token": token for role, token in SPECIALS.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=96, bos_token=bos, **special)


def wordpiece(bos: str | None = None) -> PreTrainedTokenizerFast:
    pieces = ["the", "travel", "##ler", "##lers", "lost", "so", "##uve", "##nir", "un", "##believ", "##ably", "care",
              "##less", "##ly", "child", "##ren", "of", "art", "state", "in", "was", *".?,!-'"]  # fmt: skip
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = [*SPECIALS.values(), *pieces, *letters, *("##" + letter for letter in letters), "1", "##9"]
    backend = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return wrapped(backend, bos)


def byte_bpe() -> PreTrainedTokenizerFast:
    """Byte-level, where a token holds the space before it and a character may be several tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "t"), ("Ġ", "l"), ("Ġl", "o"), ("s", "t"), ("Ġlo", "st"), ("Ġt", "r")]
    vocabulary = [*SPECIALS.values(), *alphabet, *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({piece: n for n, piece in enumerate(vocabulary)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return wrapped(backend)


TOKENIZERS = {"wordpiece": wordpiece, "bpe": byte_bpe}


@pytest.fixture(scope="session")
def sentences() -> tuple[str, ...]:
    return SENTENCES


@pytest.fixture(scope="session")
def subject() -> Callable[..., Subject]:
    """`subject("bert", tokenizer="bpe", head=None, **config)`: a tiny random network."""

    def make(family: str = "bert", tokenizer: str = "wordpiece", head: str | None = None, **config: Any) -> Subject:
        made = TOKENIZERS[tokenizer]()
        torch.manual_seed(7)
        recipe = ModelRecipe(family, {**SHAPE, **config})
        head = head or recipe.heads[0]
        network = recipe.build(made, 96, head).eval()
        return Subject(network, made, head, 96, f"run={family}")

    return make


@pytest.fixture(scope="session")
def bos_wordpiece() -> PreTrainedTokenizerFast:
    """The WordPiece tokenizer that also names its [CLS] as BOS, as other scorers want it of causal models."""
    return wordpiece("[CLS]")
