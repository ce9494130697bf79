"""Sorts a network's parameters into the groups that optimizers treat differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from maskwright.errors import RecipeError


@dataclass
class Groups:
    """Every trainable parameter once, in the order of the network.

    hidden: the 2-D weights of Linear layers inside the transformer's stack of layers (attention and feed-forward), and
        of a head's hidden layer; never a projection to the vocabulary or to one label.
    no_decay: biases and norms, and embedding tables unless they are asked to decay.
    rest: all others, among them heads and vocabulary projections.
    """

    hidden: list[nn.Parameter]
    rest: list[nn.Parameter]
    no_decay: list[nn.Parameter]


def group(*networks: nn.Module, decay_embeddings: bool | str = False) -> Groups:
    """Sorts the parameters of one or several networks; shared parameters count once.

    decay_embeddings: of all tables, of none, or ("words") of those that ids are looked up in.

    A projection tied to an embedding table is that table. Raises RecipeError when nothing is trainable.
    """
    hidden = {id(weight) for network in networks for weight in _hidden_weights(network)}
    tables = {
        id(module.weight) for network in networks for module in network.modules() if isinstance(module, nn.Embedding)
    }
    hidden |= {id(weight) for network in networks for weight in _head_weights(network, tables)}
    hidden -= tables
    words = {id(table) for network in networks for table in _word_tables(network)}
    kept = set() if decay_embeddings is True else tables - words if decay_embeddings == "words" else tables
    sorted_, seen = Groups([], [], []), set()
    for network in networks:
        for parameter in network.parameters():
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if id(parameter) in hidden:
                sorted_.hidden.append(parameter)
            elif parameter.ndim < 2 or id(parameter) in kept:
                sorted_.no_decay.append(parameter)
            else:
                sorted_.rest.append(parameter)
    if not seen:
        raise RecipeError("No weight of the network is trainable; unfreeze at least one.")
    return sorted_


def _hidden_weights(network: nn.Module) -> Iterator[Tensor]:
    for body in _bodies(network):
        for stack in body.modules():
            if isinstance(stack, nn.ModuleList):
                yield from (module.weight for module in stack.modules() if isinstance(module, nn.Linear))


def _head_weights(network: nn.Module, tables: set[int]) -> Iterator[Tensor]:
    """Hidden layers of heads: Linear layers outside the bodies that project neither to a vocabulary nor to labels."""
    inside = {id(module) for body in _bodies(network) for module in body.modules()}
    vocabularies = {module.num_embeddings for module in network.modules() if isinstance(module, nn.Embedding)}
    configs = [getattr(module, "config", None) for module in network.modules()]
    labels = {1, *(getattr(config, "num_labels", 1) for config in configs)}
    for module in network.modules():
        if not isinstance(module, nn.Linear) or id(module) in inside or id(module.weight) in tables:
            continue
        if module.out_features not in vocabularies | labels and not getattr(module, "is_output", False):
            yield module.weight


def _word_tables(network: nn.Module) -> Iterator[Tensor]:
    for body in _bodies(network):
        ask: Any = getattr(body, "get_input_embeddings", None)
        found = ask() if ask else None
        if isinstance(found, nn.Embedding):
            yield found.weight


def _bodies(network: nn.Module) -> list[nn.Module]:
    """The networks' bodies without heads: `base_model` where a part comes from transformers, else the whole network."""
    # transformers types `base_model` as Tensor | Module
    found: list[Any] = [module.base_model for module in network.modules() if hasattr(module, "base_model_prefix")]
    bodies: list[nn.Module] = found
    return bodies or [network]


def named(groups: Groups, weight_decay: float) -> list[dict[str, object]]:
    """Param groups for an optimizer that updates everything by one rule; empty groups are left out."""
    listed = [
        {"params": groups.hidden, "name": "hidden", "weight_decay": weight_decay},
        {"params": groups.rest, "name": "rest", "weight_decay": weight_decay},
        {"params": groups.no_decay, "name": "no_decay", "weight_decay": 0.0},
    ]
    return [entry for entry in listed if entry["params"]]
