"""The one face that every backbone shows to the objectives: encode, predict, detect.

Shapes: B rows, L positions, D hidden width, E width of the embeddings, V vocabulary.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import RecipeError
from .places import pick

if TYPE_CHECKING:
    from .families import Family
    from .recipe import ModelRecipe


RANDOM = "random weights"  # where a network's first weights come from unless a checkpoint gives them


class Network(nn.Module):
    """A transformers model (`hf`) behind a small adapter.

    The body and the head are separate calls, so that the vocabulary projection runs on the needed positions only. The
    logits equal those of `hf` called whole.
    """

    def __init__(
        self,
        hf: nn.Module,
        recipe: ModelRecipe,
        family: Family,
        head: str,
        length: int,
        start: str = RANDOM,
        missing_V: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.hf: Any = hf
        self.recipe = recipe
        self.family = family
        self.head = head  # "mlm" | "detect" | "classify" | "causal"
        self.length = length  # positions of a training row
        self.start = start  # where the first weights came from, in words
        self.can = family.can(self.config.to_dict())
        self.may_pick = True  # False: the last layer always runs in full
        self.missing_V: Tensor | None  # bool, the rows of the table that are no token (None: every row is one)
        self.register_buffer("missing_V", missing_V, persistent=False)

    @property
    def from_checkpoint(self) -> bool:
        """Whether its first weights came from a checkpoint, in this process or before the run was resumed."""
        return not self.start.startswith(RANDOM)

    @property
    def config(self) -> Any:
        """The transformers config."""
        return self.hf.config

    @property
    def body(self) -> nn.Module:
        """The network without its head."""
        return self.family.body(self.hf)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The table of token embeddings [V, E]."""
        return self.body.get_submodule(self.family.word_table)  # type: ignore[return-value]

    @property
    def picks(self) -> bool:
        """Whether the last layer can work at some places only.

        Not where it is compiled or computed again in the backward pass: neither sees that it is changed for a while.
        """
        layer = self.family.last_layer(self.hf)
        parts = (self.body, *layer.modules())
        compiled = any(getattr(part, "_compiled_call_impl", None) is not None for part in parts)
        recomputed = getattr(layer, "gradient_checkpointing", False)
        return self.may_pick and self.family.can_pick(self.hf) and not compiled and not recomputed

    @property
    def parameter_count(self) -> int:
        """Parameters, each counted once however often it is used."""
        return sum(parameter.numel() for parameter in self.parameters())

    def encode(
        self,
        ids_BL: Tensor | None,
        valid_BL: Tensor | None = None,
        document_BL: Tensor | None = None,
        blocks: bool = False,
        embeddings_BLE: Tensor | None = None,
        *,
        padded: bool = True,
        positions_BL: Tensor | None = None,
        allowed_BLL: Tensor | None = None,
        segment_BL: Tensor | None = None,
        place_BK: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [B, L, D], or [B, K, D] at `place_BK`.

        ids_BL: int64 token ids; None when `embeddings_BLE` (float, in place of the word embeddings) are given.
        valid_BL: bool, False at padding. With `padded=False` the caller promises that every position is valid, and no
            mask is built: a static promise, so that nothing waits for the device.
        document_BL: int64 document numbers, 0 at padding; with `blocks=True` documents do not see each other and
            positions restart in each. Without `blocks` they are not looked at.
        positions_BL: int64 positions from 0, in place of 0..L-1 (needs "positions").
        allowed_BLL: bool, query by key: a further restriction on who sees whom (needs "attention_mask"). Every token
            sees itself.
        segment_BL: int64, the segment of each token, from 0 (needs "segments"; None: all are of segment 0).
        place_BK: int64, the only places whose hidden states are wanted: the last layer then works there alone where the
            network can (`picks`).
        Raises RecipeError for what the network does not declare in `can`.
        """
        if (ids_BL is None) == (embeddings_BLE is None):
            raise ValueError("encode takes either ids or embeddings.")
        if embeddings_BLE is not None:
            inputs, length = {"inputs_embeds": embeddings_BLE}, embeddings_BLE.shape[1]
        else:
            assert ids_BL is not None
            inputs, length = {"input_ids": ids_BL}, ids_BL.shape[1]
        if blocks or allowed_BLL is not None:
            self.recipe.require("attention_mask", "documents that do not see each other" if blocks else "a custom mask")
        if blocks and document_BL is None:
            raise ValueError("encode with blocks=True needs document_BL.")
        if positions_BL is not None:
            self.recipe.require("positions", "position ids")
        if segment_BL is not None:
            self.recipe.require("segments", "segment ids")
            inputs["token_type_ids"] = segment_BL
        run = partial(
            self.family.encode,
            self.hf,
            inputs,
            length,
            valid_BL if padded else None,
            document_BL if blocks else None,
            positions_BL,
            allowed_BLL,
        )
        if place_BK is None:
            return run()
        if not self.picks or place_BK.shape[1] >= length:
            return pick(run(), place_BK)
        with self.family.at_places(self.hf, partial(pick, place_BK=place_BK)):
            return run()

    def predict(self, hidden: Tensor) -> Tensor:
        """Vocabulary logits [..., V] of hidden states [..., D], any leading shape."""
        if self.head in ("detect", "classify"):
            raise RecipeError(f"This network has the head {self.head} and predicts no tokens; build it with head=mlm.")
        return self.family.predict(self.hf, hidden)

    def guessable(self, logits: Tensor) -> Tensor:
        """Vocabulary logits [..., V] with minus infinity where a row of the table is no token: to guess or draw from.

        Tables are padded, and ids may have holes; the logits themselves, and losses, are those of transformers.
        """
        return guessable(logits, self.missing_V)

    def detect(self, hidden: Tensor) -> Tensor:
        """Logits [...] of "this token was replaced" of hidden states [..., D]."""
        if self.head != "detect":
            raise RecipeError(f"This network has the head {self.head} and detects nothing; build it with head=detect.")
        return self.family.detect(self.hf, hidden)

    def classify(self, hidden_BLD: Tensor) -> Tensor:
        """Class logits [B, C] of the rows' hidden states [B, L, D], read at the first position."""
        if self.head != "classify":
            raise RecipeError(f"This network has the head {self.head} and no classes; build it with head=classify.")
        return self.family.classify(self.hf, hidden_BLD)


def guessable(logits: Tensor, missing_V: Tensor | None) -> Tensor:
    """See `Network.guessable`; missing_V: bool, the rows that are no token, or None."""
    return logits if missing_V is None else logits.masked_fill(missing_V, -torch.inf)
