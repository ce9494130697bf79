"""The families that `model.family` can name. A new one is a class here and its YAML files in conf/model."""

from __future__ import annotations

from .base import Family
from .bert import Bert
from .deberta_v2 import DebertaV2
from .electra import Electra
from .llama import Llama
from .modernbert import ModernBert
from .roberta import Roberta

FAMILIES: dict[str, Family] = {
    "bert": Bert(),
    "roberta": Roberta(),
    "electra": Electra(),
    "deberta_v2": DebertaV2(),
    "deberta_v3": DebertaV2(),
    "modernbert": ModernBert(),
    "llama": Llama(),
}

__all__ = ["FAMILIES", "Family"]
