"""The numbers of LTG-BERT."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig


class LtgBertConfig(PreTrainedConfig):
    """Shape of an LTG-BERT (arXiv 2303.09859); the defaults are its base size.

    The standard deviation of the initial weights is no setting: it is sqrt(2 / (5 hidden_size)), cut off at twice that.

    position_buckets: relative distances up to half of it are kept apart on each side; farther ones share buckets whose
        width grows logarithmically up to `max_position_embeddings` - 1 and all beyond share the last.
    attention_probs_dropout_prob: of attention weights, of the attention's output and of the relative embeddings.
    """

    model_type = "ltg_bert"

    vocab_size: int = 16_384
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 2048
    hidden_act: str = "gelu_pytorch_tanh"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    position_buckets: int = 32
    layer_norm_eps: float = 1e-7
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        from ..auto import register_networks

        super().__post_init__(**kwargs)
        register_networks()
