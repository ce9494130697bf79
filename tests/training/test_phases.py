"""Phases: rows and batches change at a step; weights, optimizer, progress and exact resume do not."""

from __future__ import annotations

import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tests.training.test_resume import assert_equal_runs, in_child, last_checkpoint, rows, tensors

from maskwright.data.phases import Phase, number_at, stretches
from maskwright.errors import RecipeError
from maskwright.training.phases import asked, planned

TINY = (
    "model=bert_tiny",
    "model.config.hidden_dropout_prob=0.1",
    "model.config.hidden_size=16",
    "model.config.num_hidden_layers=1",
    "model.config.intermediate_size=32",
    "model.config.max_position_embeddings=16",
    "masking=span",
    "rate=linear",
    "corruption=bert",
    "trainer.max_steps=9",
    "trainer.validate_every=4",
)
PHASES = "phases=[{from: 4, length: 64, rows: 3, restart: true}, {from: 7, length: 16, rows: 8}]"


def config(phases, **more):
    cfg = {"packing": {"kind": "segment", "length": 32}, "batch": {"rows": 8, "tokens": None}, "phases": phases}
    cfg |= {"trainer": {"max_steps": 100, "max_epochs": None}}
    return OmegaConf.merge(cfg, more)


def test_phases_are_laid_out():
    there = {32: 1000, 128: 260, 512: 70}.__getitem__
    assert planned(config([]), there) == [Phase(0, 100, 8, 32)]
    two = [{"from": 0.9, "length": 128, "rows": 2, "restart": True}]
    assert planned(config(two), there) == [Phase(0, 90, 8, 32), Phase(90, 10, 2, 128, True)]
    three = [{"from": 30, "length": 128}, {"from": 95, "rows": 3}]
    assert planned(config(three), there) == [Phase(0, 30, 8, 32), Phase(30, 65, 8, 128), Phase(95, 5, 3, 128)]
    tokens = config([{"from": 0.5, "length": 128}, {"from": 0.75, "length": 512, "rows": 1}], batch={"tokens": 512})
    assert [(part.rows, part.length) for part in planned(tokens, there)] == [(16, 32), (4, 128), (1, 512)]


@pytest.mark.parametrize("epochs", [1, 3.5, 40])
def test_epochs_are_passes_over_the_rows_of_all_phases(epochs):
    there = {32: 1000, 128: 260, 512: 70}.__getitem__
    phases = [{"from": 0.5, "length": 128, "rows": 4}, {"from": 0.9, "length": 512, "rows": 2}]
    made = planned(config(phases, trainer={"max_epochs": epochs}), there)
    passes = sum(part.steps * part.rows / there(part.length) for part in made)
    one = max(part.rows / there(part.length) for part in made)  # a step more or less, at each of the edges
    assert abs(passes - epochs) <= 3 * one
    steps = sum(part.steps for part in made)
    assert [part.first for part in made] == [0, round(steps * 0.5), round(steps * 0.9)]
    alone = planned(config([], trainer={"max_epochs": epochs}), there)
    assert alone == [Phase(0, round(epochs * 1000 / 8), 8, 32)]


def test_the_phase_of_a_step_and_the_stretches_of_the_learning_rate():
    made = [Phase(0, 4, 8, 32), Phase(4, 3, 3, 64, True), Phase(7, 2, 8, 16)]
    assert [number_at(made, step) for step in range(9)] == [0] * 4 + [1] * 3 + [2] * 2
    assert stretches(made) == [(0, 4), (4, 5)]
    assert stretches(made[:1]) == [(0, 4)]
    assert stretches([made[0], Phase(4, 5, 3, 64)]) == [(0, 9)]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ({"from": 1}, "phases is {'from': 1}; give a list, as in 'phases=[{from: 0.9, length: 512}]'."),
        ([{"length": 64}], "phases[0] is {'length': 64}; a phase has from, and may have length, rows, restart."),
        ([{"from": 0.5, "lr": 1}], "phases[0] is {'from': 0.5, 'lr': 1}; a phase has from, and may have length"),
        ([{"from": 0}], "phases[0].from is 0; give a share of training below 1, or a whole number of steps."),
        ([{"from": 1.5}], "phases[0].from is 1.5; give a share of training below 1, or a whole number of steps."),
        ([{"from": 0.5, "rows": 0}], "phases[0].rows is 0; give a whole number from 1 up, or null."),
        ([{"from": 0.5, "restart": 1}], "phases[0].restart is 1; give true or false."),
        ([{"from": 0.5, "length": 4}], "packing.length is 4; rows have 8 to 65536 tokens."),
        ([{"from": 0.5}, {"from": 70}], "phases begin at shares of training and at steps; write all of them one way."),
        ([{"from": 0.5}, {"from": 0.5}], "phases do not begin one after the other; give each a later `from`"),
        ([{"from": 0.5}, {"from": 0.4}], "phases do not begin one after the other; give each a later `from`"),
        ([{"from": 100}], "phases[0] has no step of the 100; mend phases' from, or raise trainer.max_steps."),
        ([{"from": 0.001}], "the first phase has no step of the 100; mend phases' from, or raise trainer.max_steps."),
    ],
)
def test_refusals(phases, message):
    with pytest.raises(RecipeError) as caught:
        planned(config(phases), lambda length: 100)
    assert str(caught.value).startswith(message)


def test_more_refusals():
    with pytest.raises(RecipeError, match=r"^trainer.max_epochs decides the steps, of which phases can only"):
        planned(config([{"from": 10}], trainer={"max_epochs": 2}), lambda length: 100)
    with pytest.raises(RecipeError, match=r"^batch.tokens is 64 and a row has 128 tokens; a batch holds at least one"):
        planned(config([{"from": 10, "length": 128}], batch={"tokens": 64}), lambda length: 100)
    assert asked(OmegaConf.create({"packing": {"length": 32}}))[0].length == 32  # a run of an older version


@pytest.fixture(scope="module")
def data(compose):
    """The DataModule of a run with phases, as the run makes it."""
    from maskwright.training.recipe import assemble
    from maskwright.training.run import _data_module

    cfg, choices = compose(*TINY, PHASES)
    recipe = assemble(cfg, choices)
    return _data_module(cfg, recipe, recipe.prepare(cfg), recipe.hardware.resolve())


def batches(data, first=0):
    loader = data.train_dataloader()
    for order in loader.sampler.orders:
        order.first_step = first
    for batch in loader:
        batch.views = data.views(batch)
        yield batch


def test_each_phase_has_its_rows_its_batch_and_the_progress_of_the_whole_run(data):
    made = list(batches(data))
    assert [tuple(batch.rows["ids"].shape) for batch in made] == [(8, 32)] * 4 + [(3, 64)] * 3 + [(8, 16)] * 2
    assert [batch.step for batch in made] == list(range(9))
    assert [batch.progress for batch in made] == [step / 9 for step in range(9)]
    rates = [float(batch.views["main"].rate_B.mean()) for batch in made]
    assert rates == pytest.approx([0.3 - 0.15 * step / 9 for step in range(9)])
    for batch in made:
        rows_there = data.prepared.at[batch.rows["ids"].shape[1]]
        assert torch.equal(batch.rows["ids"], rows_there.take(batch.rows["sample"].numpy())["ids"])
    assert len(data.train_dataloader().sampler) == 9


def test_batches_and_masks_after_a_switch_are_those_of_a_run_that_begins_there(data):
    made = list(batches(data))
    for first in (3, 4, 6, 7, 8):
        again = list(batches(data, first))
        assert [batch.step for batch in again] == list(range(first, 9))
        for old, new in zip(made[first:], again, strict=True):
            for name in old.rows:
                assert torch.equal(old.rows[name], new.rows[name])
            assert torch.equal(old.views["main"].ids_BM, new.views["main"].ids_BM)
            assert torch.equal(old.views["main"].place_BK, new.views["main"].place_BK)


def test_no_order_and_no_mask_of_an_earlier_phase_comes_again(data):
    """Visits are counted on through the phases."""
    visits = [batch.rows["visit"] for batch in batches(data)]
    ends = [int(torch.cat(visits[first:last]).max()) for first, last in ((0, 4), (4, 7), (7, 9))]
    begins = [int(torch.cat(visits[first:last]).min()) for first, last in ((0, 4), (4, 7), (7, 9))]
    assert begins[0] == 0
    assert begins[1] > ends[0] and begins[2] > ends[1]
    samples = [len(data.prepared.at[length]) for length in (32, 64, 16)]
    assert begins[1] == -(-4 * 8 // samples[0])


def test_every_row_is_seen_in_a_later_phase_too(data):
    order = data.order(1)
    order.steps = order.began + order.samples  # as many steps as rows: three visits, for batches of three
    seen = np.concatenate([part.sample for part in order])
    assert (np.bincount(seen, minlength=order.samples) == 3).all()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, compose):
    """A run with phases that was never killed."""
    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("whole") / "run"
    keep = ("checkpoint.every=1", "checkpoint.keep=0")
    assert in_child(lambda: pretrain(*compose(*TINY, PHASES, *keep), folder)) == 0
    return folder


@pytest.mark.parametrize("killed", [4, 5, 7])
def test_a_run_killed_at_and_after_a_switch_goes_on_bit_for_bit(killed, whole, tmp_path, pretrain):
    options = (*TINY, PHASES, "checkpoint.every=1", "checkpoint.keep=0")
    assert in_child(lambda: pretrain(*options, folder=tmp_path), killed) == signal.SIGKILL
    assert in_child(lambda: pretrain(f"resume={tmp_path}", small=False)) == 0
    assert_equal_runs(whole, tmp_path)


def test_a_switch_keeps_the_weights_and_the_optimizer(tmp_path, pretrain):
    """Up to the switch a run is the one without phases, bit for bit; behind it the optimizer counts on."""
    tiny = [option for option in TINY if not option.startswith(("model", "trainer.max_steps"))]
    tiny += ["model=modernbert_tiny", "trainer.max_steps=6", "checkpoint.every=1", "checkpoint.keep=0"]
    for name, phases in (("none", ()), ("some", ("phases=[{from: 4, length: 64, rows: 3}]",))):
        more = (*tiny, *phases)
        assert in_child(lambda name=name, more=more: pretrain(*more, folder=tmp_path / name)) == 0
    none, some = (
        [torch.load(path, weights_only=True) for path in sorted((tmp_path / name / "checkpoints").iterdir())]
        for name in ("none", "some")
    )
    for step in range(6):
        for part in ("state_dict", "optimizer_states"):
            mine, theirs = tensors(none[step][part]), tensors(some[step][part])
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[name], theirs[name]) for name in mine) == (step < 4)
    counts = [{int(value) for name, value in tensors(part["optimizer_states"]).items() if name.endswith("/step")}
              for part in some]  # fmt: skip
    assert counts == [{step} for step in range(1, 7)]
    for before, after in pairwise(tensors(part["state_dict"]) for part in some):
        change = max(float((after[name] - before[name]).abs().max()) for name in before)
        assert 0 < change < 0.1  # nothing is drawn anew


def test_the_position_table_covers_the_longest_phase(whole):
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(whole / "export")
    assert model.config.max_position_embeddings == 64
    assert model(torch.ones(1, 64, dtype=torch.int64)).logits.isfinite().all()


def test_the_learning_rate_begins_anew_where_it_is_asked_to(whole):
    from maskwright.training.schedules import Linear

    schedule, found = Linear(0.05, 0.0), rows(whole)
    trained = [row for row in found if row.get("lr/hidden")]
    rates = [float(row["lr/hidden"]) / 0.02 for row in trained]
    expected = [schedule.factor((step + 0.5) / 4, 4) for step in range(4)]
    expected += [schedule.factor((step + 0.5) / 5, 5) for step in range(5)]
    assert rates == pytest.approx(expected)


def test_flops_are_counted_by_phase(whole, compose):
    from maskwright.models import training_flops
    from maskwright.training.recipe import assemble
    from maskwright.training.run import _data_module

    cfg, choices = compose(*TINY, PHASES)
    recipe = assemble(cfg, choices)
    prepared = recipe.prepare(cfg)
    data = _data_module(cfg, recipe, prepared, recipe.hardware.resolve())
    network = recipe.model.build(prepared.tokenizer, 64)
    per_token = [
        training_flops(network, part.length, masks.most["main"], part.length, picked=masks.most["main"]) / part.length
        for part, masks in zip(data.phases, data.phase_masks, strict=True)
    ]
    assert len(set(per_token)) == 3
    total, before = 0.0, 0
    for step, row in enumerate(row for row in rows(whole) if row.get("flops")):
        total += per_token[number_at(data.phases, step)] * (int(row["tokens"]) - before)
        before = int(row["tokens"])
        assert float(row["flops"]) == pytest.approx(total, rel=1e-12)


def test_numbers_stay_finite_and_validation_keeps_to_one_kind_of_rows(whole):
    found = rows(whole)
    losses = [float(row["loss"]) for row in found if row.get("loss")]
    assert len(losses) == 9 and np.isfinite(losses).all()
    heldout = [float(row["heldout/mlm"]) for row in found if row.get("heldout/mlm")]
    assert len(heldout) >= 3 and np.isfinite(heldout).all()
    assert max(heldout) - min(heldout) < 0.5


def test_micro_batches_hold_as_many_tokens_in_every_phase(tmp_path, pretrain, monkeypatch):
    """`hardware.micro_rows` counts rows of the longest phase."""
    from maskwright.data.batch import Batch

    asked_for = []
    cut = Batch.micro_batches

    def noted(self, size):
        if self.purpose == "train" and self.views:
            asked_for.append((self.step, size))
        return cut(self, size)

    monkeypatch.setattr(Batch, "micro_batches", noted)
    pretrain(*TINY, PHASES, "hardware.micro_rows=1", folder=tmp_path / "run")
    assert [size for step, size in asked_for[-9:]] == [2] * 4 + [1] * 3 + [4] * 2


def test_groups_and_balance_in_every_phase(compose, tmp_path):
    """Each phase has its own groups of rows, balanced alike."""
    import json

    from maskwright.training.recipe import assemble
    from maskwright.training.run import _data_module

    letters, draw = {"aa": "abcde", "bb": "klmno"}, np.random.default_rng(1)
    lines = []
    for number in range(40):
        lang = "bb" if number % 5 else "aa"
        words = ["".join(draw.choice(list(letters[lang]), 4)) for _ in range(60)]
        lines.append(json.dumps({"text": " ".join(words), "lang": lang}))
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    cfg, choices = compose(
        *TINY, PHASES, "tokenizer.vocabulary=64", f"data.files={tmp_path}/texts.jsonl", "data.document=file",
        "data.group=lang", "data.balance=0", "trainer.max_steps=200", "phases.0.from=100", "phases.1.from=150",
    )  # fmt: skip
    recipe = assemble(cfg, choices)
    data = _data_module(cfg, recipe, recipe.prepare(cfg), recipe.hardware.resolve())
    for number in range(3):
        rows_there = data.prepared.at[data.phases[number].length]
        shown = np.concatenate([part.sample for part in data.order(number)])
        whole_visits = len(shown) // len(rows_there) * len(rows_there)
        share = (shown[:whole_visits] >= rows_there.group_rows[0]).mean()
        assert abs(share - 0.5) < 1 / len(rows_there)


def test_last_checkpoint_is_of_the_last_step(whole):
    assert last_checkpoint(whole).name == "step-00000009.ckpt"
