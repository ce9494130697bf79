"""A small WordPiece tokenizer and one tiny recipe for each family."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from maskwright.models import ModelRecipe, Network

torch.set_num_threads(1)

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_tokenizer(words: int = 91) -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *(f"w{i}" for i in range(words))])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=24,
    )


TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}
DISENTANGLED = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
# The initial weights are wide enough for every effect to be far above rounding.
RECIPES = {
    "bert": {"family": "bert", "config": {**TINY, "initializer_range": 0.2}},
    "roberta": {"family": "roberta", "config": {**TINY, "initializer_range": 0.2}},
    "electra": {"family": "electra", "config": {**TINY, "embedding_size": 16, "initializer_range": 0.2}},
    "deberta_v2": {
        "family": "deberta_v2",
        "config": {**TINY, **DISENTANGLED, "conv_kernel_size": 3, "initializer_range": 0.2},
    },
    "deberta_v3": {"family": "deberta_v3", "config": {**TINY, **DISENTANGLED, "initializer_range": 0.2}},
    "modernbert": {
        "family": "modernbert",
        "config": {**TINY, "global_attn_every_n_layers": 2, "local_attention": 8, "initializer_range": 0.2},
    },
    "roberta_prelayernorm": {"family": "roberta_prelayernorm", "config": {**TINY, "initializer_range": 0.2}},
    "xlm_roberta": {"family": "xlm_roberta", "config": {**TINY, "initializer_range": 0.2}},
    "xlm_roberta_xl": {"family": "xlm_roberta_xl", "config": {**TINY, "initializer_range": 0.2}},
    "camembert": {"family": "camembert", "config": {**TINY, "initializer_range": 0.2}},
    "longformer": {"family": "longformer", "config": {**TINY, "attention_window": 16, "initializer_range": 0.2}},
    "albert": {
        "family": "albert",
        "config": {
            **TINY,
            "embedding_size": 16,
            "num_hidden_layers": 3,
            "num_hidden_groups": 2,
            "initializer_range": 0.2,
        },
    },
    "mpnet": {"family": "mpnet", "config": {**TINY, "initializer_range": 0.2}},
    "distilbert": {"family": "distilbert", "config": {**TINY, "initializer_range": 0.2}},
    "ltg_bert": {"family": "ltg_bert", "config": {**TINY, "position_buckets": 8}},  # its initial weights are wide
    "llama": {"family": "llama", "config": {**TINY, "tie_word_embeddings": True, "initializer_range": 0.2}},
}


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def tokenizers():
    """Makes tokenizers with another number of words."""
    return make_tokenizer


@pytest.fixture(scope="session")
def recipes() -> dict[str, dict]:
    return RECIPES


@pytest.fixture
def network(tokenizer):
    """Builds a tiny network in eval mode: network(name, head=None, **changes of the recipe)."""

    def build(name: str, head: str | None = None, **changes) -> Network:
        torch.manual_seed(3)
        recipe = ModelRecipe(**{**RECIPES[name], **changes})
        return recipe.build(tokenizer, 24, head or recipe.heads[0]).eval()

    return build
