"""Pairs of texts reach a network as they do in transformers: with the segment ids that its tokenizer gives."""

from __future__ import annotations

import pytest
import torch
from transformers import MegatronBertConfig, MegatronBertForMaskedLM

from maskwright.evaluation.finetune import Finetune
from maskwright.evaluation.learning import Learner
from maskwright.evaluation.probe import Probe
from maskwright.evaluation.source import Splits
from maskwright.evaluation.subject import Foreign, Subject
from maskwright.evaluation.supervised import labelled
from maskwright.evaluation.tasks import collate, make
from maskwright.evaluation.tools import Tools

PAIRS = [
    ("the traveller lost the souvenir", "children lost it", "yes"),
    ("state of the art", "the careless travellers' children lost the unbelievably careless traveller in art", "no"),
    ("lost", "found", "no"),
    ("a", "the the the the the the the the the the the the the the the the the the the the", "yes"),
]
TYPED = ["bert", "electra", "albert", "deberta_v3"]
TYPELESS = ["distilbert", "modernbert", "mpnet", "xlm_roberta_xl"]


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "pairs.tsv"
    place.write_text("\n".join("\t".join(row) for row in PAIRS * 4))
    return Splits(train=str(place), dev=str(place), columns=["a", "b", "label"])


NAMES = ["input_ids", "token_type_ids", "attention_mask"]  # as BertTokenizer gives


def telling(one):
    one.tokenizer.model_input_names = NAMES
    return one


def seen(subject, splits, length=24):
    """The first batch of pairs as a network is given them."""
    task = make("classification", ["a", "b"], "label", None)
    data = labelled(task, splits, subject, length, 0.1, None)
    batch = collate(task, data.examples["train"][:4], subject.pad, torch.device("cpu"))
    return batch, Learner(subject.network, lambda hidden, batch: hidden, True).eval()(batch)


def expected(subject, body, length=24):
    """transformers' own way: its tokenizer's pairs into its network."""
    tokenizer = subject.tokenizer
    inputs = tokenizer([a for a, _, _ in PAIRS], [b for _, b, _ in PAIRS], padding=True, truncation="longest_first",
                       max_length=length, return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        return inputs, body(**inputs).last_hidden_state


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("length", [24, 12])
def test_hidden_states_of_pairs_equal_those_of_transformers(name, length, subject, splits):
    one = telling(subject(name, type_vocab_size=2, initializer_range=0.3))
    batch, hidden_BLD = seen(one, splits, length)
    inputs, theirs_BLD = expected(one, one.network.body, length)
    assert torch.equal(batch.ids_BL, inputs["input_ids"])
    assert torch.equal(batch.segment_BL, inputs["token_type_ids"]) and batch.segment_BL.max() == 1
    valid_BL = batch.valid_BL
    torch.testing.assert_close(hidden_BLD[valid_BL], theirs_BLD[valid_BL], rtol=1e-4, atol=1e-5)
    blind_BLD = one.network.encode(batch.ids_BL, valid_BL)
    assert (blind_BLD - hidden_BLD)[valid_BL].abs().max() > 0.1, "segments do matter"


@pytest.mark.parametrize("name", TYPELESS)
def test_networks_without_types_are_given_none(name, subject, splits):
    batch, _ = seen(telling(subject(name)), splits)
    assert batch.segment_BL is None


def test_a_tokenizer_that_gives_no_segments_gives_none(subject, splits):
    one = subject("bert")
    batch, hidden_BLD = seen(one, splits)
    inputs, theirs_BLD = expected(one, one.network.body)
    assert batch.segment_BL is None and "token_type_ids" not in inputs
    torch.testing.assert_close(hidden_BLD[batch.valid_BL], theirs_BLD[batch.valid_BL], rtol=1e-4, atol=1e-5)


def test_a_model_without_an_adapter_is_told_too(subject, splits):
    tokenizer = subject("bert").tokenizer
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    hf = MegatronBertForMaskedLM(MegatronBertConfig(vocab_size=len(tokenizer), initializer_range=0.3, **shape)).eval()
    foreign = telling(Subject(Foreign(hf), tokenizer, "mlm", 96, "foreign"))
    batch, hidden_BLD = seen(foreign, splits)
    _, theirs_BLD = expected(foreign, hf.bert)
    torch.testing.assert_close(hidden_BLD[batch.valid_BL], theirs_BLD[batch.valid_BL], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suite", [Finetune, Probe])
def test_suites_pass_segments_on(suite, subject, splits, monkeypatch):
    one, told = telling(subject("bert")), []
    encode = type(one.network).encode

    def noted(self, *args, **named):
        told.append(named["segment_BL"])
        return encode(self, *args, **named)

    monkeypatch.setattr(type(one.network), "encode", noted)
    fast = {"seeds": [1], "lr": 0.01, "epochs": 1} if suite is Finetune else {}
    suite(splits, text=["a", "b"], label="label", task="classification", **fast).run(one, Tools())
    assert told and all(segment_BL is not None and segment_BL.max() == 1 for segment_BL in told)
