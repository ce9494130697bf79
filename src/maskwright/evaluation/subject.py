"""What is evaluated: a network with its tokenizer, from a run, an export, the hub, or a training in progress."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from maskwright.errors import RecipeError
from maskwright.evaluation.heads import HEADS
from maskwright.models.network import guessable

if TYPE_CHECKING:
    from maskwright.evaluation.heldout import HeldOut

_NO_TOKENS = {"detect": "is a discriminator and has no distribution over tokens"}


@dataclass
class Subject:
    """A network and what an evaluation must know of it.

    head: mlm | causal, or another: detect, classify, None (a body alone). length: most tokens of a text. heldout: what
    the ruler measures on, where it is known. other: what to name instead when the network itself has no language-model
    head.
    """

    network: Any  # Network or Foreign
    tokenizer: Any
    head: str | None
    length: int
    name: str
    heldout: HeldOut | None = None
    other: str | None = None

    @property
    def pad(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def mask(self) -> int:
        if self.tokenizer.mask_token_id is None:
            raise RecipeError(f"{self.name} has a tokenizer without a mask token; name a model that has one.")
        return int(self.tokenizer.mask_token_id)

    def require_language_model(self) -> None:
        """Raises RecipeError when the network gives no distribution over tokens."""
        if self.head in HEADS:
            return
        lacks = _NO_TOKENS.get(self.head or "", "has no language-model head")
        cure = f"use {self.other}" if self.other else "name a model that was exported with one"
        raise RecipeError(f"{self.name} {lacks}, so no text can be scored with it; {cure}.")

    def require_masked(self, suite: str) -> None:
        """Raises RecipeError unless the network fills in masks."""
        self.require_language_model()
        if HEADS[str(self.head)].left_to_right:
            raise RecipeError(
                f"evaluation={suite} fills masks, and {self.name} is a causal model; name a masked language model."
            )


class Foreign(nn.Module):
    """A transformers model of a family that maskwright has no adapter for: it is run whole, every position projected.

    Shapes: R rows, L positions, D hidden width, V vocabulary.
    """

    def __init__(self, hf: Any, missing_V: Tensor | None = None) -> None:
        super().__init__()
        self.hf = hf
        self.missing_V: Tensor | None  # as in `Network`
        self.register_buffer("missing_V", missing_V, persistent=False)

    @property
    def config(self) -> Any:
        return self.hf.config

    @property
    def body(self) -> nn.Module:
        return self.hf.base_model

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def whole(self, ids_RL: Tensor, valid_RL: Tensor | None = None) -> Tensor:
        """Logits [R, L, V]."""
        mask_RL = None if valid_RL is None else valid_RL.long()
        return self.hf(input_ids=ids_RL, attention_mask=mask_RL).logits

    def guessable(self, logits: Tensor) -> Tensor:
        """As `Network.guessable`."""
        return guessable(logits, self.missing_V)

    @property
    def can(self) -> frozenset[str]:
        """Of what a `Network` may declare, what is asked for here."""
        named = "token_type_ids" in inspect.signature(self.hf.base_model.forward).parameters
        several = getattr(self.config, "type_vocab_size", 2) > 1  # XLNet tells segments apart without a table
        return frozenset({"segments"} if named and several else ())

    def encode(
        self,
        ids_RL: Tensor,
        valid_RL: Tensor | None = None,
        *,
        padded: bool = True,
        segment_BL: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [R, L, D] of the last layer."""
        mask_RL = valid_RL.long() if padded and valid_RL is not None else None
        segments = {} if segment_BL is None else {"token_type_ids": segment_BL}
        return self.hf.base_model(input_ids=ids_RL, attention_mask=mask_RL, **segments).last_hidden_state
