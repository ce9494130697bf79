"""Fill: accuracy and reciprocal ranks against logits of plain transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import stats

from maskwright.errors import RecipeError
from maskwright.evaluation.fill import Fill
from maskwright.evaluation.source import Source
from maskwright.evaluation.tools import Tools

ROWS = [
    {"text": "the [MASK] lost", "target": "traveller"},  # two pieces
    {"text": "[MASK] children lost the [MASK].", "target": ["careless", "art"]},
    {"text": "the art of the [MASK]", "target": "state"},
]


@pytest.fixture
def cloze(tmp_path):
    def make(rows, **settings) -> Fill:
        path = tmp_path / "cloze.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return Fill(Source(str(path)), **settings)

    return make


def test_figures_are_those_of_plain_transformers(cloze, subject):
    bert = subject("bert")
    tokenizer = bert.tokenizer
    result = cloze(ROWS).run(bert, Tools())
    right, ranks, nats = [], [], []
    for text, pieces in (
        ("the [MASK] [MASK] lost", [["travel", "##ler"]]),
        ("[MASK] [MASK] children lost the [MASK].", [["care", "##less"], ["art"]]),
        ("the art of the [MASK]", [["state"]]),
    ):
        ids = torch.tensor(tokenizer(text)["input_ids"])
        with torch.no_grad():
            logits = bert.network.hf(input_ids=ids[None]).logits[0][ids == bert.mask].double()
        places = iter(range(len(logits)))
        for target in pieces:
            at = [(next(places), tokenizer.convert_tokens_to_ids(piece)) for piece in target]
            rank = [int((logits[place] > logits[place, token]).sum()) + 1 for place, token in at]
            right.append(all(one == 1 for one in rank))
            ranks.append(np.mean([1 / one for one in rank]))
            nats.append(-sum(logits[place].log_softmax(-1)[token].item() for place, token in at))
    assert result.figures["accuracy"] == pytest.approx(np.mean(right))
    assert result.figures["mrr"] == pytest.approx(np.mean(ranks))
    assert result.figures["nats_per_blank"] == pytest.approx(np.mean(nats), abs=1e-4)
    low, high = (result.figures[f"nats_per_blank/{end}"] for end in ("low", "high"))
    away = np.array(nats) - np.mean(nats)  # the second text has two blanks, which go together
    error = np.sqrt(3 / 2 * (away[0] ** 2 + (away[1] + away[2]) ** 2 + away[3] ** 2)) / 4
    half = stats.t.ppf(0.975, 2) * error
    assert (low, high) == pytest.approx((max(0, np.mean(nats) - half), np.mean(nats) + half), abs=1e-3)
    assert result.facts["blanks"] == 4 and result.facts["texts"] == 3 and result.facts["several_pieces"] == 2


def test_a_model_that_knows_fills_everything(cloze, subject):
    """The head's bias is moved to the target, so that it comes first everywhere."""
    bert = subject("bert")
    with torch.no_grad():
        bert.network.hf.cls.predictions.decoder.bias[bert.tokenizer.convert_tokens_to_ids("art")] += 1000
    rows = [{"text": "the [MASK] of [MASK]", "target": "art|art"}, {"text": "the [MASK]", "target": "lost"}]
    figures = cloze(rows).run(bert, Tools()).figures
    assert figures["accuracy"] == pytest.approx(2 / 3) and figures["text_accuracy"] == 0.5
    assert figures["mrr"] < 1


def test_equal_logits_share_the_credit(cloze, subject):
    bert = subject("bert")
    with torch.no_grad():
        bert.network.hf.cls.predictions.decoder.weight.zero_()
        bert.network.hf.cls.predictions.decoder.bias.zero_()
    size = len(bert.tokenizer)
    figures = cloze(ROWS[2:]).run(bert, Tools()).figures
    assert figures["accuracy"] == pytest.approx(1 / size)
    assert figures["mrr"] == pytest.approx(2 / (size + 1))
    assert figures["nats_per_blank"] == pytest.approx(np.log(size), abs=1e-5)


def test_a_causal_model_reads_the_left_side_only(cloze, subject):
    llama = subject("llama")
    one, other = (cloze([{"text": f"the [MASK] {rest}", "target": "art"}]).run(llama, Tools())
                  for rest in ("lost", "of the state was careless"))  # fmt: skip
    assert one.figures["nats_per_blank"] == pytest.approx(other.figures["nats_per_blank"], abs=1e-5)
    assert one.facts["reads"] == "the left side only"
    ids = torch.tensor(llama.tokenizer("the art lost")["input_ids"])
    with torch.no_grad():
        logp = llama.network.hf(input_ids=ids[None]).logits[0, 1].double().log_softmax(-1)
    assert one.figures["nats_per_blank"] == pytest.approx(-logp[ids[2]].item(), abs=1e-4)


def test_other_marks_and_mistakes(cloze, subject):
    bert = subject("bert")
    rows = [{"sentence": "the ___ of ___", "answers": "art/lost"}]
    suite = cloze(rows, text="sentence", target="answers", blank="___", separator="/")
    assert suite.run(bert, Tools()).facts["blanks"] == 2
    for row, sentence in (
        ({"text": "the art", "target": "art"}, r"row 1 has 0 blanks \(\[MASK\]\) and 1 targets"),
        ({"text": "the [MASK] [MASK]", "target": "art"}, "row 1 has 2 blanks"),
        ({"text": 3, "target": "art"}, "holds 3, not text"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            cloze([row]).run(bert, Tools())
    with pytest.raises(RecipeError, match="no text could be scored"):
        cloze([{"text": "the " * 200 + "[MASK]", "target": "art"}]).run(bert, Tools())
    with pytest.raises(RecipeError, match="is a discriminator"):
        cloze(ROWS).check(subject("electra", head="detect"))
