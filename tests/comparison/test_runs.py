"""What a run's files say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskwright.comparison.runs import numbers, read_run


def test_seconds_of_training_come_from_tokens_and_speed(make_run):
    folder = make_run("0")
    (folder / "metrics.csv").write_text(
        "step,tokens,flops,speed/tokens_per_second,ruler/loss\n"
        "10,1000,10.0,100.0,\n"  # 10 s
        "15,,,,5.5\n"  # a validation between two logged steps lies between them
        "20,2000,20.0,50.0,5.0\n"  # 20 s more
        "25,25"  # killed while writing
    )
    rows = read_run(folder).curves
    assert rows["step"].tolist() == [10, 15, 20]
    assert rows["seconds"].tolist() == [10, 20, 30] and rows["tokens"].tolist() == [1000, 1500, 2000]
    assert rows["flops"].tolist() == [10, 15, 20]
    assert rows["ruler/loss"].dropna().tolist() == [5.5, 5.0]
    assert (folder / "metrics.csv").read_text().endswith("25,25")  # reading a live run changes nothing


def test_seconds_agree_with_a_real_meter(tmp_path):
    """The training time in metrics.json is that of the last row, for rows as the meter writes them."""
    from maskwright.tracking.meter import Meter
    from maskwright.tracking.metrics_file import MetricsFile

    now = [0.0]
    meter, file = Meter(2.0, None, clock=lambda: now[0]), MetricsFile(tmp_path / "metrics.csv")
    meter._mark = 0.0
    for step in range(1, 31):
        now[0] += 0.1 + 0.05 * (step % 3)
        meter.add({"loss": 1.0, "tokens": 64.0 + step})
        if step % 10 == 0:
            file.append(step, meter.row())
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert read_run(tmp_path).curves["seconds"].iloc[-1] == pytest.approx(meter.totals()["seconds"])


def test_no_curves_are_an_empty_table(make_run):
    folder = make_run("0")
    (folder / "metrics.csv").unlink()
    assert len(read_run(folder).curves) == 0
    (folder / "metrics.csv").write_text("")
    assert len(read_run(folder).curves) == 0


def test_evaluations_are_figures(make_run):
    folder = make_run("0")
    suite = folder / "evaluation" / "minimal_pairs"
    suite.mkdir(parents=True)
    results = {
        "figures": {"accuracy": 0.7, "agreement/low": 0.6, "none": None},
        "facts": {"pairs": 67000},
        "tables": [],
    }
    (suite / "results.json").write_text(json.dumps(results))
    (folder / "evaluation" / "probe").mkdir()
    (folder / "evaluation" / "probe" / "results.json").write_text('{"layer": {"1": {"f1": 0.5}}, "done": true}')
    (folder / "evaluation" / "bad").mkdir()
    (folder / "evaluation" / "bad" / "results.json").write_text("[1, 2")
    run = read_run(folder)
    assert {name: value for name, value in run.figures.items() if name.startswith("evaluation/")} == {
        "evaluation/minimal_pairs/accuracy": 0.7,
        "evaluation/minimal_pairs/agreement/low": 0.6,
        "evaluation/probe/layer/1/f1": 0.5,
    }
    assert run.figure("evaluation/minimal_pairs/accuracy") == 0.7 and run.figure("ruler/loss") == 5.0


def test_only_finite_numbers_are_figures(make_run):
    run = read_run(make_run("0", figures={"a": True, "b": "x", "c": None, "c/reason": "it has none", "d": 3}))
    assert [run.figure(name) for name in "abcd"] == [None, None, None, 3.0]
    assert run.why_not("c") == "no c: it has none" and run.why_not("z") == "metrics.json has no z"
    assert numbers({"a": [1], "b": {"c": float("nan"), "d": np.float64(2)}}, "x") == {"x/b/d": 2.0}


def test_the_recipe_in_words(make_run):
    assert read_run(make_run("0", {"masking": "span"})).sentence() == "span, constant"
    said = make_run("1", facts={"sentence": "mlm, span 30%, on sotu"})
    assert read_run(said).sentence() == "mlm, span 30%, on sotu"
    assert read_run(make_run("2", {"rate.value": 2}, whole=False)).sentence() == "rate.value=2"
