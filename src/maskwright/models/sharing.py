"""How two networks share their embedding tables: not at all, tied, or gradient-disentangled."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import RecipeError
from .network import Network

HOW = ("none", "tied", "gdes")


class DisentangledEmbedding(nn.Embedding):
    """A table E = stopgrad(E_base) + delta: gradients reach delta only (DeBERTaV3, arXiv 2111.09543, section 3.3).

    `delta` [V, E] starts at zero, so that both tables begin equal, or as what `own` (a trained table) differs by.
    `weight` is the sum, for reading and export.
    """

    def __init__(self, base: nn.Embedding, own: Tensor | None = None) -> None:
        nn.Module.__init__(self)
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx = base.padding_idx
        delta = torch.zeros_like(base.weight) if own is None else own.detach() - base.weight.detach()
        self.delta = nn.Parameter(delta)
        self._base = (base,)  # in a tuple: the table belongs to the other network, not to this module

    @property
    def base(self) -> Tensor:
        """The other network's table: its parameter itself."""
        return self._base[0].weight

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return self._base[0].weight.detach() + self.delta

    def forward(self, input: Tensor) -> Tensor:
        base = F.embedding(input, self._base[0].weight.detach())
        return base + F.embedding(input, self.delta, self.padding_idx)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, disentangled"


def share(generator: Network, detector: Network, how: str) -> None:
    """Let the detector use the generator's embedding tables.

    how: "none"; "tied", one Parameter for each table that both have (words, absolute positions, segment types; ELECTRA,
    arXiv 2003.10555); "gdes", the detector's word and absolute position tables become `DisentangledEmbedding`s.
    Where only the detector starts from a checkpoint, its tables are the shared start; where both do, `gdes` keeps the
    difference of their tables. Call it before optimizers are made. Raises RecipeError when the tables differ in shape,
    or when two trained tables that most rows tell apart should become one.
    """
    if how not in HOW:
        raise RecipeError(f"sharing is {how}; choose one of {', '.join(HOW)}.")
    if how == "none":
        return
    if detector.recipe.init_from and not generator.recipe.init_from:
        generator.start = f"{generator.start}, but for the discriminator's tables"
    pairs = [("word", generator.family.word_table, detector.family.word_table)]
    pairs.append(("position", generator.family.position_table or "", detector.family.position_table or ""))
    if how == "tied":
        pairs.append(("type", generator.family.type_table or "", detector.family.type_table or ""))
    for name, source, target in pairs:
        ours, theirs = _table(generator, source), _table(detector, target)
        if ours is None or theirs is None:
            continue
        if ours.weight.shape != theirs.weight.shape:
            raise RecipeError(
                f"sharing={how} needs equal {name} tables, and they are {_by(ours)} and {_by(theirs)}; "
                "set generator.width=1, choose a model with narrow embeddings such as electra_small, or sharing=none."
            )
        both = bool(detector.recipe.init_from and generator.recipe.init_from)
        if detector.recipe.init_from and not generator.recipe.init_from:
            with torch.no_grad():
                ours.weight.copy_(theirs.weight)
        if how == "tied":
            if both and (ours.weight == theirs.weight).all(1).float().mean() < 0.5:  # rows of added tokens are drawn
                raise RecipeError(
                    f"The {name} tables of the two checkpoints differ, and sharing=tied would lose the "
                    "discriminator's; choose sharing=gdes, which keeps the difference, or sharing=none."
                )
            theirs.weight = ours.weight
        else:
            parent, _, leaf = target.rpartition(".")
            own = theirs.weight if both else None
            setattr(detector.body.get_submodule(parent), leaf, DisentangledEmbedding(ours, own))


def disentangled(network: nn.Module) -> dict[str, DisentangledEmbedding]:
    """The gradient-disentangled tables of a network, by module name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, DisentangledEmbedding)}


def _table(network: Network, path: str) -> nn.Embedding | None:
    if not path:
        return None
    parent, _, leaf = path.rpartition(".")
    return getattr(network.body.get_submodule(parent), leaf, None)


def _by(table: nn.Embedding) -> str:
    return " x ".join(str(size) for size in table.weight.shape)


def share_body(owner: Network, other: Network) -> None:
    """Let two networks of one family have the same body, the owner's; the other keeps its head.

    A projection that is tied to the body's embeddings is tied to the owner's. Call it before optimizers are made.
    """
    tied = [
        module
        for module in other.hf.modules()
        if isinstance(module, nn.Linear) and module.weight is other.word_embeddings.weight
    ]
    setattr(other.hf, other.family.body_name, owner.body)
    for module in tied:
        module.weight = owner.word_embeddings.weight
