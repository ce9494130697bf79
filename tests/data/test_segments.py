"""Segment ids of pairs."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from maskwright.data.segments import second, tell_segments


def test_the_second_segment_is_1_and_all_else_0():
    assert second(torch.tensor([[1, 1, 2, 2, 0]])).tolist() == [[0, 0, 1, 1, 0]]


def test_a_tokenizer_that_was_told_to_gives_segments_and_once_loaded_too(tmp_path):
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "[SEP]": 1, "a": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(pair="$A [SEP] $B:1", special_tokens=[("[SEP]", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", sep_token="[SEP]")
    assert "token_type_ids" not in tokenizer("a", "a a")
    tell_segments(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert one("a", "a a")["token_type_ids"] == [0, 0, 1, 1]
