"""What an objective is: networks, what they need, and named loss terms.

An objective never normalises, logs, schedules or optimises. It says for every term *where* it counts (before any
forward pass, so that denominators are known over all micro-batches and ranks) and what the loss is at each of those
places.

Shapes: B rows, L positions, K masked positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from maskwright.data.batch import Batch
from maskwright.data.segments import second
from maskwright.errors import RecipeError
from maskwright.masking.columns import Column
from maskwright.masking.draws import Draws

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the rest of the recipe; a mismatch is refused before any work."""

    network: str  # "encoder" or "decoder"
    views: tuple[str, ...] = ("main",)
    can: frozenset[str] = frozenset()  # capabilities that the model must declare
    predicts: bool = True  # it predicts selected tokens at their places, so a view must leave some
    in_place: bool = False  # every token must stand where it stands in the clean row
    copies: bool = False  # it can predict more than it corrupts, by further views of the same rows
    losses: Mapping[str, str] = field(default_factory=dict)  # by view, the term that gives a loss at each of its places
    gives: tuple[str, ...] = ()  # columns that its network gives to a view inside the step
    packing: str | None = None  # the one kind of packing that it can read


@dataclass(frozen=True)
class RowLayout:
    """Facts of the packed rows that networks are built for; static, so that no step asks the device."""

    length: int
    padded: bool  # some rows have padding
    blocks: bool  # several documents share a row and must not see each other
    pairs: bool = False  # a row is a pair of segments, numbered 1 and 2 as documents are
    shown: int = 0  # tokens of the widest view; 0: as many as the rows have
    copies: int = 1  # views of each row that are predicted alike

    @property
    def width(self) -> int:
        """Tokens that a network reads of a row."""
        return self.shown or self.length


class Objective(nn.Module, ABC):
    """A pre-training objective over one or more networks.

    weights: factor of each term in the loss. A term of weight 0 is measured and logged, not trained.
    """

    needs: ClassVar[Needs]
    columns: tuple[str | Column, ...] = ()  # annotations that it reads
    example: ClassVar[str]  # a model that satisfies it, named when another is refused
    weights: Mapping[str, float]
    layout: RowLayout

    @classmethod
    def check(cls, name: str, model_name: str, model: ModelRecipe) -> None:
        """Raises RecipeError where `model` cannot serve this objective."""
        if model.kind != cls.needs.network:
            raise RecipeError(
                f"objective={name} needs {_article(cls.needs.network)}; model={model_name} is {_article(model.kind)}; "
                f"try model={cls.example}."
            )
        lacking = sorted(cls.needs.can - model.can)
        if lacking:
            raise RecipeError(
                f"objective={name} needs a model that can take {', '.join(lacking)}; model={model_name} cannot; "
                f"try model={cls.example}."
            )

    @abstractmethod
    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        """Make the networks for rows of up to `positions` tokens, drawing initial weights from torch's global
        generator."""

    def arrange(self, rows: Mapping[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        """The rows as this objective wants to read them, before any view is made: by default as they are packed."""
        return dict(rows)

    def encode(
        self,
        network: Network,
        ids_BL: Tensor,
        document_BL: Tensor,
        embeddings_BLE: Tensor | None = None,
        place_BK: Tensor | None = None,
    ) -> Tensor:
        """Hidden vectors [B, L, D] of rows laid out as this run packs them, or [B, K, D] where only some are wanted.

        A network with segment types is told the segments of pairs, as BERT is.
        """
        layout = self.layout
        segmented = layout.pairs and "segments" in network.can
        return network.encode(
            ids_BL,
            document_BL > 0,
            document_BL,
            blocks=layout.blocks,
            padded=layout.padded,
            embeddings_BLE=embeddings_BLE,
            segment_BL=second(document_BL) if segmented else None,
            place_BK=place_BK,
        )

    def compile_networks(self) -> None:
        """Compile every network's body in place (torch.compile), with the static shapes that views have."""
        for network in self._networks():
            network.body.compile(dynamic=False)

    def run_whole(self) -> None:
        """Let every last layer run in full, as compiled ones do."""
        for network in self._networks():
            network.may_pick = False

    def _networks(self) -> list[Any]:
        """The networks, without heads of the objective's own."""
        return [module for module in self.children() if hasattr(module, "body")]

    @abstractmethod
    def where(self, batch: Batch) -> dict[str, Tensor]:
        """For each term the places where it counts (bool, or weights >= 0). A term's value is its mean over them."""

    @abstractmethod
    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """For each term the loss at every place of `where`, in the same shape; finite at places that do not count."""

    @abstractmethod
    def ruled(self) -> dict[str, Network | str]:
        """By metric prefix, the network that the ruler measures, or the reason why there is no such number."""

    @abstractmethod
    def exports(self) -> dict[str, Network]:
        """By folder below export/, the networks to save."""

    def starts(self) -> dict[str, str]:
        """By network, in words, where its first weights came from."""
        return {below or "network": network.start for below, network in self.exports().items()}

    @abstractmethod
    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        """Model FLOPs of one training step on `rows` rows, of which each view loses `predicted` places a row.

        An objective's own small heads are left out.
        """


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
