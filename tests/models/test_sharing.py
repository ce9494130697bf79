"""Shared tables: one Parameter when tied, one-way gradients when disentangled."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from torch import nn

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe, export, share
from maskwright.models.sharing import DisentangledEmbedding, share_body

PAIRS = ["bert", "electra", "deberta_v2", "deberta_v3", "modernbert", "roberta", "distilbert", "ltg_bert",
         "albert", "mpnet", "longformer"]  # fmt: skip


def pair(name, recipes, tokenizer, how, width=1.0):
    torch.manual_seed(0)
    recipe = ModelRecipe(**recipes[name])
    generator = recipe.smaller(width=width, depth=0.5).build(tokenizer, 24, "mlm").eval()
    detector = recipe.build(tokenizer, 24, "detect").eval()
    share(generator, detector, how)
    return generator, detector


def some_ids() -> torch.Tensor:
    return torch.randint(5, 96, (2, 24), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PAIRS)
def test_tied_networks_hold_one_parameter(name, recipes, tokenizer):
    generator, detector = pair(name, recipes, tokenizer, "tied")
    table = detector.word_embeddings.weight
    assert table is generator.word_embeddings.weight
    ids_BL = some_ids()
    detector.detect(detector.encode(ids_BL, padded=False)).sum().backward()
    moved = table.grad.clone()
    assert moved.abs().sum() > 0
    generator.predict(generator.encode(ids_BL, padded=False)).logsumexp(-1).sum().backward()
    assert not torch.equal(table.grad, moved)
    separate = sum(p.numel() for p in generator.parameters()) + sum(p.numel() for p in detector.parameters())
    assert separate - sum(p.numel() for p in nn.ModuleList([generator, detector]).parameters()) >= table.numel()


def test_tied_electra_shares_positions_and_types_too(recipes, tokenizer):
    generator, detector = pair("electra", recipes, tokenizer, "tied", width=0.5)
    ours, theirs = generator.hf.electra.embeddings, detector.hf.electra.embeddings
    assert ours.position_embeddings.weight is theirs.position_embeddings.weight
    assert ours.token_type_embeddings.weight is theirs.token_type_embeddings.weight
    assert ours.LayerNorm.weight is not theirs.LayerNorm.weight


def test_none_shares_nothing(recipes, tokenizer):
    generator, detector = pair("bert", recipes, tokenizer, "none", width=0.5)
    assert not {id(p) for p in generator.parameters()} & {id(p) for p in detector.parameters()}


@pytest.mark.parametrize("name", PAIRS)
def test_gdes_moves_only_delta_with_the_detector(name, recipes, tokenizer):
    generator, detector = pair(name, recipes, tokenizer, "gdes")
    table = detector.word_embeddings
    assert isinstance(table, DisentangledEmbedding)
    ids_BL = some_ids()
    assert torch.equal(table.weight, generator.word_embeddings.weight)
    assert torch.equal(table(ids_BL), generator.word_embeddings(ids_BL))
    detector.detect(detector.encode(ids_BL, padded=False)).sum().backward()
    assert generator.word_embeddings.weight.grad is None
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert table.delta.grad.abs().sum() > 0
    moved = table.delta.grad.clone()
    generator.predict(generator.encode(ids_BL, padded=False)).logsumexp(-1).sum().backward()
    assert torch.equal(table.delta.grad, moved)
    assert generator.word_embeddings.weight.grad.abs().sum() > 0
    assert not {id(p) for p in generator.parameters()} & {id(p) for p in detector.parameters()}


def test_gdes_shares_absolute_positions_and_leaves_types(recipes, tokenizer):
    _, detector = pair("bert", recipes, tokenizer, "gdes")
    embeddings = detector.hf.bert.embeddings
    assert isinstance(embeddings.position_embeddings, DisentangledEmbedding)
    assert not isinstance(embeddings.token_type_embeddings, DisentangledEmbedding)


def test_gdes_follows_the_generator_and_survives_a_copy(recipes, tokenizer):
    generator, detector = pair("deberta_v3", recipes, tokenizer, "gdes")
    both = copy.deepcopy(nn.ModuleList([generator, detector]))
    with torch.no_grad():
        both[0].word_embeddings.weight.add_(1.0)
    assert torch.equal(both[1].word_embeddings.weight, both[0].word_embeddings.weight)
    assert not torch.equal(detector.word_embeddings.weight, both[1].word_embeddings.weight)


def test_gdes_state_is_delta_alone(recipes, tokenizer):
    _, detector = pair("deberta_v3", recipes, tokenizer, "gdes")
    keys = [key for key in detector.state_dict() if "word_embeddings" in key]
    assert keys == ["hf.deberta.embeddings.word_embeddings.delta"]


def test_unequal_tables_are_refused(recipes, tokenizer):
    with pytest.raises(RecipeError, match="needs equal word tables, and they are 96 x 16 and 96 x 32"):
        pair("bert", recipes, tokenizer, "tied", width=0.5)
    with pytest.raises(RecipeError, match="sharing is half; choose one of none, tied, gdes"):
        pair("bert", recipes, tokenizer, "half")


@pytest.mark.parametrize("how", ["tied", "gdes"])
def test_only_the_detector_from_a_checkpoint_gives_the_shared_start(how, network, recipes, tokenizer, tmp_path):
    saved = network("electra")
    export(saved, tokenizer, tmp_path / "a")
    recipe = ModelRecipe("electra", init_from=str(tmp_path / "a"))
    generator, detector = recipe.smaller(depth=0.5).build(tokenizer, 24), recipe.build(tokenizer, 24, "detect")
    share(generator, detector, how)
    for net in (generator, detector):
        assert torch.equal(net.word_embeddings.weight, saved.word_embeddings.weight)


CLASSIFIERS = ("bert", "roberta", "electra", "deberta_v3", "modernbert", "distilbert", "albert", "mpnet", "longformer")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_heads_on_one_body(name, recipes, tokenizer, tmp_path):
    """Both heads read and move the same weights, and the exports of both hold them."""
    torch.manual_seed(0)
    recipe = ModelRecipe(**recipes[name])
    classifier = recipe.build(tokenizer, 24, "classify", ["a", "b"])
    filler = recipe.build(tokenizer, 24, "mlm")
    share_body(classifier, filler)
    assert filler.body is classifier.body
    ids_BL = torch.randint(5, 90, (2, 24))
    hidden_BLD = filler.encode(ids_BL, padded=False)
    filler.predict(hidden_BLD).logsumexp(-1).sum().backward()
    assert classifier.word_embeddings.weight.grad.abs().sum() > 0
    assert any(m.weight is classifier.word_embeddings.weight for m in filler.hf.modules() if isinstance(m, nn.Linear))
    classifier.eval(), filler.eval()
    for network in (classifier, filler):
        export(network, tokenizer, tmp_path / network.head)
    with torch.no_grad():
        again = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "mlm")(input_ids=ids_BL).logits
        torch.testing.assert_close(filler.predict(filler.encode(ids_BL, padded=False)), again)
        labels = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "classify")
        torch.testing.assert_close(classifier.classify(classifier.encode(ids_BL, padded=False)), labels(ids_BL).logits)
        assert labels.config.id2label == {0: "a", 1: "b"}
