"""What a family of networks has to say about itself: its classes, its heads, its claims, how it runs.

A family holds no state: `hf` is always the transformers model, built by `maskwright.models.recipe`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from ..attention import additive, restarted, visible


class Family(ABC):
    """One architecture of transformers. Subclasses fill in the table and, where theirs differs, the methods."""

    kind: str = "encoder"  # "encoder" | "decoder"
    model_type: str  # as in config.json of a checkpoint
    config_class: str
    heads: ClassVar[dict[str, str]]  # "mlm" | "detect" | "causal" -> class in transformers
    body_name: str  # attribute of the model that holds the network without its head
    word_table: str = "embeddings.word_embeddings"  # inside the body
    position_table: str | None = "embeddings.position_embeddings"
    type_table: str | None = "embeddings.token_type_embeddings"
    attentions: tuple[str, ...] = ("sdpa", "eager")  # the first is the default
    extra_keys: frozenset[str] = frozenset()  # config keys that the config class takes but does not list
    rotary: bool = False  # the width of a head must be even
    narrow: bool = False  # `embedding_size` may differ from `hidden_size`

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        """What the network honours, given its config numbers; see `ModelRecipe.can`."""
        return frozenset({"positions", "attention_mask", "embeddings_in"})

    def table_length(self, length: int, pad_id: int) -> int:
        """`max_position_embeddings` needed for rows of `length` tokens."""
        return length

    def body(self, hf: Any) -> Any:
        return getattr(hf, self.body_name)

    @abstractmethod
    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        """Vocabulary logits [..., V] of hidden states [..., D]."""

    def detect(self, hf: Any, hidden: Tensor) -> Tensor:
        """Detection logits [...] of hidden states [..., D]; here as in *ForTokenClassification."""
        return hf.classifier(hf.dropout(hidden)).squeeze(-1)

    def encode(
        self,
        hf: Any,
        inputs: dict[str, Tensor],
        length: int,
        valid_BL: Tensor | None,
        document_BL: Tensor | None,
        positions_BL: Tensor | None,
        allowed_BLL: Tensor | None,
    ) -> Tensor:
        """Hidden states [B, L, D]. `inputs` is {"input_ids": [B, L]} or {"inputs_embeds": [B, L, E]}.

        `valid_BL` is None when every position is valid, `document_BL` is None unless documents must not see each other.
        """
        device = next(iter(inputs.values())).device
        mask = visible(length, device, valid_BL=valid_BL, document_BL=document_BL, allowed_BLL=allowed_BLL)
        if positions_BL is None and document_BL is not None:
            positions_BL = restarted(document_BL)
        return self.body(hf)(
            **inputs, attention_mask=self.fitting(hf, mask), position_ids=self.placed(hf, positions_BL, length, device)
        ).last_hidden_state

    def placed(self, hf: Any, positions_BL: Tensor | None, length: int, device: Any) -> Tensor | None:
        """`position_ids` as the architecture counts them (None: its default)."""
        return positions_BL

    def fitting(self, hf: Any, mask: Tensor | None) -> Tensor | None:
        """The mask in the form that the model's attention implementation needs."""
        eager = hf.config._attn_implementation == "eager"
        return additive(mask, hf.dtype) if eager else mask

    def position_flops(self, hf: Any, tokens: float, length: int) -> float:
        """Forward FLOPs beyond Linear layers and plain attention (relative positions, convolutions)."""
        return 0.0
