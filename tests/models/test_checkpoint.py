"""`init_from`: equal weights, train mode, and a refusal for everything that does not fit."""

from __future__ import annotations

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe, export
from maskwright.models.families import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_export_comes_back_with_equal_weights_in_train_mode(name, network, recipes, tokenizer, tmp_path):
    saved = network(name)
    export(saved, tokenizer, tmp_path / "run" / "export")
    recipe = ModelRecipe(name, {}, init_from=str(tmp_path / "run"))
    net = recipe.build(tokenizer, 24, recipe.heads[0])
    assert net.training and net.body.training
    before, after = saved.state_dict(), net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert recipe.can == saved.can and recipe.embedding_size == saved.recipe.embedding_size


def test_the_checkpoint_gives_the_shape_and_the_recipe_the_dropouts(network, tokenizer, tmp_path):
    export(network("bert"), tokenizer, tmp_path / "a")
    recipe = ModelRecipe("bert", {"hidden_size": 768, "hidden_dropout_prob": 0.25}, init_from=str(tmp_path / "a"))
    net = recipe.build(tokenizer, 24)
    assert net.config.hidden_size == 32
    assert net.config.hidden_dropout_prob == 0.25 and net.hf.bert.embeddings.dropout.p == 0.25


def test_another_head_is_drawn_anew_over_equal_bodies(network, tokenizer, tmp_path):
    saved = network("electra")
    export(saved, tokenizer, tmp_path / "a")
    net = ModelRecipe("electra", init_from=str(tmp_path / "a")).build(tokenizer, 24, "detect")
    ids_BL = torch.randint(5, 96, (2, 24))
    with torch.no_grad():
        assert torch.equal(net.eval().encode(ids_BL, padded=False), saved.encode(ids_BL, padded=False))


def test_a_smaller_network_never_starts_from_the_checkpoint(network, tokenizer, tmp_path):
    export(network("electra"), tokenizer, tmp_path / "a")
    small = ModelRecipe("electra", init_from=str(tmp_path / "a")).smaller(width=0.5)
    assert small.init_from is None and small.config["hidden_size"] == 16


def test_what_does_not_fit_is_refused(network, tokenizer, tokenizers, tmp_path):
    place = tmp_path / "a"
    export(network("bert"), tokenizer, place)
    recipe = ModelRecipe("bert", init_from=str(place))
    with pytest.raises(RecipeError, match="has 24 positions, and the rows have 32; choose rows of at most 24"):
        recipe.build(tokenizer, 32)
    for words in (100, 80):
        other = f"another vocabulary .96 tokens, and the tokenizer has {words + 5}.; choose tokenizer=saved"
        with pytest.raises(RecipeError, match=other):
            recipe.build(tokenizers(words), 24)
    with pytest.raises(RecipeError, match=r"is a bert, and model\.family is modernbert; .* of the family bert\."):
        ModelRecipe("modernbert", init_from=str(place)).build(tokenizer, 24)


def test_without_a_tokenizer_beside_it_the_sizes_must_agree(network, tokenizer, tokenizers, tmp_path):
    place = export(network("bert"), tokenizer, tmp_path / "a")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / name).unlink()
    recipe = ModelRecipe("bert", init_from=str(place))
    assert recipe.build(tokenizers(80), 24).config.vocab_size == 96  # a table may be padded
    with pytest.raises(RecipeError, match="has 96 tokens, and the tokenizer has 105; choose tokenizer=saved"):
        recipe.build(tokenizers(100), 24)


def test_bad_places_are_refused(network, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def message(place) -> str:
        with pytest.raises(RecipeError) as caught:
            ModelRecipe("bert", init_from=str(place)).build(tokenizer, 24)
        return str(caught.value)

    assert "does not exist; give a folder or a hub name" in message(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no config.json" in message(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    assert "is the file" in message(tmp_path / "file")
    for part in ("generator", "discriminator"):
        export(network("bert"), tokenizer, tmp_path / "run" / "export" / part)
    assert "holds several models; choose model.init_from=" in message(tmp_path / "run")
    broken = export(network("bert"), tokenizer, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"12345")
    assert "cannot be loaded" in message(broken)
    (broken / "model.safetensors").unlink()
    assert "cannot be loaded" in message(broken)
    (broken / "config.json").write_text("{")
    assert "cannot be read" in message(broken)
    assert "cannot be read" in message("nobody/such-model-here")


def test_a_checkpoint_without_the_body_is_refused(network, tokenizer, tmp_path):
    from safetensors.torch import load_file, save_file

    place = export(network("bert"), tokenizer, tmp_path / "a")
    weights = load_file(place / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if "layer.1" not in key},
        place / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(RecipeError, match="lacks 16 weights of the network"):
        ModelRecipe("bert", init_from=str(place)).build(tokenizer, 24)


def test_encoders_with_a_decoder_are_refused_by_name(tmp_path):
    from transformers import BartConfig, T5Config

    for config, name in ((T5Config(), "t5"), (BartConfig(), "bart")):
        config.save_pretrained(tmp_path / name)
        recipe = ModelRecipe("bert", init_from=str(tmp_path / name))
        with pytest.raises(
            RecipeError, match=f"is a {name}, an encoder with a decoder; name a model that is an encoder"
        ):
            recipe.can  # noqa: B018


def test_a_table_smaller_than_its_tokenizer_is_refused(network, tokenizer, tokenizers, tmp_path):
    export(network("bert"), tokenizers(120), tmp_path / "a")
    with pytest.raises(RecipeError, match="has a table of 96 rows, and the tokenizer beside it has the id 124; save"):
        ModelRecipe("bert", init_from=str(tmp_path / "a")).build(tokenizer, 24)
