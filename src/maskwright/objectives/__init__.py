"""Pre-training objectives: what is predicted, from what, and how the loss terms add up."""

from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.choices import MultipleChoice
from maskwright.objectives.classify import Classify
from maskwright.objectives.clm import CausalLM
from maskwright.objectives.dated import DatedMaskedLM
from maskwright.objectives.electra import Electra
from maskwright.objectives.fill_and_classify import FillAndClassify
from maskwright.objectives.mask_specific import MaskSpecific
from maskwright.objectives.mlm import MaskedLM
from maskwright.objectives.sentence_order import SentenceOrder
from maskwright.objectives.word_structure import WordStructure

__all__ = [
    "CausalLM",
    "Classify",
    "DatedMaskedLM",
    "Electra",
    "FillAndClassify",
    "MaskSpecific",
    "MaskedLM",
    "MultipleChoice",
    "Needs",
    "Objective",
    "RowLayout",
    "SentenceOrder",
    "WordStructure",
]
