"""Model recipes: what is refused and with which words, what is drawn, what a smaller network keeps."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe
from maskwright.models.families import FAMILIES


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("bort", {}, "model.family is bort; choose one of bert, roberta, "),
        (
            "bert",
            {"hidden_size": 30, "num_attention_heads": 4},
            "which 4 heads cannot share equally; try hidden_size=32.",
        ),
        ("bert", {"hiden_size": 32}, "model.config.hiden_size is no setting of bert; did you mean hidden_size?"),
        ("bert", {"vocab_size": 32}, "model.config.vocab_size is set by the tokenizer and the objective; remove it."),
        ("bert", {"num_hidden_layers": 0}, "model.config.num_hidden_layers is 0; it must be at least 1."),
        ("bert", {"hidden_dropout_prob": 1.5}, "model.config.hidden_dropout_prob is 1.5; a dropout lies in 0..1"),
        (
            "modernbert",
            {"hidden_size": 6, "num_attention_heads": 2},
            "is 3; rotary positions need an even number, try hidden_size=8.",
        ),
        ("llama", {"num_attention_heads": 4, "num_key_value_heads": 3}, "it must divide the 4 heads."),
        ("deberta_v3", {"legacy": False, "embedding_size": 8}, "narrower embeddings need legacy=true."),
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_built(family, changes, message, recipes):
    config = {**recipes.get(family, recipes["bert"])["config"], **changes}
    with pytest.raises(RecipeError) as caught:
        ModelRecipe(family, config)
    assert message in str(caught.value)


def test_wrong_heads_lengths_and_attention_are_refused(tokenizer, recipes):
    with pytest.raises(RecipeError, match="bert is an encoder without the head causal; choose model=llama_tiny"):
        ModelRecipe(**recipes["bert"]).build(tokenizer, 24, "causal")
    with pytest.raises(RecipeError, match="llama is a decoder without the head mlm; choose model=bert_tiny"):
        ModelRecipe(**recipes["llama"]).build(tokenizer, 24, "mlm")
    with pytest.raises(RecipeError, match="a row needs at least 3"):
        ModelRecipe(**recipes["bert"]).build(tokenizer, 2)
    with pytest.raises(RecipeError, match="deberta_v3 runs with eager"):
        ModelRecipe(**recipes["deberta_v3"], attention="sdpa")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_tokenizer_and_the_rows_set_their_numbers(name, recipes, tokenizer):
    recipe = ModelRecipe(**recipes[name])
    net = recipe.build(tokenizer, 40, recipe.heads[0])
    assert net.word_embeddings.num_embeddings == len(tokenizer) == net.config.vocab_size
    assert net.config.pad_token_id == tokenizer.pad_token_id
    assert net.config.max_position_embeddings == 40 + {"mpnet": 2, "longformer": 1, "camembert": 1}.get(
        name, int("roberta" in name)
    )
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert net.encode(torch.full((1, 40), 7), padded=False).shape == (1, 40, 32)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_depend_on_the_global_seed_alone(name, recipes, tokenizer):
    recipe = ModelRecipe(**recipes[name])

    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return recipe.build(tokenizer, 24, recipe.heads[0]).state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_hydra_containers_are_plain_inside(recipes):
    config = OmegaConf.create({**recipes["deberta_v3"]["config"]})
    recipe = ModelRecipe("deberta_v3", config)
    assert type(recipe.config) is dict and type(recipe.config["pos_att_type"]) is list


@pytest.mark.parametrize("name", FAMILIES)
def test_a_smaller_network_is_scaled_and_runs(name, recipes, tokenizer):
    big = ModelRecipe(**recipes[name])
    small = big.smaller(width=0.5, depth=0.5)
    net = small.build(tokenizer, 24, small.heads[0])
    layers = max(1, round(big.config["num_hidden_layers"] / 2))
    assert (net.config.hidden_size, net.config.num_hidden_layers, small.config["intermediate_size"]) == (16, layers, 24)
    assert net.config.num_attention_heads == 1
    assert net.encode(torch.full((1, 24), 7), padded=False).shape == (1, 24, 16)
    kept = small.embedding_size == big.embedding_size
    assert kept == (name in ("electra", "deberta_v2", "deberta_v3", "albert"))
    assert net.word_embeddings.embedding_dim == small.embedding_size


def test_generators_have_the_sizes_of_the_paper():
    """arXiv 2003.10555, table 6: widths 64, 256 and 256 with 1, 4 and 4 heads, same depth."""
    for width, heads, layers, factor, wanted in (
        (256, 4, 12, 1 / 4, (64, 1, 256)),
        (768, 12, 12, 1 / 3, (256, 4, 1024)),
        (1024, 16, 24, 1 / 4, (256, 4, 1024)),
    ):
        config = {
            "hidden_size": width,
            "num_attention_heads": heads,
            "num_hidden_layers": layers,
            "intermediate_size": 4 * width,
        }
        made = ModelRecipe("electra", config).smaller(width=factor).config
        assert (made["hidden_size"], made["num_attention_heads"], made["intermediate_size"]) == wanted
        assert made["num_hidden_layers"] == layers and made["embedding_size"] == 128


def test_shares_outside_0_to_1_are_refused(recipes):
    with pytest.raises(RecipeError, match=r"generator.width is 1.5; it is a share of the other network in 0..1."):
        ModelRecipe(**recipes["bert"]).smaller(width=1.5)
