"""LTG-BERT (arXiv 2303.09859): its scores, norms, initial weights and size, each against a formula."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from maskwright.models.ltg_bert.configuration import LtgBertConfig
from maskwright.models.ltg_bert.modeling import LtgBertForMaskedLM, LtgBertModel
from maskwright.models.ltg_bert.positions import buckets

SMALL = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "position_buckets": 8,
}


def body(**changes) -> LtgBertModel:
    torch.manual_seed(0)
    return LtgBertModel(LtgBertConfig(**{**SMALL, **changes})).eval()


def some_ids(length: int = 20) -> torch.Tensor:
    return torch.randint(0, 60, (2, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("positions", "size"), [(512, 32), (128, 32), (24, 8), (1024, 48), (10, 32)])
def test_buckets_are_those_of_deberta(positions, size):
    theirs = make_log_bucket_position(torch.arange(-positions + 1, positions), size, positions).long()
    if positions - 1 > size // 2:
        ours = buckets(positions, size)
        assert theirs.tolist() == [-bucket for bucket in ours[:0:-1]] + ours
    assert buckets(positions, size)[: size // 2] == list(range(min(positions, size // 2)))
    assert max(buckets(positions, size)) <= size - 1


@torch.no_grad()
def test_scores_are_the_three_terms_of_the_paper():
    """Entry by entry: content with content, content with place, place with content, over sqrt(3 d)."""
    net = body(num_hidden_layers=1)
    net.set_attn_implementation("eager")
    layer, ids_BL = net.layers[0].attention, some_ids()
    length, width = ids_BL.shape[1], 8
    normed_LD = layer.norm(net.embeddings(net.embeddings.word_embeddings(ids_BL)))[0]
    place_PD = net.embeddings.relative()
    steps = buckets(64, 8)
    score_HLL = torch.empty(3, length, length)
    for head in range(3):
        part = slice(head * width, (head + 1) * width)
        for i in range(length):
            for j in range(length):
                query, key = layer.query(normed_LD[i])[part], layer.key(normed_LD[j])[part]
                bucket = steps[abs(i - j)] * (1 if i > j else -1)
                to, at = layer.query(place_PD[bucket + 7])[part], layer.key(place_PD[bucket + 7])[part]
                score_HLL[head, i, j] = (query @ key + query @ at + key @ to) / math.sqrt(3 * width)
    weights = net(ids_BL, output_attentions=True).attentions[0][0]
    torch.testing.assert_close(weights, score_HLL.softmax(-1), rtol=1e-4, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_only_differences_of_positions_count(attention):
    net, ids_BL = body(), some_ids()
    net.set_attn_implementation(attention)
    place_BL = torch.arange(20)[None]
    plain_BLD = net(ids_BL).last_hidden_state
    assert torch.equal(net(ids_BL, position_ids=place_BL + 1000).last_hidden_state, plain_BLD)
    assert (net(ids_BL, position_ids=place_BL * 2).last_hidden_state - plain_BLD).abs().max() > 1e-3
    assert (net(ids_BL, position_ids=-place_BL).last_hidden_state - plain_BLD).abs().max() > 1e-3


@torch.no_grad()
def test_equal_tokens_have_scores_that_are_constant_along_diagonals():
    net = body()
    layer, place_BLL = net.layers[0].attention, net.embeddings.places(torch.arange(20)[None])
    content_BHLW = torch.randn(1, 3, 1, 8).expand(1, 3, 20, 8)
    bias_HLL = layer.bias(content_BHLW, content_BHLW.flip(-1), net.embeddings.relative(), place_BLL)[0]
    for offset in range(-19, 20):
        assert bias_HLL.diagonal(offset, 1, 2).std(-1, correction=0).max() < 1e-6
    assert (bias_HLL[:, 0, 1] - bias_HLL[:, 1, 0]).abs().min() > 1e-4, "left and right differ"


@torch.no_grad()
def test_distances_beyond_the_table_share_the_last_bucket():
    net = body(max_position_embeddings=16)
    assert net.embeddings.places(torch.tensor([[0, 15, 40]]))[0].tolist() == [[7, 0, 0], [14, 7, 0], [14, 14, 7]]


def test_only_the_norms_of_the_paper_have_weights():
    names = {name.rsplit(".", 1)[0] for name, _ in body().named_parameters() if "norm" in name}
    wanted = {"embeddings.relative_norm"} | {f"layers.{i}.attention.output_norm" for i in range(3)}
    assert names == wanted


@torch.no_grad()
def test_each_part_is_the_paper_s():
    net = body(num_hidden_layers=1).eval()
    layer, x = net.layers[0], torch.randn(2, 5, 24)

    def norm(y):
        return (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True, correction=0) + 1e-7).sqrt()

    inner, gate = (norm(x) @ layer.feed_forward.expand.weight.T).split(40, -1)
    gated = 0.5 * gate * (1 + torch.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
    wanted = norm(inner * gated) @ layer.feed_forward.shrink.weight.T
    torch.testing.assert_close(layer.feed_forward(x), wanted, rtol=1e-4, atol=1e-5)
    place_BLL = net.embeddings.places(torch.arange(5)[None])
    out, _ = layer.attention(x, None, net.embeddings.relative(), place_BLL)
    torch.testing.assert_close(out, norm(out), rtol=1e-3, atol=1e-4)  # its last step is a norm, of weight 1 and bias 0


def test_initial_weights_shrink_with_depth():
    net = body(hidden_size=96, intermediate_size=256, num_hidden_layers=4)
    std = math.sqrt(2 / (5 * 96))
    cut = 0.8796  # standard deviation of a normal cut off at two of its own
    for i, layer in enumerate(net.layers):
        scale = math.sqrt(1 / (2 * (1 + i)))
        for linear in (layer.feed_forward.expand, layer.feed_forward.shrink):
            assert linear.weight.std().item() == pytest.approx(cut * std * scale, rel=0.02)
            assert linear.weight.abs().max() <= 2 * std * scale
        for linear in (layer.attention.query, layer.attention.output):
            assert linear.weight.std().item() == pytest.approx(cut * std, rel=0.03)
            assert not linear.bias.any()
    assert net.embeddings.word_embeddings.weight.std().item() == pytest.approx(cut * std, rel=0.03)


def test_the_base_size_has_its_closed_form_of_parameters():
    with torch.device("meta"):
        net = LtgBertForMaskedLM(LtgBertConfig())
    width, inner, vocabulary, layers = 768, 2048, 16_384, 12
    attention = 4 * (width * width + width) + 2 * width  # query, key, value, output; the norm after it
    feed_forward = 3 * width * inner  # content, gate, back; without biases
    embeddings = vocabulary * width + 63 * width + 2 * width  # words (and output), relative places, their norm
    head = width * width + width + vocabulary
    wanted = layers * (attention + feed_forward) + embeddings + head
    assert sum(parameter.numel() for parameter in net.parameters()) == wanted == 98_229_760


def test_the_loss_is_over_labels_and_reaches_every_weight():
    torch.manual_seed(0)
    net, ids_BL = LtgBertForMaskedLM(LtgBertConfig(**SMALL)), some_ids()
    label_BL = torch.where(torch.arange(20) % 4 == 0, ids_BL, -100)
    net.eval()
    out = net(ids_BL, labels=label_BL, output_hidden_states=True)
    chosen = out.logits.log_softmax(-1).gather(-1, ids_BL[..., None])[..., 0][:, ::4]
    torch.testing.assert_close(out.loss, -chosen.mean())
    assert len(out.hidden_states) == 4
    out.loss.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    plain = {name: parameter.grad.clone() for name, parameter in net.named_parameters()}
    net.zero_grad()
    net.activation_checkpointing_enable()
    net.train()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    net(ids_BL, labels=label_BL).loss.backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, plain[name])
