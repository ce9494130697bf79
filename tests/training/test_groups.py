"""Validation by group: the pooled loss is the mean of the groups' losses, weighted by their predicted tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest

LETTERS = {"aa": "abcde", "bb": "klmno", "cc": "uvwxy"}
TINY = (
    "model=bert_tiny",
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=1",
    "model.config.intermediate_size=32",
    "tokenizer.vocabulary=64",
    "data.document=file",
    "data.group=lang",
    "heldout_rows=1000",
)


@pytest.fixture(scope="module")
def languages(tmp_path_factory):
    draw, lines = np.random.default_rng(1), []
    for number in range(60):
        lang = ("aa", "bb", "bb", "cc", "cc", "cc")[number % 6]
        words = ["".join(draw.choice(list(LETTERS[lang]), 4)) for _ in range(int(draw.integers(10, 60)))]
        lines.append(json.dumps({"text": " ".join(words), "lang": lang}))
    path = tmp_path_factory.mktemp("languages") / "texts.jsonl"
    path.write_text("\n".join(lines))
    return f"data.files={path}"


def predicted(compose, *options):
    """Predicted tokens of the held-out rows by group, counted from the masks alone."""
    from maskwright.training.recipe import assemble
    from maskwright.training.run import _data_module

    cfg, choices = compose(*options)
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    data = _data_module(cfg, recipe, prepared, recipe.hardware.resolve())
    counts = np.zeros(len(prepared.groups))
    for batch in data.val_dataloader()[0]:
        view = data.views(batch)["main"]
        np.add.at(counts, batch.rows["group"].numpy(), view.counts_BK.sum(1).numpy())
    return dict(zip(prepared.groups, counts, strict=True))


@pytest.mark.parametrize("options", [("packing=segment",), ("packing=document", "data.balance=0.3", "masking=span")])
def test_the_pooled_loss_is_the_weighted_mean_of_the_groups(options, languages, pretrain, compose):
    figures = pretrain(*TINY, languages, *options)
    counts = predicted(compose, *TINY, languages, *options)
    assert list(counts) == ["aa", "bb", "cc"] and min(counts.values()) > 0
    for term in ("mlm", "accuracy/mlm"):
        parts = [figures[f"heldout/{term}/{name}"] for name in counts]
        assert figures[f"heldout/{term}"] == pytest.approx(np.average(parts, weights=list(counts.values())), rel=1e-6)
    losses = [figures[f"heldout/mlm/{name}"] for name in counts]
    assert len(set(losses)) == 3


def test_sources_are_chosen_without_touching_the_masking(languages, pretrain, compose):
    """The same masking on fewer languages; held-out documents stay held out."""
    some = (*TINY, languages, "packing=document", "data.keep={lang: [aa]}")
    figures = pretrain(*some)
    assert figures["heldout/mlm/aa"] == figures["heldout/mlm"]
    assert not [name for name in figures if name.endswith(("/bb", "/cc"))]
    cfg, _ = compose(*some)
    whole, _ = compose(*TINY, languages, "packing=document")
    for name in cfg:
        assert (cfg[name] == whole[name]) == (name != "data")


def test_a_group_without_held_out_rows_has_no_figure(tmp_path, pretrain):
    words = "some words of the house and of the people in the old town"
    rows = [{"text": f"{words} {chr(97 + n) * 3} {chr(98 + n) * 4}", "lang": "rare" if n == 3 else "often"} for n in range(20)]  # fmt: skip  # noqa: E501
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    figures = pretrain(*TINY, f"data.files={tmp_path}/rows.jsonl", "packing=document", "tokenizer.min_frequency=1")
    there = [name for name in ("rare", "often") if f"heldout/mlm/{name}" in figures]
    assert there == ["often"]
    assert figures["heldout/mlm/often"] == figures["heldout/mlm"]
