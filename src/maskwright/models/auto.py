"""Tells transformers' Auto classes of our own networks.

AutoConfig learns of the configs as soon as it is imported (`import maskwright` sees to that, and imports nothing
itself); the other classes learn of the networks when the first config is made: every way to a network passes there, and
transformers' modules, which import each other in circles, are complete by then.
"""

from __future__ import annotations

from functools import cache


def register_configs() -> None:
    """AutoConfig."""
    from transformers.models.auto.configuration_auto import AutoConfig

    from .ltg_bert.configuration import LtgBertConfig

    AutoConfig.register(LtgBertConfig.model_type, LtgBertConfig, exist_ok=True)


@cache
def register_networks() -> None:
    """AutoModel and its kin, by head, and AutoTokenizer: it reads the tokenizer.json beside the weights."""
    from transformers import (
        AutoModel,
        AutoModelForMaskedLM,
        AutoModelForTokenClassification,
        AutoTokenizer,
        PreTrainedTokenizerFast,
    )

    from .ltg_bert import modeling as ltg_bert

    config = ltg_bert.LtgBertConfig
    AutoModel.register(config, ltg_bert.LtgBertModel, exist_ok=True)
    AutoModelForMaskedLM.register(config, ltg_bert.LtgBertForMaskedLM, exist_ok=True)
    AutoModelForTokenClassification.register(config, ltg_bert.LtgBertForTokenClassification, exist_ok=True)
    AutoTokenizer.register(config, tokenizer_class=PreTrainedTokenizerFast, exist_ok=True)
