"""How much arithmetic training needs, counted from the network's shape (the numerator of model-FLOPs utilisation)."""

from __future__ import annotations

from torch import nn

from .network import Network


def forward_flops(
    network: Network, tokens: float, predicted: float, length: int | None = None, picked: float | None = None
) -> float:
    """FLOPs of one forward pass: a multiplication and an addition count as two.

    tokens: positions that enter the body. predicted: positions that enter the head. length: positions of a row (the
    network's own where None); every position is counted as seeing its whole row, under a causal or local mask too.
    picked: positions at which the last layer works, where the network can leave others out (`Network.encode`,
    place_BK; None: all).
    Norms, activations and look-ups are left out, as usual.
    """
    length = length or network.length
    body, hf = network.body, network.hf
    inside = {id(module) for module in body.modules()}
    linear = [module for module in hf.modules() if isinstance(module, nn.Linear)]
    body_weights = sum(module.in_features * module.out_features for module in linear if id(module) in inside)
    head_weights = sum(module.in_features * module.out_features for module in linear if id(module) not in inside)
    if network.head == "mlm" and not _projects(linear, hf.config.vocab_size):
        head_weights += network.word_embeddings.weight.numel()
    config = hf.config
    width = (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads) * (
        config.num_attention_heads
    )
    scores = 2 * 2 * length * width * config.num_hidden_layers  # queries with keys, weights with values
    extra = network.family.position_flops(hf, tokens, length)
    spared = 0.0
    if picked is not None and network.picks:
        spared = 2.0 * _behind_attention(network) * max(tokens - picked, 0.0)
    return 2.0 * body_weights * tokens + scores * tokens + 2.0 * head_weights * predicted + extra - spared


def training_flops(
    network: Network, tokens: float, predicted: float, length: int | None = None, picked: float | None = None
) -> float:
    """FLOPs of one forward and backward pass: three times the forward's (arXiv 2001.08361, section 2.1).

    Arguments as for `forward_flops`; recomputation (gradient checkpointing) does not count.
    """
    return 3.0 * forward_flops(network, tokens, predicted, length, picked)


def _behind_attention(network: Network) -> int:
    """Weights of the last layer that see a position only once its values are mixed."""
    layer = network.family.last_layer(network.hf)
    parts = [layer.get_submodule(name) for name in network.family.behind_attention]
    linear = [module for part in parts for module in part.modules() if isinstance(module, nn.Linear)]
    return sum(module.in_features * module.out_features for module in linear)


def _projects(linear: list[nn.Linear], vocabulary: int) -> bool:
    return any(module.out_features == vocabulary for module in linear)
