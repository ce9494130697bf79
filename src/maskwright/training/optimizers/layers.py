"""What sets lower layers of a trained network apart: smaller learning rates, or none at all.

Lower layers hold what is general, so a network that goes on with other text may move them less: each layer at a share
of the rate of the one above (ULMFiT, arXiv 1801.06146, section 3.2; ELECTRA and BEiT fine-tune so), or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from maskwright.errors import RecipeError
from maskwright.models import Network


@dataclass(frozen=True)
class Layers:
    """Settings by layer, for any optimizer; see conf/optimizer/*.yaml. Raises RecipeError for impossible ones.

    decay: the head has the peak rate, the top layer `decay` of it, the layer below `decay` squared ..., and what stands
        below all layers (embeddings) the smallest. 1: all alike.
    frozen: how many of the lowest layers keep their weights. frozen_embeddings: whether what stands below them does.
    """

    decay: float = 1.0
    frozen: int = 0
    frozen_embeddings: bool = False

    def __post_init__(self) -> None:
        decay = self.decay
        if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 < decay <= 1:
            raise RecipeError(f"optimizer.layer_decay is {decay}; it lies above 0 and not above 1, 1 for no decay.")
        if isinstance(self.frozen, bool) or not isinstance(self.frozen, int) or self.frozen < 0:
            raise RecipeError(f"optimizer.frozen_layers is {self.frozen}; give a whole number from 0 up.")
        if not isinstance(self.frozen_embeddings, bool):
            raise RecipeError(f"optimizer.frozen_embeddings is {self.frozen_embeddings}; give true or false.")

    def freeze(self, *networks: nn.Module) -> None:
        """Take what is frozen out of training. Of several networks those that start from a checkpoint keep theirs, if
        any does. Raises RecipeError when a network has fewer layers."""
        if not self.frozen and not self.frozen_embeddings:
            return
        found = _networks(networks, "frozen_layers")
        for network in [one for one in found if one.from_checkpoint] or found:
            layers = depth(network)
            if self.frozen > layers:
                raise RecipeError(
                    f"optimizer.frozen_layers is {self.frozen}, and the network has {layers} layers; lower it."
                )
            for weight, place in _places(network):
                if (place == 0 and self.frozen_embeddings) or 1 <= place <= self.frozen:
                    weight.requires_grad_(False)

    def split(self, groups: Sequence[Mapping[str, Any]], lr: float, *networks: nn.Module) -> list[dict[str, Any]]:
        """Each param group as one group a layer, with `lr` of its own; the groups as they are where all are alike.

        A weight that stands in two places, such as a table that also is the head's, takes the smaller rate.
        """
        if self.decay == 1:
            return [dict(group) for group in groups]
        below_head: dict[int, int] = {}  # by weight: how many times the rate decays
        for network in _networks(networks, "layer_decay"):
            top = depth(network) + 1
            for weight, place in _places(network):
                below_head[id(weight)] = max(below_head.get(id(weight), 0), top - place)
        found = []
        for group in groups:
            by_times: dict[int, list[nn.Parameter]] = {}
            for weight in group["params"]:
                by_times.setdefault(below_head.get(id(weight), 0), []).append(weight)
            found += [{**group, "params": by_times[times], "lr": lr * self.decay**times} for times in sorted(by_times)]
        return found


def depth(network: Network) -> int:
    """How many layers a network has."""
    return len(network.body.get_submodule(network.family.layers))  # type: ignore[arg-type]


def frozen_share(network: nn.Module) -> float:
    """The share of the weights that are not trained."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in network.parameters()]
    return sum(size for size, trained in sizes if not trained) / sum(size for size, _ in sizes)


def _networks(modules: Sequence[nn.Module], asked: str) -> list[Network]:
    found = [part for module in modules for part in module.modules() if isinstance(part, Network)]
    if not found:
        raise RecipeError(f"optimizer.{asked} needs a network that says which its layers are; leave it out.")
    return found


def _places(network: Network) -> Iterator[tuple[nn.Parameter, int]]:
    """Every weight and where it stands: 0 below the layers, 1.. in them from the lowest on, then the head's place.

    Of the body, whatever stands before the layers is below them, so are tables and `Family.below`; the rest, such as a
    last norm or a pooler, counts as the head.
    """
    body, family = network.body, network.family
    top = depth(network) + 1
    tables = {id(weight) for part in body.modules() if isinstance(part, nn.Embedding) for weight in part.parameters()}
    place = 0
    for name, weight in body.named_parameters():
        if name.startswith(family.layers + "."):
            place = 1 + int(name.removeprefix(family.layers + ".").split(".")[0])
            yield weight, place
        elif id(weight) in tables or place == 0 or name.startswith(family.below):
            yield weight, 0
        else:
            yield weight, top
    inside = {id(weight) for weight in body.parameters()}
    yield from ((weight, top) for weight in network.parameters() if id(weight) not in inside)
