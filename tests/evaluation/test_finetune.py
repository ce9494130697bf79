"""Fine-tuning: it learns, it chooses on dev alone, it is a function of its seeds, and it touches nothing else."""

from __future__ import annotations

import random

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation import finetune as module
from maskwright.evaluation.finetune import Finetune
from maskwright.evaluation.source import Splits
from maskwright.evaluation.tools import Tools

WORDS = ["the", "traveller", "lost", "careless", "children", "souvenir", "state", "art", "of", "in", "was"]
FAST = {"seeds": [1, 2], "lr": 0.01, "epochs": 6, "patience": None, "rows": 8}


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Is there art in it?"""
    draw = random.Random(seed)
    found = []
    for n in range(count):
        words = draw.choices([word for word in WORDS if word != "art"], k=5)
        if n % 2:
            words[draw.randrange(5)] = "art"
        found.append((" ".join(words), str(n % 2)))
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """`data()`: splits of a task that any network can learn."""
    folder = tmp_path_factory.mktemp("data")
    for part, count, seed in (("train", 80, 1), ("dev", 30, 2), ("test", 30, 3)):
        (folder / f"{part}.tsv").write_text("\n".join("\t".join(row) for row in sentences(count, seed)))

    def make(*parts: str, **more) -> Splits:
        return Splits(**{part: str(folder / f"{part}.tsv") for part in parts or ("train", "dev", "test")},
                      columns=["text", "label"], **more)  # fmt: skip

    return make


def test_it_learns_and_reports_over_seeds(data, subject):
    result = Finetune(data(), **FAST).run(subject("bert", initializer_range=0.05), Tools())
    assert result.figures["test/accuracy"] > 0.9 and result.figures["baseline/accuracy"] == 0.5
    values = [found["accuracy"] for found in result.facts["by_seed"]]
    assert result.figures["test/accuracy"] == pytest.approx(sum(values) / 2)
    assert len(values) == 2 and result.figures["test/mcc"] > 0.8
    assert next(iter(result.figures)) == "test/accuracy"


def test_it_is_a_function_of_its_seeds(data, subject):
    bert = subject("bert", hidden_dropout_prob=0.1, initializer_range=0.05)
    settings = FAST | {"epochs": 2}
    torch.manual_seed(1)
    one = Finetune(data(), **settings).run(bert, Tools()).figures
    torch.manual_seed(2)
    assert Finetune(data(), **settings).run(bert, Tools()).figures == pytest.approx(one, nan_ok=True)
    other = Finetune(data(), **settings | {"seeds": [3, 4]}).run(bert, Tools())
    assert other.facts["by_seed"] != one


def test_network_and_random_state_stay_as_they_were(data, subject):
    bert = subject("bert", initializer_range=0.05)
    before = {name: value.clone() for name, value in bert.network.state_dict().items()}
    state = torch.get_rng_state()
    Finetune(data(), **FAST | {"epochs": 1}).run(bert, Tools())
    assert all(torch.equal(value, before[name]) for name, value in bert.network.state_dict().items())
    assert all(parameter.requires_grad for parameter in bert.network.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_frozen_moves_the_head_alone(data, subject, monkeypatch):
    bert = subject("bert", initializer_range=0.05)
    kept = []
    learn = module.learn

    def spy(*args, **kwargs):
        kept.append(learn(*args, **kwargs))
        return kept[-1]

    monkeypatch.setattr(module, "learn", spy)
    Finetune(data(), **FAST | {"epochs": 2}, frozen=True).run(bert, Tools())
    Finetune(data(), **FAST | {"epochs": 2, "seeds": [1]}).run(bert, Tools())
    own = bert.network.state_dict()
    frozen, full = kept[0].state, kept[-1].state
    for name, value in own.items():
        assert torch.equal(frozen[f"network.{name}"], value)
    body = [name for name in own if name.startswith("hf.bert.encoder") and name.endswith("query.weight")]
    assert body and all(not torch.equal(full[f"network.{name}"], own[name]) for name in body)


def test_test_is_looked_at_once_and_only_after_all_is_chosen(data, subject, monkeypatch):
    order = []
    said, learn = module.said, module.learn
    monkeypatch.setattr(module, "learn", lambda *a, **k: order.append("learn") or learn(*a, **k))
    monkeypatch.setattr(module, "said", lambda *a, **k: order.append("test") or said(*a, **k))
    result = Finetune(data(), **FAST | {"epochs": 3, "lr": [1e-6, 0.01]}).run(
        subject("bert", initializer_range=0.05), Tools()
    )
    assert order == ["learn"] * 4 + ["test"] * 2
    assert result.figures["lr"] == 0.01
    by_lr = {lr: [row[2] for row in result.tables[1].rows if row[0] == lr] for lr in (1e-6, 0.01)}
    assert sum(by_lr[0.01]) > sum(by_lr[1e-6])
    assert result.figures["dev/accuracy"] == pytest.approx(sum(by_lr[0.01]) / 2)


def test_the_best_epoch_counts_and_patience_stops(data, subject):
    result = Finetune(data(), **FAST | {"epochs": 50, "patience": 2}).run(
        subject("bert", initializer_range=0.05), Tools()
    )
    for _, _, score, best, epochs in result.tables[1].rows:
        assert epochs <= best + 2 < 50 and score > 0.9


def test_without_dev_or_test(data, subject):
    result = Finetune(data("train"), **FAST | {"epochs": 1}, dev_share=0.25).run(
        subject("bert", initializer_range=0.05), Tools()
    )
    assert result.facts["sizes"] == {"train": 60, "dev": 20} and "dev/accuracy" in result.figures
    assert "is reported: no test set was named" in result.facts["notes"][0]
    again = Finetune(data("train", "test"), **FAST | {"epochs": 1}, dev_share=0.25, most=40).run(
        subject("bert", initializer_range=0.05), Tools()
    )
    assert again.facts["sizes"] == {"train": 40, "test": 30, "dev": 20}
    with pytest.raises(RecipeError, match="evaluation.dev_share is 0.001, which keeps 0 of 80"):
        Finetune(data("train"), **FAST, dev_share=0.001).run(subject("bert", initializer_range=0.05), Tools())


@pytest.mark.parametrize("pooling", ["cls", "max", "last"])
def test_every_pooling_learns(pooling, data, subject):
    settings = FAST | {"seeds": [1], "lr": 0.003, "epochs": 8}
    figures = (
        Finetune(data(), **settings, pooling=pooling)
        .run(subject("modernbert", initializer_range=0.05), Tools())
        .figures
    )
    assert figures["test/accuracy"] > 0.7


def test_tagging_regression_pairs_and_spans_learn(tmp_path, subject):
    draw = random.Random(0)
    lines = []
    for _ in range(60):
        words = draw.choices(WORDS, k=6)
        lines += [f"{word}\t{'B-X' if word in ('art', 'traveller') else 'O'}" for word in words] + [""]
    (tmp_path / "a.conll").write_text("\n".join(lines))
    settings = FAST | {"seeds": [1], "dev_share": 0.3}
    tags = Finetune(Splits(str(tmp_path / "a.conll")), "tagging", label="tag", metric="span_f1", **settings)
    assert tags.run(subject("bert", initializer_range=0.05), Tools()).figures["dev/span_f1"] > 0.9

    rows = ["sentence1,sentence2,score"]
    for _ in range(80):
        pair = [" ".join(draw.choices(WORDS, k=3)) for _ in range(2)]
        rows.append(
            f"{pair[0]},{pair[1]},{pair[0].split().count('art') + pair[1].split().count('art') + draw.random()}"
        )
    (tmp_path / "a.csv").write_text("\n".join(rows))
    numbers = Finetune(Splits(str(tmp_path / "a.csv")), "regression", **settings | {"epochs": 15})
    assert numbers.run(subject("bert", initializer_range=0.05), Tools()).figures["dev/pearson"] > 0.4

    import json

    questions = []
    for _ in range(60):
        words = draw.choices([w for w in WORDS if w != "art"], k=8)
        words[draw.randrange(8)] = "art"
        context = " ".join(words)
        answer = {"text": "art", "answer_start": context.index("art")}
        questions.append({"question": "where", "context": context, "answers": [answer]})
    (tmp_path / "a.json").write_text(json.dumps({"data": questions}))
    spans = Finetune(Splits(str(tmp_path / "a.json")), "spans", **settings | {"epochs": 12})
    assert spans.run(subject("bert", initializer_range=0.05), Tools()).figures["dev/exact_match"] > 0.6


def test_a_loss_that_is_no_number_is_named(data, subject):
    bert = subject("bert", initializer_range=0.05)
    with torch.no_grad():
        next(bert.network.body.parameters()).fill_(float("nan"))
    with pytest.raises(RecipeError, match="lost its way"):
        Finetune(data(), **FAST).run(bert, Tools())


def test_mistakes_are_named(data):
    for settings, sentence in (
        ({"lr": 0}, r"evaluation.lr is \[0\]"),
        ({"seeds": []}, r"evaluation.seeds is \[\]"),
        ({"pooling": "sum"}, "evaluation.pooling is 'sum'"),
        ({"epochs": 0}, "evaluation.epochs is 0"),
        ({"dropout": 1.0}, "evaluation.dropout is 1.0"),
        ({"task": "parsing"}, "evaluation.task is 'parsing'"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            Finetune(data(), **settings)
