"""The network of LTG-BERT (arXiv 2303.09859): body, masked-language-model head, token classification.

Layer norms stand before each part and have no weights; a further one with weights follows the attention. The
feed-forward part is a GEGLU with a norm inside. Positions enter through the attention scores alone.
Shapes: B rows, L positions, D hidden width, H heads, W width of a head, P relative places.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, TokenClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration import LtgBertConfig
from .positions import buckets


def plain_norm(width: int, eps: float) -> nn.LayerNorm:
    """A layer norm without weights."""
    return nn.LayerNorm(width, eps=eps, elementwise_affine=False)


class LtgBertEmbeddings(nn.Module):
    """Word embeddings, and one embedding for each bucket of relative positions."""

    def __init__(self, config: LtgBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.word_norm = plain_norm(config.hidden_size, config.layer_norm_eps)
        self.relative_embeddings = nn.Embedding(2 * config.position_buckets - 1, config.hidden_size)
        self.relative_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.buckets = config.position_buckets
        self.bucket = nn.Buffer(self.table(config), persistent=False)

    @staticmethod
    def table(config: LtgBertConfig) -> Tensor:
        """Int64: the bucket of each distance from 0 up."""
        return torch.tensor(buckets(config.max_position_embeddings, config.position_buckets))

    def forward(self, embeddings_BLD: Tensor) -> Tensor:
        return self.dropout(self.word_norm(embeddings_BLD))

    def relative(self) -> Tensor:
        """The embedding of every relative place [P, D], from the farthest key to the right to the farthest left."""
        return self.relative_norm(self.relative_embeddings.weight)

    def places(self, positions_BL: Tensor) -> Tensor:
        """The relative place of each query and key, int64 [B, L, L] in 0..P-1."""
        distance_BLL = positions_BL[:, :, None] - positions_BL[:, None, :]
        bucket_BLL = self.bucket[distance_BLL.abs().clamp(max=len(self.bucket) - 1)]
        return torch.where(distance_BLL < 0, -bucket_BLL, bucket_BLL) + self.buckets - 1


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attention step by step, which also gives its weights [B, H, L, L]; `attention_mask` is additive."""
    score_BHLL = query @ key.transpose(2, 3) * scaling + position_bias
    if attention_mask is not None:
        score_BHLL = score_BHLL + attention_mask
    weight_BHLL = F.dropout(score_BHLL.softmax(-1), dropout, module.training)
    return (weight_BHLL @ value).transpose(1, 2), weight_BHLL


class LtgBertAttention(nn.Module):
    """Disentangled attention: content with content, content with position, position with content."""

    def __init__(self, config: LtgBertConfig) -> None:
        super().__init__()
        self.config = config
        self.is_causal = False
        self.heads = config.num_attention_heads
        self.width = config.hidden_size // config.num_attention_heads
        self.scaling = 1 / math.sqrt(3 * self.width)  # three terms are added
        self.norm = plain_norm(config.hidden_size, config.layer_norm_eps)
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def split(self, projected: Tensor) -> Tensor:
        """[..., L, D] as [..., H, L, W]."""
        return projected.unflatten(-1, (self.heads, self.width)).transpose(-2, -3)

    def bias(self, query_BHLW: Tensor, key_BHLW: Tensor, relative_PD: Tensor, place_BLL: Tensor) -> Tensor:
        """The two terms of the scores [B, H, L, L] that know positions; positions share the content's projections."""
        relative_PD = self.dropout(relative_PD)
        query_HPW, key_HPW = self.split(self.query(relative_PD)), self.split(self.key(relative_PD))
        shape = (*query_BHLW.shape[:3], query_BHLW.shape[2])
        place_BHLL = place_BLL[:, None].expand(shape)
        to_position_BHLL = (query_BHLW @ key_HPW.transpose(1, 2)).gather(-1, place_BHLL)
        to_content_BHLL = (key_BHLW @ query_HPW.transpose(1, 2)).gather(-1, place_BHLL.transpose(2, 3))
        return (to_position_BHLL + to_content_BHLL.transpose(2, 3)) * self.scaling

    def forward(
        self, hidden_BLD: Tensor, mask: Tensor | None, relative_PD: Tensor, place_BLL: Tensor, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        normed_BLD = self.norm(hidden_BLD)
        query_BHLW, key_BHLW = self.split(self.query(normed_BLD)), self.split(self.key(normed_BLD))
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        mixed_BLHW, weight_BHLL = attend(
            self,
            query_BHLW,
            key_BHLW,
            self.split(self.value(normed_BLD)),
            mask,
            position_bias=self.bias(query_BHLW, key_BHLW, relative_PD, place_BLL),
            scaling=self.scaling,
            dropout=self.dropout.p if self.training else 0.0,
            **kwargs,
        )
        return self.dropout(self.output_norm(self.output(mixed_BLHW.flatten(2)))), weight_BHLL


class LtgBertFeedForward(nn.Module):
    """GEGLU (arXiv 2002.05202) with a norm before and a norm inside."""

    def __init__(self, config: LtgBertConfig, layer: int) -> None:
        super().__init__()
        self.norm = plain_norm(config.hidden_size, config.layer_norm_eps)
        self.expand = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.activation = ACT2FN[config.hidden_act]
        self.inner_norm = plain_norm(config.intermediate_size, config.layer_norm_eps)
        self.shrink = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        for linear in (self.expand, self.shrink):  # the deeper the layer, the smaller its initial weights
            linear.initial_scale = math.sqrt(1 / (2 * (1 + layer)))  # type: ignore[assignment]

    def forward(self, hidden_BLD: Tensor) -> Tensor:
        content, gate = self.expand(self.norm(hidden_BLD)).chunk(2, dim=-1)
        return self.dropout(self.shrink(self.inner_norm(content * self.activation(gate))))


class LtgBertLayer(GradientCheckpointingLayer):
    """Attention and feed-forward, each added to the stream."""

    def __init__(self, config: LtgBertConfig, layer: int) -> None:
        super().__init__()
        self.attention = LtgBertAttention(config)
        self.feed_forward = LtgBertFeedForward(config, layer)

    def forward(
        self, hidden_BLD: Tensor, mask: Tensor | None, relative_PD: Tensor, place_BLL: Tensor, **kwargs: Any
    ) -> Tensor:
        hidden_BLD = hidden_BLD + self.attention(hidden_BLD, mask, relative_PD, place_BLL, **kwargs)[0]
        return hidden_BLD + self.feed_forward(hidden_BLD)


class LtgBertPreTrainedModel(PreTrainedModel):
    config_class = LtgBertConfig
    base_model_prefix = "ltg_bert"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LtgBertLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": LtgBertLayer, "attentions": LtgBertAttention}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            std = math.sqrt(2 / (5 * self.config.hidden_size)) * getattr(module, "initial_scale", 1.0)
            init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if getattr(module, "bias", None) is not None:
                init.zeros_(module.bias)
            return
        super()._init_weights(module)
        if isinstance(module, LtgBertEmbeddings):
            init.copy_(module.bucket, module.table(self.config))


class LtgBertModel(LtgBertPreTrainedModel):
    """The network without a head. Its hidden states are not normalised: every head begins with a norm."""

    def __init__(self, config: LtgBertConfig) -> None:
        super().__init__(config)
        self.embeddings = LtgBertEmbeddings(config)
        self.layers = nn.ModuleList([LtgBertLayer(config, i) for i in range(config.num_hidden_layers)])
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # type: ignore[override]
        self.embeddings.word_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Hidden states [B, L, D].

        input_ids: int64 [B, L], or inputs_embeds: float [B, L, D] in place of the word embeddings. attention_mask:
        [B, L], 1 at keys that may be seen, or [B, 1, L, L] as transformers takes it. position_ids: int64 [B, L] or
        [1, L]; only their differences matter.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("LtgBertModel takes either input_ids or inputs_embeds.")
        if inputs_embeds is None:
            inputs_embeds = self.embeddings.word_embeddings(input_ids)
        if position_ids is None:
            position_ids = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)[None]
        hidden_BLD = self.embeddings(inputs_embeds)
        relative_PD, place_BLL = self.embeddings.relative(), self.embeddings.places(position_ids)
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=hidden_BLD, attention_mask=attention_mask)
        for layer in self.layers:
            hidden_BLD = layer(hidden_BLD, mask, relative_PD, place_BLL, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_BLD)


class LtgBertHead(nn.Module):
    """Scores [..., outputs] from hidden states [..., D]."""

    def __init__(self, config: LtgBertConfig, outputs: int) -> None:
        super().__init__()
        self.norm = plain_norm(config.hidden_size, config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.dense_norm = plain_norm(config.hidden_size, config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.decoder(self.dense_norm(self.dropout(F.gelu(self.dense(self.norm(hidden))))))


class LtgBertForMaskedLM(LtgBertPreTrainedModel):
    """With a vocabulary head whose projection is the table of word embeddings."""

    _tied_weights_keys = {  # noqa: RUF012
        "lm_head.decoder.weight": "ltg_bert.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: LtgBertConfig) -> None:
        super().__init__(config)
        self.ltg_bert = LtgBertModel(config)
        self.lm_head = LtgBertHead(config, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head.decoder = new_embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Logits [B, L, V], and the mean loss over `labels` that are not -100 (int64 [B, L])."""
        body = self.ltg_bert(input_ids, attention_mask, position_ids, inputs_embeds, **kwargs)
        logits = self.lm_head(body.last_hidden_state)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=body.hidden_states, attentions=body.attentions)


class LtgBertForTokenClassification(LtgBertPreTrainedModel):
    """With a head like the vocabulary's, over labels."""

    def __init__(self, config: LtgBertConfig) -> None:
        super().__init__(config)
        self.ltg_bert = LtgBertModel(config)
        self.classifier = LtgBertHead(config, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Logits [B, L, labels], and the mean loss over `labels` that are not -100 (int64 [B, L])."""
        body = self.ltg_bert(input_ids, attention_mask, position_ids, inputs_embeds, **kwargs)
        logits = self.classifier(body.last_hidden_state)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=body.hidden_states, attentions=body.attentions
        )
