"""What a family of networks has to say about itself: its classes, its heads, its claims, how it runs.

A family holds no state: `hf` is always the transformers model, built by `maskwright.models.recipe`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from torch import Tensor

from ..attention import additive, restarted, visible
from ..places import Pick, picked_before


class Family(ABC):
    """One architecture. Subclasses fill in the table and, where theirs differs, the methods."""

    library: str = "transformers"  # the module that holds the classes below
    kind: str = "encoder"  # "encoder" | "decoder"
    model_type: str  # as in config.json of a checkpoint
    config_class: str
    heads: ClassVar[dict[str, str]]  # "mlm" | "detect" | "classify" | "causal" -> class in the library
    body_name: str  # attribute of the model that holds the network without its head
    word_table: str = "embeddings.word_embeddings"  # inside the body
    position_table: str | None = "embeddings.position_embeddings"
    type_table: str | None = "embeddings.token_type_embeddings"
    typeless: bool = False  # whether there may be no segment type at all
    attentions: tuple[str, ...] = ("sdpa", "eager")  # the first is the default
    extra_keys: ClassVar[Mapping[str, Any]] = {}  # config keys that the config class takes but does not list, and kinds
    own_names: ClassVar[Mapping[str, str]] = {}  # usual config key -> the config class's name for it
    rotary: bool = False  # the width of a head must be even
    narrow: bool = False  # `embedding_size` may differ from `hidden_size`
    layers: str = "encoder.layer"  # the stack of layers inside the body
    below: tuple[str, ...] = ()  # parts of the body that lower layers read, though they stand behind the layers
    # Parts of a layer that work place by place once values are mixed; the first is where places are picked.
    behind_attention: tuple[str, ...] = ()
    special_row: int | None = None  # an id that the architecture treats in its own way: no ordinary token may have it

    def can(self, numbers: dict[str, Any]) -> frozenset[str]:
        """What the network honours, given its config numbers; see `ModelRecipe.can`."""
        return frozenset({"positions", "attention_mask", "embeddings_in", *self.segments(numbers)})

    def segments(self, numbers: Mapping[str, Any]) -> tuple[str, ...]:
        """The claim "segments" where the network has several segment types."""
        types = numbers.get("type_vocab_size")
        if types is None and self.type_table is not None:
            types = getattr(self.get(self.config_class), "type_vocab_size", 0)
        return ("segments",) if self.type_table is not None and int(types or 0) > 1 else ()

    def objection(self, number: Callable[[str], Any]) -> str | None:
        """Why the family cannot join these numbers, and the cure; `number(key)` is the one in force."""
        return None

    def cure(self, claim: str) -> str:
        """What to do where the network does not `can` do it."""
        return "choose another model such as model=bert_tiny" if self.kind == "encoder" else "choose another model"

    def get(self, name: str) -> Any:
        """A class of the family, by its name; the library is imported now."""
        return getattr(importlib.import_module(self.library), name)

    def usual(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers under their usual names (hidden_size ...), whatever the config class calls them."""
        names = {own: usual for usual, own in self.own_names.items()}
        return {names.get(key, key): value for key, value in numbers.items()}

    def own(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers under the config class's names."""
        return {self.own_names.get(key, key): value for key, value in numbers.items()}

    def shallower(self, numbers: dict[str, Any], layers: int) -> dict[str, Any]:
        """The numbers of a network of fewer layers, lists by layer cut."""
        kinds = {"layer_types": numbers["layer_types"][:layers]} if numbers.get("layer_types") else {}
        return numbers | {"num_hidden_layers": layers} | kinds

    def made(self, hf: Any) -> Any:
        """A new model, as the family wants it before it is used."""
        return hf

    def first_position(self, pad_id: int) -> int:
        """The row of the position table that a row's first token reads."""
        return 0

    def table_length(self, length: int, pad_id: int) -> int:
        """`max_position_embeddings` needed for rows of `length` tokens."""
        return length + self.first_position(pad_id)

    def body(self, hf: Any) -> Any:
        return getattr(hf, self.body_name)

    @abstractmethod
    def predict(self, hf: Any, hidden: Tensor) -> Tensor:
        """Vocabulary logits [..., V] of hidden states [..., D]."""

    def detect(self, hf: Any, hidden: Tensor) -> Tensor:
        """Detection logits [...] of hidden states [..., D]; here as in *ForTokenClassification."""
        return hf.classifier(hf.dropout(hidden)).squeeze(-1)

    def classify(self, hf: Any, hidden_BLD: Tensor) -> Tensor:
        """Class logits [B, C] of hidden states [B, L, D]; here as where the head pools by itself."""
        return hf.classifier(hidden_BLD)

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
        """Hidden states [B, L, D]. `inputs` is {"input_ids": [B, L]} or {"inputs_embeds": [B, L, E]}, and after it
        {"token_type_ids": [B, L]} where segments are given.

        `valid_BL` is None when every position is valid, `document_BL` is None unless documents must not see each other.
        """
        device = next(iter(inputs.values())).device
        mask = visible(length, device, valid_BL=valid_BL, document_BL=document_BL, allowed_BLL=allowed_BLL)
        if positions_BL is None and document_BL is not None:
            positions_BL = restarted(document_BL)
        return self.body(hf)(
            **inputs, attention_mask=self.fitting(hf, mask), position_ids=self.placed(hf, positions_BL, length, device)
        ).last_hidden_state

    def can_pick(self, hf: Any) -> bool:
        """Whether the last layer can work at some places only; see `at_places`."""
        return bool(self.behind_attention)

    def at_places(self, hf: Any, picked: Pick) -> AbstractContextManager[None]:
        """Inside, the last layer works at the places picked alone once values are mixed, and `encode` gives [B, K, D].

        Here as in BERT: the first of `behind_attention` takes what attention mixed and what it is added to.
        """
        return picked_before(self.last_layer(hf).get_submodule(self.behind_attention[0]), picked)

    def last_layer(self, hf: Any) -> Any:
        return self.body(hf).get_submodule(self.layers)[-1]

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
