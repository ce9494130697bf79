"""What a user gets wrong ends in one sentence that names the cure, before training starts."""

from __future__ import annotations

import json

import pytest

from maskwright.errors import RecipeError

# overrides -> the exact message
TABLE = {
    ("rate.value=1.3",): "rate.value is 1.3; a masking rate lies between 0 and 1.",
    ("rate=linear", "rate.start=-0.1"): "rate.start is -0.1; a masking rate lies between 0 and 1.",
    ("rate=step", "rate.when=2"): "rate.when is 2; it is a share of training between 0 and 1.",
    ("rate=uniform", "rate.low=0.5", "rate.high=0.2"): "rate.low is 0.5 and rate.high 0.2; exchange them.",
    ("rate=beta", "rate.alpha=0"): "rate.alpha is 0 and rate.beta 5.0; both must be above 0.",
    ("corruption=bert", "corruption.mask=0.7"):
        "corruption.mask=0.7, random=0.1 and keep=0.1 add up to 0.9; they are shares and must add up to 1.",
    ("corruption.per=letter",): "corruption.per is letter; choose one of token, word, unit.",
    ("masking.budget.rounding=sideways",):
        "masking.budget.rounding is sideways; choose one of nearest, down, up, random, binomial.",
    ("masking.budget.of=start",):
        "masking.budget.of=start counts span starts; random has none: use of=token or masking=span.",
    ("masking.budget.at_least=5", "masking.budget.at_most=2"):
        "masking.budget.at_least=5 and at_most=2 must be 0 <= at_least <= at_most.",
    ("masking=t5", "masking/budget=expected"):
        "T5 segments must know the count beforehand; use masking/budget=exact.",
    ("masking=span", "masking.unit.lengths.p=1"):
        "masking.unit.lengths.p is 1; it is a chance between 0 and 1.",
    ("masking=t5", "masking/weight=table", "masking.weight.file={weights}"):
        "masking.weight does not steer T5 segments; use masking=random or masking=whole_word with it.",
    ("masking/weight=table", "masking.weight.file={unknown}"):
        "masking.weight.file names no token of this tokenizer's vocabulary; write the tokens as it does.",
    ("objective=electra", "model=llama_tiny"):
        "objective=electra needs an encoder; model=llama_tiny is a decoder; try model=electra_tiny.",
    ("objective=clm", "model=bert_tiny"):
        "objective=clm needs a decoder; model=bert_tiny is an encoder; try model=llama_tiny.",
    ("objective=electra", "objective.sharing=some"): "objective.sharing is some; choose one of none, tied, gdes.",
    ("model.config.num_attention_heads=3",): None,
    ("data.files={nothing}/*.txt",): None,
    ("data.files={empty}",): None,
    ("data.files={binary}",): None,
    ("data.files={jsonl}", "data.text_column=body"): None,
    ("data.heldout=1.5",): "data.heldout is 1.5; the share of held-out documents lies between 0 and 1.",
    ("trainer.max_steps=0",): "trainer.max_steps is 0; give a whole number from 1 up.",
    ("batch.tokens=5",): "batch.tokens is 5 and a row has 32 tokens; a batch holds at least one row.",
    ("hardware=gpu",): None,
    ("schedule.warmup=100",): "schedule.warmup is 100 steps of only 6; lower it or raise trainer.max_steps.",
    ("checkpoint.every=0",): "checkpoint.every is 0; give a whole number from 1 up.",
    ("export.at_powers_of=1",): "export.at_powers_of is 1; give a number above 1, or null.",
    ("views.main.speed=3",): "views.main.speed is unknown; "
    "a view has masking, rate, corruption, prediction, loss_weight, relation and to.",
    ("model.init_from={nothing}",): None,
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of the wrong kind."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.txt").write_text("")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": f"row {i} of a file"}) + "\n" for i in range(30)))
    (folder / "weights.json").write_text('{"the": 2.0}')
    (folder / "unknown.json").write_text('{"zzzzzzz": 2.0}')
    (folder / "nothing").mkdir()
    names = {"empty": "empty.txt", "binary": "binary.txt", "jsonl": "rows.jsonl", "nothing": "nothing"}
    return {k: folder / v for k, v in names.items()} | {
        "weights": folder / "weights.json",
        "unknown": folder / "unknown.json",
    }


@pytest.mark.parametrize("overrides", TABLE, ids=" ".join)
def test_bad_input_is_refused_before_training(overrides, files, pretrain, tmp_path):
    words = [word.format(**files) for word in overrides]
    words = [f"+{word}" if word.startswith("views.main.") else word for word in words]
    with pytest.raises(RecipeError) as refused:
        pretrain(*words, folder=tmp_path)
    message = str(refused.value)
    if TABLE[overrides] is not None:
        assert message == TABLE[overrides]
    assert "\n" not in message and message.endswith(".") and len(message) < 400
    assert not list(tmp_path.glob("checkpoints/*")) and not (tmp_path / "metrics.json").exists()
    print(message)
