"""Tokenizers: trained on the training documents, or saved ones (conf/tokenizer).

WordPiece and Unigram training is not reproducible even on one thread, so a trained tokenizer is made once, kept in the
cache, and identified by the sha256 of what it does; the one of the quick start ships in `data/assets`.
"""

from maskwright.data.tokenizers.saved import SavedTokenizer, saved_in
from maskwright.data.tokenizers.training import TrainedTokenizer, train_texts
from maskwright.data.tokenizers.wrapping import fingerprint, wrapped

__all__ = ["SavedTokenizer", "TrainedTokenizer", "fingerprint", "saved_in", "train_texts", "wrapped"]
