"""Arms, families of comparisons, settings by themselves, and what a reader is warned of."""

from __future__ import annotations

import json
import shutil

import pytest

from maskwright.comparison import words
from maskwright.comparison.comparison import Options, compare_runs
from maskwright.comparison.curves import learning_curves
from maskwright.comparison.find import find
from maskwright.errors import RecipeError

GRID = {"masking": ["random", "span"], "rate.value": [0.15, 0.4], "seed": [1, 2, 3]}


def noisy(said):
    """Additive in masking and rate, with noise that is not."""
    odd = hash_free(said) / 50
    return 5.0 + 2 * (said["masking"] == "span") + said["rate.value"] + said["seed"] / 3 + odd


def hash_free(said):
    return (
        7 * said["seed"]
        + 5 * (said["masking"] == "span") * said["seed"]
        + int(100 * said["rate.value"]) * said["seed"] ** 2
    ) % 11


def test_arms_are_ranked_and_summed_over_seeds(sweep):
    result = compare_runs(find([sweep(GRID, noisy)]))
    assert result.columns == ["masking", "rate.value"] and len(result.arms) == 4 and len(result.pairs) == 6
    best = result.arms[0]
    assert (best.arm, best.rank, best.n, best.planned) == ("masking=random rate.value=0.15", 1, 3, 3)
    values = [noisy({"masking": "random", "rate.value": 0.15, "seed": seed}) for seed in (1, 2, 3)]
    assert best.mean == pytest.approx(sum(values) / 3) and best.seeds == ["1", "2", "3"]
    assert best.costs["tokens"] == 4000 and best.parameters == 1000
    assert [arm.mean for arm in result.arms] == sorted(arm.mean for arm in result.arms)
    assert all(pair.difference > 0 for pair in result.pairs)  # the better arm comes first


def test_higher_is_better_ranks_the_other_way(sweep):
    result = compare_runs(find([sweep(GRID, noisy)]), Options(metric="ruler/accuracy"))
    assert [arm.mean for arm in result.arms] == sorted((arm.mean for arm in result.arms), reverse=True)


def test_against_a_baseline_the_family_is_smaller(sweep):
    runs = find([sweep(GRID, noisy)])
    everything = compare_runs(runs)
    result = compare_runs(runs, Options(baseline="rate.value=0.40 masking=span"))
    assert {pair.a for pair in result.pairs} == {"masking=span rate.value=0.4"} and len(result.pairs) == 3
    of_all = {frozenset((pair.a, pair.b)): pair for pair in everything.pairs}
    for pair in result.pairs:
        assert pair.p == pytest.approx(of_all[frozenset((pair.a, pair.b))].p)
        assert pair.p_holm <= of_all[frozenset((pair.a, pair.b))].p_holm
        assert pair.detectable < of_all[frozenset((pair.a, pair.b))].detectable


@pytest.mark.parametrize(
    ("arm", "why"), [("masking=span", "fits more than one arm"), ("masking=pmi", "fits no arm"), ("x", "fits no arm")]
)
def test_a_baseline_must_be_one_arm(sweep, arm, why):
    with pytest.raises(RecipeError, match=f"{why}; the arms are: masking=random rate.value=0.15; "):
        compare_runs(find([sweep(GRID, noisy)]), Options(baseline=arm))


def test_of_equal_runs_the_newer_counts(make_run, tmp_path):
    old, new = make_run("0", loss=9.0), make_run("1", loss=5.0)
    status = json.loads((new / "status.json").read_text())
    (new / "status.json").write_text(json.dumps(status | {"ended": 99.0}))
    make_run("2", {"seed": 2}, loss=6.0)
    result = compare_runs(find([tmp_path / "sweep"]))
    assert (result.arms[0].n, result.arms[0].mean) == (2, pytest.approx(5.5))
    first = next(entry for entry in result.entries if entry.run.folder == old)
    assert not first.counted and first.note == "a newer run has the same recipe and seed"
    assert any(one.about == "not counted" and "1 finished run is" in one.text for one in result.warned)


IGNORED = {"masking": ["random", "span"], "optimizer.lr": [0.1, 0.2, 0.4], "seed": [1, 2, 3]}


def uneven(said):
    return said["seed"] ** 2 + 10 * said["optimizer.lr"] * said["seed"] + (said["masking"] == "span")


def test_ignored_settings_are_averaged_within_a_seed(sweep):
    folder = sweep(IGNORED, uneven)
    for run in folder.glob("*"):  # their evaluations are averaged alike
        path = run / "evaluation" / "x" / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"figures": {"loss": json.loads((run / "metrics.json").read_text())["ruler/loss"]}}))
    result = compare_runs(find([folder]), Options(ignore=["optimizer.lr"]))
    by_seed = {s: sum(uneven({"masking": "random", "optimizer.lr": r, "seed": s}) for r in (0.1, 0.2, 0.4)) / 3
               for s in (1, 2, 3)}  # fmt: skip
    mean = sum(by_seed.values()) / 3
    sd = (sum((value - mean) ** 2 for value in by_seed.values()) / 2) ** 0.5
    arm = result.arms[0]
    assert (arm.arm, arm.n, arm.planned, arm.seeds) == ("masking=random", 3, 3, ["1", "2", "3"])
    assert (arm.mean, arm.sd) == (pytest.approx(mean), pytest.approx(sd))
    assert all(entry.counted for entry in result.entries)
    assert result.pairs[0].n == 3 and result.pairs[0].difference == pytest.approx(1.0)
    evaluated = next(one.mean for one in result.evaluations if one.arm == "masking=random")
    assert (evaluated.n, evaluated.mean, evaluated.sd) == (3, pytest.approx(mean), pytest.approx(sd))
    assert [row["n"] for row in learning_curves(result).means] == [9] * 8  # 4 validations of 2 arms, 9 runs each
    level, text = abouts(result)["ignored"]
    assert level == "note" and text.startswith("The 18 runs that differ in optimizer.lr alone are averaged within")


def test_missing_ignored_settings_are_warned_of(sweep):
    folder = sweep(IGNORED, uneven)
    shutil.rmtree(folder / "17")
    level, text = abouts(compare_runs(find([folder]), Options(ignore=["optimizer"])))["ignored"]
    assert level == "warning" and "17 runs that differ in optimizer.lr alone" in text and "over different ones" in text


def test_ignored_settings_do_not_hide_a_repetition(make_run, tmp_path):
    """The same settings twice are one run; other ignored settings are another."""
    for name, lr, loss, ended in (("a", 0.1, 9.0, 1.0), ("b", 0.1, 5.0, 99.0), ("c", 0.2, 7.0, 50.0)):
        path = make_run(name, {"optimizer.lr": lr}, loss=loss) / "status.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"ended": ended}))
    result = compare_runs(find([tmp_path / "sweep"]), Options(ignore=["optimizer.lr"]))
    assert [entry.counted for entry in result.entries] == [False, True, True]
    assert (result.arms[0].n, result.arms[0].mean) == (1, pytest.approx(6.0))


def test_a_verdict_names_whom_it_tested_against(sweep):
    """Nothing holds, the best arm is another than the baseline: all tests were against the baseline."""
    units = {"masking": ["random", "span", "whole_word"], "seed": [1, 2, 3]}
    worth = {"random": [5.0, 6.0, 7.0], "span": [5.2, 6.1, 6.5], "whole_word": [4.0, 6.5, 5.0]}
    runs = find([sweep(units, lambda said: worth[said["masking"]][said["seed"] - 1])])
    said = words.verdict(compare_runs(runs, Options(baseline="masking=random")))
    assert said[0].startswith("masking=whole_word has the best")
    assert said[1].startswith("None of the 2 others can be told apart from masking=random at")


def test_a_failed_attempt_beside_its_repetition_takes_no_place(make_run, tmp_path):
    make_run("0", state="failed")
    make_run("1", loss=5.0)
    result = compare_runs(find([tmp_path / "sweep"]))
    assert result.arms[0].n == 1 and [entry.counted for entry in result.entries] == [False, True]


def test_a_run_without_the_figure_is_shown_with_the_reason(make_run, tmp_path):
    make_run("0", {"masking": "random"})
    make_run("1", {"masking": "span"}, loss=None, figures={"ruler/reason": "a causal model sees one side only"})
    result = compare_runs(find([tmp_path / "sweep"]))
    assert [(arm.arm, arm.n, arm.rank) for arm in result.arms] == [("masking=random", 1, 1), ("masking=span", 0, None)]
    assert result.entries[1].note == "no ruler/loss: a causal model sees one side only" and result.pairs == []


def test_settings_by_themselves_are_averaged_over_the_others(sweep):
    result = compare_runs(find([sweep(GRID, noisy)]))
    masking, rate = result.factors
    assert (masking.key, list(masking.levels), rate.key) == ("masking", ["random", "span"], "rate.value")
    mean = sum(noisy({"masking": "span", "rate.value": r, "seed": s}) for r in (0.15, 0.4) for s in (1, 2, 3)) / 6
    assert masking.levels["span"].mean == pytest.approx(mean) and masking.levels["span"].n == 3
    by_seed = [
        sum(
            noisy({"masking": "span", "rate.value": r, "seed": s})
            - noisy({"masking": "random", "rate.value": r, "seed": s})
            for r in (0.15, 0.4)
        )
        / 2
        for s in (1, 2, 3)
    ]
    assert masking.pairs[0].difference == pytest.approx(sum(by_seed) / 3) and masking.pairs[0].n == 3


def test_a_hole_in_the_grid_does_not_tilt_a_setting(sweep):
    """Without the worst run of one level the mean of what is left would favour it; whole blocks do not."""
    folder = sweep(GRID, noisy)
    (folder / "11" / "status.json").write_text(
        '{"state": "failed", "overrides": ["masking=span", "rate.value=0.4", "seed=3"]}'
    )
    (folder / "11" / "metrics.json").unlink()
    (masking, _) = compare_runs(find([folder])).factors
    left = [noisy({"masking": m, "rate.value": 0.15, "seed": 3}) for m in ("random", "span")]
    whole = [
        sum(noisy({"masking": m, "rate.value": r, "seed": s}) for r in (0.15, 0.4)) / 2
        for s in (1, 2)
        for m in ("random", "span")
    ]
    assert masking.levels["random"].mean == pytest.approx((whole[0] + whole[2] + left[0]) / 3)
    assert masking.levels["span"].mean == pytest.approx((whole[1] + whole[3] + left[1]) / 3)


def test_cells_are_the_arms_of_a_two_way_grid(sweep):
    result = compare_runs(find([sweep(GRID, noisy)]))
    assert {(cell.x, cell.y): cell.mean for cell in result.cells} == {
        (arm.settings["masking"], str(arm.settings["rate.value"])): arm.mean for arm in result.arms
    }
    assert {(cell.x_key, cell.y_key, cell.n, cell.arms) for cell in result.cells} == {("masking", "rate.value", 3, 1)}


def abouts(result):
    return {one.about: (one.level, one.text) for one in result.warned}


def test_runs_that_are_left_out_are_counted(make_run, sweep):
    folder = sweep({"masking": ["random", "span"], "seed": [1, 2]}, lambda said: 5 + said["seed"] / 3)
    make_run("7", {"masking": "span", "seed": 3}, state="failed")
    make_run("8", {"masking": "random", "seed": 3}, state="running")
    level, text = abouts(compare_runs(find([folder])))["runs left out"]
    assert level == "warning" and text.startswith("Of 6 runs 1 failed, 1 did not finish;")


def test_unequal_budgets(make_run, tmp_path):
    for seed in (1, 2):
        make_run(f"a{seed}", {"masking": "random", "seed": seed}, loss=5 + seed)
        make_run(
            f"b{seed}",
            {"masking": "span", "seed": seed},
            loss=5 + seed / 3,
            figures={"tokens": 8000, "flops": 40100.0},
            facts={"parameters": 1500},
        )
    warned = abouts(compare_runs(find([tmp_path / "sweep"])))
    assert warned["tokens"] == (
        "warning",
        "Arms differ in training tokens by a factor of 2: 4.0k (masking=random) to 8.0k (masking=span).",
    )
    assert (
        "factor of 1.5" in warned["parameters"][1] and "FLOPs" not in warned
    )  # a quarter of a percent is no difference


@pytest.mark.parametrize(
    ("facts", "about"),
    [
        ({"fingerprints": {"corpus": "X", "tokenizer": "t", "train": "r", "ruler": "u"}}, "corpus"),
        ({"fingerprints": {"corpus": "c", "tokenizer": "X", "train": "r", "ruler": "u"}}, "tokenizer"),
        ({"fingerprints": {"corpus": "c", "tokenizer": "t", "train": "X", "ruler": "u"}}, "training rows"),
        ({"fingerprints": {"corpus": "c", "tokenizer": "t", "train": "r", "ruler": "X"}}, "ruler"),
        ({"git_commit": "def"}, "code"),
        ({"hardware": {"device": "cpu", "precision": "bf16"}}, "precision"),
        ({"hardware": {"device": "gpu", "precision": "32"}}, "machine"),
    ],
)
def test_other_data_code_or_machines(make_run, tmp_path, facts, about):
    make_run("0", {"masking": "random"})
    make_run("1", {"masking": "span"}, facts=facts)
    warned = abouts(compare_runs(find([tmp_path / "sweep"])))
    assert about in warned and "2 kinds" in warned[about][1]
    sources = {"corpus", "tokenizer", "training rows", "ruler", "code", "precision", "machine"}
    assert set(warned) & sources == {about}


def test_a_fair_sweep_has_no_warning(sweep):
    result = compare_runs(
        find(
            [
                sweep(
                    {"masking": ["random", "span"], "seed": [1, 2, 3]},
                    lambda s: 5 + (s["masking"] == "span") * s["seed"] + s["seed"] / 3,
                )
            ]
        )
    )
    assert {one.about for one in result.warned if one.level == "warning"} == set()
    assert {one.about for one in result.warned} == {"tuning effort", "home advantage"}


def test_settings_that_change_together(make_run, tmp_path):
    for seed in (1, 2):
        make_run(f"a{seed}", {"masking": "random", "rate.value": 0.15, "seed": seed}, loss=seed)
        make_run(f"b{seed}", {"masking": "span", "rate.value": 0.4, "seed": seed}, loss=seed)
    warned = abouts(compare_runs(find([tmp_path / "sweep"])))
    assert warned["confounded"][1].startswith("masking and rate.value always change together")


def test_missing_seeds_and_a_single_seed(make_run, tmp_path):
    for seed in (1, 2):
        make_run(f"a{seed}", {"masking": "random", "seed": seed}, loss=5 + seed)
    make_run("b1", {"masking": "span", "seed": 1})
    assert "masking=span has 1" in abouts(compare_runs(find([tmp_path / "sweep"])))["seeds"][1]
    single = compare_runs(find([tmp_path / "sweep" / "a1", tmp_path / "sweep" / "b1"]))
    assert "nothing" not in abouts(single)["seeds"][1] and "seed=1,2,3" in abouts(single)["seeds"][1]


def test_when_nothing_holds_what_would_help_is_said(sweep):
    result = compare_runs(find([sweep(GRID, lambda said: 5 + hash_free(said) / 10)]))
    assert not any(pair.sure(0.05) for pair in result.pairs)
    assert "--spread pooled" in abouts(result)["power"][1] and "--baseline" in abouts(result)["power"][1]


def test_options_have_bounds():
    with pytest.raises(RecipeError, match="--alpha is 1.5; it lies between 0 and 1"):
        Options(alpha=1.5)
