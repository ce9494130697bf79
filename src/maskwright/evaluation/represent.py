"""Vectors: what a network holds at every layer, and what becomes of it as one vector per text.

Shapes: N texts, B texts of a batch, L positions, D hidden width. Layer 0 is what enters the first layer; the last one
is what the network's head reads, after its last norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskwright.errors import RecipeError
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.texts import Encoded, Encoder, Request, Rows
from maskwright.evaluation.tools import Tools, reading

POOLINGS = ("cls", "mean", "max", "last")
LAYERS = ("last", "first_last", "mean_of_all")


class Embedder:
    """One vector per text: hidden states of a layer, or of the mean of a set of layers, pooled over the tokens.

    Poolings, special tokens included: cls (the first token), mean, max, last (the last token). Layers: a number,
    `last`, `first_last` (the mean of layer 1 and the last, arXiv 2104.01767) or `mean_of_all`.
    """

    def __init__(self, subject: Subject, tools: Tools) -> None:
        self.subject, self.tools = subject, tools
        self.encoder = Encoder(subject.tokenizer)
        self.truncated = 0  # texts cut to the network's length, by the calls so far

    def __call__(
        self, texts: Sequence[str], kinds: Sequence[tuple[str, str | int]], label: str = "embed"
    ) -> dict[tuple[str, str | int], np.ndarray]:
        """float32 [N, D] for each (pooling, layers) of `kinds`."""
        encoded, cut = self.encoder([Request(n, text) for n, text in enumerate(texts)]).cut(self.subject.length)
        self.truncated += cut
        out: dict[tuple[str, str | int], np.ndarray] = {}
        for index_B, rows, layers in batches(self.subject, encoded, self.tools, label):
            for pooling, which in kinds:
                vector_BD = pooled(chosen(layers, which), rows.valid_BL, pooling).float().cpu().numpy()
                store_ND = out.setdefault((pooling, which), np.zeros((len(texts), vector_BD.shape[1]), np.float32))
                store_ND[index_B] = vector_BD
        return out


def batches(
    subject: Subject, encoded: Encoded, tools: Tools, label: str
) -> Iterator[tuple[np.ndarray, Rows, list[Tensor]]]:
    """Texts of similar length together: their numbers, their rows, and hidden states [B, L, D] of all layers."""
    length_N = encoded.length_N
    order = np.argsort(length_N, kind="stable")
    order = order[length_N[order] > 0]
    with reading(subject.network), tools.autocast(), tools.progress(label, len(order)) as advance:
        first = 0
        while first < len(order):
            size = max(1, tools.batch_positions // int(length_N[order[min(len(order), first + 64) - 1]]))
            index_B = order[first : first + size]
            rows = encoded.rows(index_B, int(length_N[index_B].max()), subject.pad).to(tools.device)
            yield index_B, rows, every_layer(subject.network, rows.ids_BL, rows.valid_BL, padded=rows.padded)
            advance(len(index_B))
            first += size


def every_layer(network: Any, ids_BL: Tensor, valid_BL: Tensor | None = None, **options: Any) -> list[Tensor]:
    """Hidden states [B, L, D] of all layers; arguments as for the network's `encode`."""
    with tapped(network) as layers:
        last_BLD = network.encode(ids_BL, valid_BL, **options)
    length = last_BLD.shape[1]  # a network may pad its rows inside
    return [*(hidden_BLD[:, :length] for hidden_BLD in layers[:-1]), last_BLD]


@contextmanager
def tapped(network: Any) -> Iterator[list[Tensor]]:
    """Inside, a forward pass appends what enters the first layer and what leaves every layer to the list given.

    A compiled network runs eagerly meanwhile: compiled, it would not see the hooks.
    """
    found: list[Tensor] = []
    layers = _layers(network)
    hooks = []

    def enter(module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if not found:  # a layer that is used again is entered again
            found.append(inputs[0] if inputs else named["hidden_states"])

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    if layers is not None:
        hooks.append(layers[0].register_forward_pre_hook(enter, with_kwargs=True))
        hooks += [layer.register_forward_hook(leave) for layer in layers]
    try:
        with torch.compiler.set_stance("force_eager"):
            yield found
    finally:
        for hook in hooks:
            hook.remove()


def _layers(network: Any) -> nn.ModuleList | None:
    """The list of a network's layers, whatever its family; None where it cannot be told."""
    if (family := getattr(network, "family", None)) is not None:
        return family.body(network.hf).get_submodule(family.layers)
    lists = [module for module in network.body.modules() if isinstance(module, nn.ModuleList)]
    return next((found for found in lists if len(found) == network.config.num_hidden_layers), None)


def chosen(layers: Sequence[Tensor], which: str | int) -> Tensor:
    """The hidden states [B, L, D] that `which` names."""
    if which == "last":
        return layers[-1]
    if which == "first_last":
        return (layers[min(1, len(layers) - 1)] + layers[-1]) / 2
    if which == "mean_of_all":
        return torch.stack(list(layers)).mean(0)
    number = int(which)
    if not -len(layers) <= number < len(layers):
        raise RecipeError(f"layer {number} is asked for, and the network has the layers 0 to {len(layers) - 1}.")
    return layers[number]


def pooled(hidden_BLD: Tensor, valid_BL: Tensor, pooling: str) -> Tensor:
    """One vector per row: [B, D]."""
    if pooling == "cls":
        return hidden_BLD[:, 0]
    if pooling == "last":
        last_B = valid_BL.sum(1) - 1
        return hidden_BLD[torch.arange(len(hidden_BLD), device=hidden_BLD.device), last_B]
    if pooling == "max":
        return hidden_BLD.masked_fill(~valid_BL[..., None], -torch.inf).amax(1)
    weight_BL1 = valid_BL[..., None].to(hidden_BLD.dtype)
    return (hidden_BLD * weight_BL1).sum(1) / weight_BL1.sum(1)


def check_kinds(poolings: Sequence[str], layers: Sequence[str | int]) -> list[tuple[str, str | int]]:
    """All combinations. Raises RecipeError for an unknown one."""
    for key, values, known in (("pooling", poolings, POOLINGS), ("layers", layers, LAYERS)):
        for value in values:
            if value not in known and not (key == "layers" and isinstance(value, int)):
                more = " or a layer's number" if key == "layers" else ""
                raise RecipeError(f"evaluation.{key} holds {value!r}; choose from {', '.join(known)}{more}.")
    if not poolings or not layers:
        raise RecipeError("evaluation.pooling and evaluation.layers need at least one entry each.")
    return [(pooling, which) for pooling in poolings for which in layers]


def whitening(vectors_ND: np.ndarray, dimensions: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """mean [D] and W [D, K] with (x - mean) W white over `vectors_ND`: scatter the identity (arXiv 2104.01767).

    Directions in which the vectors hardly vary are left out: dividing by their spread would make noise of them.
    """
    mean_D = vectors_ND.mean(0, dtype=np.float64)
    centred_ND = vectors_ND - mean_D
    basis_DD, scale_D, _ = np.linalg.svd(centred_ND.T @ centred_ND)
    keep = int((scale_D > scale_D.max(initial=0) * 1e-9).sum())
    keep = min(keep, dimensions or keep)
    return mean_D, basis_DD[:, :keep] / np.sqrt(scale_D[:keep])


def cosine(left_ND: np.ndarray, right_ND: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, float64 [N]; 0 where a vector is 0."""
    left_ND, right_ND = left_ND.astype(np.float64), right_ND.astype(np.float64)
    norms_N = np.linalg.norm(left_ND, axis=1) * np.linalg.norm(right_ND, axis=1)
    return (left_ND * right_ND).sum(1) / np.where(norms_N > 0, norms_N, 1)
