"""The families that `model.family` can name. A new one is a class here and its YAML files in conf/model."""

from __future__ import annotations

from .albert import Albert
from .base import Family
from .bert import Bert
from .deberta_v2 import DebertaV2
from .distilbert import DistilBert
from .electra import Electra
from .llama import Llama
from .longformer import Longformer
from .ltg_bert import LtgBert
from .modernbert import ModernBert
from .mpnet import MPNet
from .roberta import Camembert, Roberta, RobertaPreLayerNorm, XlmRoberta, XlmRobertaXl

FAMILIES: dict[str, Family] = {
    "bert": Bert(),
    "roberta": Roberta(),
    "roberta_prelayernorm": RobertaPreLayerNorm(),
    "xlm_roberta": XlmRoberta(),
    "xlm_roberta_xl": XlmRobertaXl(),
    "camembert": Camembert(),
    "longformer": Longformer(),
    "distilbert": DistilBert(),
    "albert": Albert(),
    "mpnet": MPNet(),
    "electra": Electra(),
    "deberta_v2": DebertaV2(),
    "deberta_v3": DebertaV2(),
    "modernbert": ModernBert(),
    "ltg_bert": LtgBert(),
    "llama": Llama(),
}

__all__ = ["FAMILIES", "Family"]
