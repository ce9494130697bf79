"""Every family computes what plain transformers computes, and keeps the promises that it declares."""

from __future__ import annotations

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe
from maskwright.models.families import FAMILIES

ENCODERS = [name for name in FAMILIES if name != "llama"]
# a convolution that reaches across edges, and masks by key alone
KEPT_APART = [name for name in FAMILIES if name not in ("deberta_v2", "longformer")]
LENGTH = 24


def some_ids(rows: int = 3, length: int = LENGTH) -> torch.Tensor:
    return torch.randint(5, 96, (rows, length), generator=torch.Generator().manual_seed(1))


def test_the_claims(recipes):
    every = {"positions", "attention_mask", "embeddings_in"}
    assert {name: set(ModelRecipe(**recipe).can) for name, recipe in recipes.items()} == {
        "bert": every | {"segments"},
        "roberta": every | {"segments"},
        "roberta_prelayernorm": every | {"segments"},
        "xlm_roberta": every | {"segments"},
        "xlm_roberta_xl": every,
        "camembert": every | {"segments"},
        "longformer": {"positions", "embeddings_in", "segments"},
        "albert": every | {"narrow_embeddings", "segments"},
        "mpnet": {"attention_mask", "embeddings_in"},
        "distilbert": every,
        "ltg_bert": every,
        "electra": every | {"narrow_embeddings", "segments"},
        "deberta_v2": {"embeddings_in", "narrow_embeddings"},
        "deberta_v3": {"embeddings_in", "narrow_embeddings", "attention_mask"},
        "modernbert": every,
        "llama": every,
    }


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("padded", [False, True])
def test_logits_equal_those_of_transformers_bit_for_bit(name, padded, network):
    net, ids_BL = network(name), some_ids()
    valid_BL = torch.ones_like(ids_BL, dtype=torch.bool)
    logits_BLV = net.predict(net.encode(ids_BL, valid_BL, padded=padded))
    assert torch.equal(logits_BLV, net.hf(input_ids=ids_BL).logits)


@torch.no_grad()
@pytest.mark.parametrize("name", ENCODERS)
def test_detection_logits_equal_those_of_transformers(name, network):
    net, ids_BL = network(name, "detect"), some_ids()
    logits_BL = net.detect(net.encode(ids_BL, padded=False))
    assert torch.equal(logits_BL, net.hf(input_ids=ids_BL).logits.view(3, LENGTH))
    with pytest.raises(RecipeError, match="build it with head=mlm"):
        net.predict(torch.zeros(1, 32))


CLASSIFIERS = [name for name in ENCODERS if "classify" in FAMILIES[name].heads]


@torch.no_grad()
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_class_logits_equal_those_of_transformers(name, recipes, tokenizer):
    torch.manual_seed(0)
    net, ids_BL = ModelRecipe(**recipes[name]).build(tokenizer, LENGTH, "classify", ["no", "yes", "?"]), some_ids()
    net.eval()
    logits_BC = net.classify(net.encode(ids_BL, padded=False))
    assert logits_BC.shape == (3, 3)
    assert torch.equal(logits_BC, net.hf(input_ids=ids_BL).logits)
    assert net.config.id2label == {0: "no", 1: "yes", 2: "?"}


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_padded_rows_equal_transformers_with_its_own_mask(name, network, tokenizer):
    net, ids_BL = network(name), some_ids()
    valid_BL = torch.arange(LENGTH) < torch.tensor([[24], [13], [5]])
    ids_BL[~valid_BL] = tokenizer.pad_token_id
    ours_BLV = net.predict(net.encode(ids_BL, valid_BL))
    theirs_BLV = net.hf(input_ids=ids_BL, attention_mask=valid_BL.long()).logits
    torch.testing.assert_close(ours_BLV[valid_BL], theirs_BLV[valid_BL], rtol=1e-5, atol=1e-5)
    assert ours_BLV.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_padding_is_never_seen(name, network, tokenizer):
    net, ids_BL = network(name), some_ids()
    valid_BL = (torch.arange(LENGTH) < 15).expand(3, LENGTH)
    other_BL = torch.where(valid_BL, ids_BL, tokenizer.mask_token_id)
    a_BLD, b_BLD = net.encode(ids_BL, valid_BL), net.encode(other_BL, valid_BL)
    assert torch.equal(a_BLD[valid_BL], b_BLD[valid_BL])


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_prediction_takes_any_leading_shape(name, network):
    net = network(name)
    hidden_BLD = net.encode(some_ids(), padded=False)
    whole_BLV = net.predict(hidden_BLD)
    picked_NV = net.predict(hidden_BLD[:, 3:9].reshape(-1, hidden_BLD.shape[-1]))
    torch.testing.assert_close(picked_NV, whole_BLV[:, 3:9].reshape(picked_NV.shape), rtol=1e-5, atol=1e-5)


def documents() -> torch.Tensor:
    """Two rows: documents of 10, 9 and 5 tokens; documents of 7 and 12 tokens and 5 of padding."""
    return torch.tensor([[1] * 10 + [2] * 9 + [3] * 5, [1] * 7 + [2] * 12 + [0] * 5])


@torch.no_grad()
@pytest.mark.parametrize("name", KEPT_APART)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_documents_do_not_leak_into_each_other(name, attention, network):
    if attention not in FAMILIES[name].attentions:
        pytest.skip("this family runs with eager attention only")
    net, ids_BL, document_BL = network(name, attention=attention), some_ids(2), documents()
    valid_BL = document_BL > 0
    before_BLD = net.encode(ids_BL, valid_BL, document_BL, blocks=True)
    other_BL = ids_BL.clone()
    other_BL[0, 4], other_BL[1, 15] = (ids_BL[0, 4] + 7) % 90 + 5, (ids_BL[1, 15] + 7) % 90 + 5
    after_BLD = net.encode(other_BL, valid_BL, document_BL, blocks=True)
    moved_BL = (before_BLD - after_BLD).abs().amax(-1)
    touched_BL = torch.stack([document_BL[0] == 1, document_BL[1] == 2])
    assert moved_BL[~touched_BL].max() == 0
    assert moved_BL[0, 9 if net.recipe.kind == "decoder" else 0] > 1e-3
    open_BLD = net.encode(other_BL, valid_BL) - net.encode(ids_BL, valid_BL)
    assert open_BLD[0, 20].abs().max() > 1e-3, "without blocks the documents do see each other"


@torch.no_grad()
@pytest.mark.parametrize("name", KEPT_APART)
def test_a_packed_document_equals_the_document_alone(name, network):
    net, ids_BL, document_BL = network(name), some_ids(2), documents()
    packed_BLD = net.encode(ids_BL, document_BL > 0, document_BL, blocks=True)
    for row, number in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2)):
        own_L = document_BL[row] == number
        alone_BLD = net.encode(ids_BL[row, own_L][None], padded=False)
        torch.testing.assert_close(packed_BLD[row, own_L][None], alone_BLD, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_the_claim_attention_mask(name, network):
    net, ids_BL = network(name), some_ids(1)
    allowed_BLL = torch.rand(1, LENGTH, LENGTH, generator=torch.Generator().manual_seed(5)) < 0.5
    allowed_BLL[0, :, 3] = False  # nobody sees token 3 but itself
    if "attention_mask" not in net.can:
        with pytest.raises(RecipeError, match="cannot honour a custom mask"):
            net.encode(ids_BL, allowed_BLL=allowed_BLL)
        return
    other_BL = ids_BL.clone()
    other_BL[0, 3] = (other_BL[0, 3] + 7) % 90 + 5
    moved_L = (
        (net.encode(ids_BL, allowed_BLL=allowed_BLL) - net.encode(other_BL, allowed_BLL=allowed_BLL)).abs().amax(-1)[0]
    )
    assert moved_L[3] > 1e-3
    assert moved_L[torch.arange(LENGTH) != 3].max() == 0


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_the_claim_positions(name, network, recipes):
    """Positions are honoured, and carry all there is to know about order: permuting both changes nothing."""
    net, ids_BL = network(name, **wide_open(name, recipes)), some_ids(2)
    order_L = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(2))
    place_BL = torch.arange(LENGTH).expand(2, LENGTH)
    if "positions" not in net.can:
        with pytest.raises(RecipeError, match="cannot honour position ids"):
            net.encode(ids_BL, positions_BL=place_BL)
        return
    plain_BLD = net.encode(ids_BL, padded=False)
    torch.testing.assert_close(net.encode(ids_BL, positions_BL=place_BL, padded=False), plain_BLD)
    shuffled_BLD = net.encode(ids_BL, positions_BL=place_BL[:, order_L], padded=False)
    assert (shuffled_BLD - plain_BLD).abs().max() > 1e-3
    if net.recipe.kind == "encoder":
        both_BLD = net.encode(ids_BL[:, order_L], positions_BL=place_BL[:, order_L], padded=False)
        torch.testing.assert_close(both_BLD, plain_BLD[:, order_L], rtol=1e-4, atol=1e-4)


def wide_open(name: str, recipes: dict) -> dict:
    """A local window counts slots, not positions: switched off where order itself is tested."""
    wide = {"modernbert": {"global_attn_every_n_layers": 1}, "longformer": {"attention_window": 2 * LENGTH}}
    return {"config": {**recipes[name]["config"], **wide[name]}} if name in wide else {}


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_the_claim_embeddings_in(name, network):
    net, ids_BL = network(name), some_ids(2)
    plain_BLD = net.encode(ids_BL, padded=False)
    embeddings_BLE = net.word_embeddings(ids_BL)
    assert "embeddings_in" in net.can
    assert embeddings_BLE.shape[-1] == net.recipe.embedding_size
    assert torch.equal(net.encode(None, embeddings_BLE=embeddings_BLE, padded=False), plain_BLD)
    embeddings_BLE[0, 5] += torch.linspace(-1, 1, embeddings_BLE.shape[-1])  # a constant would be normalised away
    assert (net.encode(None, embeddings_BLE=embeddings_BLE, padded=False) - plain_BLD)[0, 5].abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_the_claim_segments(name, network, recipes):
    config = recipes[name]["config"]
    two = {"type_vocab_size": 2} if FAMILIES[name].type_table else {}
    net, ids_BL = network(name, config={**config, **two}), some_ids(2)
    segment_BL = (torch.arange(LENGTH) > 9).long().expand(2, -1)
    if "segments" not in net.can:
        assert not two
        with pytest.raises(RecipeError, match="cannot honour segment ids; choose another model"):
            net.encode(ids_BL, segment_BL=segment_BL)
        return
    plain_BLD = net.encode(ids_BL, padded=False)
    assert torch.equal(net.encode(ids_BL, segment_BL=torch.zeros_like(ids_BL), padded=False), plain_BLD)
    told_BLD = net.encode(ids_BL, segment_BL=segment_BL, padded=False)
    assert (told_BLD - plain_BLD).abs().max() > 1e-3
    assert torch.equal(net.predict(told_BLD), net.hf(input_ids=ids_BL, token_type_ids=segment_BL).logits)
    assert "segments" not in ModelRecipe(name, {**config, "type_vocab_size": 1}).can


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_the_claim_narrow_embeddings(name, network, tokenizer, recipes):
    config = {**recipes[name]["config"], "embedding_size": 8}
    if "narrow_embeddings" not in ModelRecipe(**recipes[name]).can:
        with pytest.raises(RecipeError, match="embedding_size is no setting of"):
            ModelRecipe(name, config)
        return
    net, ids_BL = network(name, config=config), some_ids(1)
    assert net.word_embeddings.weight.shape == (len(tokenizer), 8)
    assert torch.equal(net.predict(net.encode(ids_BL, padded=False)), net.hf(input_ids=ids_BL).logits)


@torch.no_grad()
def test_encoders_see_both_sides_and_the_decoder_only_the_left(network, recipes):
    for name in FAMILIES:
        net, ids_BL = network(name), some_ids(1)
        other_BL = ids_BL.clone()
        other_BL[0, 12] = (other_BL[0, 12] + 7) % 90 + 5
        moved_L = (net.encode(ids_BL, padded=False) - net.encode(other_BL, padded=False)).abs().amax(-1)[0]
        assert moved_L[13] > 1e-3
        if net.recipe.kind == "decoder":
            assert moved_L[:12].max() == 0
        else:
            assert moved_L[11] > 1e-3


@torch.no_grad()
def test_modernbert_keeps_its_local_window_under_every_mask(network, recipes):
    config = {**recipes["modernbert"]["config"], "num_hidden_layers": 1, "layer_types": ["sliding_attention"]}
    config.pop("global_attn_every_n_layers")
    net, ids_BL = network("modernbert", config=config), some_ids(1)
    other_BL = ids_BL.clone()
    other_BL[0, 12] = (other_BL[0, 12] + 7) % 90 + 5
    one_BL = torch.ones_like(ids_BL)
    for options in ({"padded": False}, {"valid_BL": one_BL.bool()}, {"document_BL": one_BL, "blocks": True}):
        moved_L = (net.encode(ids_BL, **options) - net.encode(other_BL, **options)).abs().amax(-1)[0]
        assert moved_L[8:17].min() > 0  # local_attention 8: four tokens on each side
        assert moved_L[:8].max() == 0 and moved_L[17:].max() == 0


def test_dropout_is_on_after_build(tokenizer, recipes):
    net = ModelRecipe("bert", {**recipes["bert"]["config"], "hidden_dropout_prob": 0.5}).build(tokenizer, LENGTH)
    assert net.training and net.hf.training
    ids_BL = some_ids(1)
    assert not torch.equal(net.encode(ids_BL, padded=False), net.encode(ids_BL, padded=False))


@torch.no_grad()
def test_mpnet_reads_id_1_as_transformers_does(network, tokenizer, tokenizers):
    """There it is padding wherever it stands: no position of its own, in a document of a packed row too."""
    net, ids_BL, document_BL = network("mpnet"), some_ids(2), documents()
    ids_BL[0, [2, 12]] = ids_BL[1, 9] = 1
    assert torch.equal(net.predict(net.encode(ids_BL, padded=False)), net.hf(input_ids=ids_BL).logits)
    packed_BLD = net.encode(ids_BL, document_BL > 0, document_BL, blocks=True)
    for row, number in ((0, 1), (0, 2), (1, 2)):
        own_L = document_BL[row] == number
        alone_BLD = net.encode(ids_BL[row, own_L][None], padded=False)
        torch.testing.assert_close(packed_BLD[row, own_L][None], alone_BLD, rtol=1e-5, atol=1e-5)
    ordinary = tokenizers()
    ordinary.unk_token = "w3"
    with pytest.raises(RecipeError, match=r"takes the id 1 for padding, and \[UNK\] has it; choose a tokenizer"):
        net.recipe.build(ordinary, LENGTH)


@torch.no_grad()
def test_longformers_first_token_sees_and_is_seen_by_all_where_a_row_is_classified(recipes, tokenizer):
    recipe = ModelRecipe(
        "longformer", {**recipes["longformer"]["config"], "attention_window": 4, "num_hidden_layers": 1}
    )
    ids_BL = some_ids(1)
    other_BL = ids_BL.clone()
    other_BL[0, 20] = (other_BL[0, 20] + 7) % 90 + 5
    for head, seen in (("mlm", False), ("classify", True)):
        net = recipe.build(tokenizer, LENGTH, head, ["a", "b"]).eval()
        moved_L = (net.encode(ids_BL, padded=False) - net.encode(other_BL, padded=False)).abs().amax(-1)[0]
        assert (moved_L[0] > 1e-4) == seen and moved_L[18:23].min() > 1e-4
        assert moved_L[1:18].max() == 0 == moved_L[23]
        assert all(p.requires_grad == (seen or "_global" not in name) for name, p in net.named_parameters())
