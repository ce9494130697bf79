"""Values of model.config: of the kinds that the config class names, and an advised value is accepted."""

from __future__ import annotations

import re

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe
from maskwright.models.families import FAMILIES

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("family", "key", "value", "message"),
    [
        *(("bert", "num_hidden_layers", value, f"is {shown}; it is a whole number.")
          for value, shown in ((NAN, "nan"), (INF, "inf"), ("abc", "abc"), (True, "true"), (2.5, 2.5), (None, "null"))),
        ("bert", "hidden_dropout_prob", NAN, "is nan; it is a number."),
        ("bert", "hidden_dropout_prob", True, "is true; it is a"),
        ("bert", "layer_norm_eps", INF, "is inf; it is a number."),
        ("bert", "layer_norm_eps", -1.0, "is -1.0; it must be at least 0."),
        ("bert", "type_vocab_size", 0, "is 0; it must be at least 1."),
        ("bert", "hidden_act", 3, "is 3; it is a word."),
        ("bert", "hidden_act", "gelo", "is gelo, which is no activation; did you mean gelu?"),
        ("bert", "add_cross_attention", True, "is set by the tokenizer and the objective; remove it."),
        ("distilbert", "num_hidden_layers", "abc", "is abc; it is a whole number."),
        ("deberta_v3", "pos_att_type", [1], "it is a word or a list of words or null."),
        ("deberta_v2", "conv_kernel_size", "abc", "is abc; it is a whole number."),
        ("deberta_v2", "conv_kernel_size", 4, "is 4; give an odd number, or 0 for no convolution."),
        ("deberta_v2", "conv_groups", 3, "is 3; it must divide hidden_size, which is 32."),
        ("deberta_v3", "attention_head_size", 3, "is 3; 2 heads of it must make up hidden_size, 32."),
        ("llama", "rope_parameters", [], "model.config"),
        ("llama", "rope_theta", "abc", "is abc; it is a number."),
        ("albert", "num_hidden_groups", 4, "is 4; each of the 3 layers belongs to one group."),
        ("longformer", "attention_window", 7, "is 7; a window is an even number from 2 up."),
        ("longformer", "attention_window", [4, 4, 4], "names 3 windows for 2 layers; give one for each."),
        ("mpnet", "relative_attention_num_buckets", 16, "is 16; transformers' MPNet uses 32."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_cure(family, key, value, message, recipes):
    with pytest.raises(RecipeError) as caught:
        ModelRecipe(family, {**recipes[family]["config"], key: value})
    assert message in str(caught.value) and key in str(caught.value)


def test_a_whole_number_is_a_number(recipes, tokenizer):
    recipe = ModelRecipe("bert", {**recipes["bert"]["config"], "layer_norm_eps": 1, "hidden_dropout_prob": 0})
    assert recipe.build(tokenizer, 24).config.layer_norm_eps == 1.0


@pytest.mark.parametrize("name", FAMILIES)
def test_an_advised_width_is_accepted(name, recipes, tokenizer):
    """For every width and number of heads the advice, once taken, builds and reads."""
    refused = 0
    for hidden in (1, 2, 5, 30, 31, 32, 33, 128, 129):
        for heads in (1, 2, 3, 4, 5, 7):
            config = {**recipes[name]["config"], "hidden_size": hidden, "num_attention_heads": heads}
            config.pop("embedding_size", None)
            try:
                ModelRecipe(name, config)
                continue
            except RecipeError as error:
                advice = re.search(r"try hidden_size=(\d+)\.", str(error))
            assert advice, (hidden, heads)
            refused += 1
            assert int(advice[1]) - hidden < 2 * heads
            ModelRecipe(name, {**config, "hidden_size": int(advice[1])})
    assert refused > 10
    with torch.no_grad():
        recipe = ModelRecipe(name, {**config, "hidden_size": int(advice[1])})
        net = recipe.build(tokenizer, 24, recipe.heads[0])
        assert net.encode(torch.full((1, 24), 7), padded=False).isfinite().all()
