"""Rows of a table that are no token - padding behind the vocabulary, holes in it - are never guessed nor drawn."""

from __future__ import annotations

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from maskwright.evaluation.heads import MaskedHead
from maskwright.evaluation.loading import load
from maskwright.masking.draws import Draws
from maskwright.models import ModelRecipe, export
from maskwright.models.tables import missing
from maskwright.objectives.electra import sample
from maskwright.objectives.losses import hits
from maskwright.tracking.fill_ins import fill_ins

ROWS, HOLES = 112, (20, 21, 50)


@pytest.fixture
def padded(network, tokenizer, tmp_path):
    """A checkpoint whose table has 16 rows behind its 96 tokens, which it guesses everywhere."""
    net = network("bert")
    net.hf.resize_token_embeddings(ROWS)
    with torch.no_grad():
        net.hf.cls.predictions.bias[96:] = 50.0
    export(net, tokenizer, tmp_path / "padded")
    return tmp_path / "padded"


def test_which_rows_are_missing(tokenizer):
    assert missing(tokenizer, 96) is None and missing(tokenizer, 90) is None
    assert missing(tokenizer, ROWS).nonzero()[:, 0].tolist() == list(range(96, ROWS))
    kept = {token: id_ for token, id_ in tokenizer.get_vocab().items() if id_ not in HOLES}
    backend = Tokenizer(models.WordPiece(kept, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    holed = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]")
    assert missing(holed, 96).nonzero()[:, 0].tolist() == list(HOLES)


@torch.no_grad()
def test_a_padded_checkpoint_guesses_tokens_alone_and_keeps_its_logits(padded, tokenizer, tmp_path):
    net = ModelRecipe("bert", init_from=str(padded)).build(tokenizer, 24).eval()
    assert net.config.vocab_size == ROWS == net.word_embeddings.num_embeddings
    ids_BL = torch.randint(5, 96, (2, 24))
    logits_BLV = net.predict(net.encode(ids_BL, padded=False))
    assert logits_BLV.argmax(-1).min() >= 96, "the rows are the best guess everywhere"
    guessed_BLV = net.guessable(logits_BLV)
    assert torch.equal(guessed_BLV[..., :96], logits_BLV[..., :96]) and (guessed_BLV[..., 96:] == -torch.inf).all()
    best_BL = logits_BLV[..., :96].argmax(-1)
    assert hits(guessed_BLV, best_BL).all()
    for _, _, guesses in fill_ins(net, tokenizer, ["w1 [MASK] w2 [MASK]"], 5):
        assert "None" not in guesses
    again = export(net, tokenizer, tmp_path / "again")
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(again)
    assert theirs.config.vocab_size == ROWS and torch.equal(theirs(ids_BL).logits, logits_BLV)


@torch.no_grad()
def test_ranks_and_best_tokens_are_among_tokens(padded):
    net = load(str(padded)).network
    ids_RL, place_P = torch.randint(5, 96, (3, 12)), torch.tensor([2, 5, 7])
    own = net.predict(net.encode(ids_RL, padded=False))[torch.arange(3), place_P]
    found = MaskedHead(net, 4, "original").read(ids_RL, None, None, place_P, own[:, :96].argmax(1), ranks=True)
    assert found.better_P.tolist() == [0, 0, 0] and torch.equal(found.best_P, own[:, :96].argmax(1))
    expected = own.log_softmax(-1)[torch.arange(3), own[:, :96].argmax(1)]  # the likelihood is transformers' own
    torch.testing.assert_close(found.logp_P, expected.double(), rtol=1e-5, atol=1e-5)


def test_a_generator_draws_tokens_alone(padded, tokenizer):
    net = ModelRecipe("bert", init_from=str(padded)).build(tokenizer, 24)
    logits_BKV = torch.zeros(500, 20, ROWS)
    logits_BKV[..., 96:] = 9.0
    draws = Draws(0, "generator", torch.zeros(500, dtype=torch.int64), torch.arange(500))
    drawn_BK = sample(net.guessable(logits_BKV), torch.arange(20).expand(500, -1), draws)
    assert drawn_BK.max() == 95 and drawn_BK.unique().numel() == 96


def test_a_whole_table_costs_nothing(network):
    net = network("bert")
    logits = torch.randn(2, 3, 96)
    assert net.missing_V is None and net.guessable(logits) is logits
    assert not [key for key in net.state_dict() if "missing" in key]
