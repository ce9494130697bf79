"""Text to packed rows: corpus, split, tokenizer, annotations, packing, and the order in which rows are presented."""

from maskwright.data.corpus import Corpus, Sotu
from maskwright.data.hub import HubDataset
from maskwright.data.order import SampleOrder, Slice, SliceDataset, chunks
from maskwright.data.pack import Packing
from maskwright.data.prepare import Prepared, prepare
from maskwright.data.rows import Rows
from maskwright.data.textfiles import TextFiles
from maskwright.data.tokenizers import SavedTokenizer, TrainedTokenizer

__all__ = [
    "Corpus",
    "HubDataset",
    "Packing",
    "Prepared",
    "Rows",
    "SampleOrder",
    "SavedTokenizer",
    "Slice",
    "SliceDataset",
    "Sotu",
    "TextFiles",
    "TrainedTokenizer",
    "chunks",
    "prepare",
]
