"""Arms, families of comparisons, settings by themselves, and what a reader is warned of."""

from __future__ import annotations

import json

import pytest

from maskwright.comparison.comparison import Options, compare_runs
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
    ("words", "why"), [("masking=span", "fits more than one arm"), ("masking=pmi", "fits no arm"), ("x", "fits no arm")]
)
def test_a_baseline_must_be_one_arm(sweep, words, why):
    with pytest.raises(RecipeError, match=f"{why}; the arms are: masking=random rate.value=0.15; "):
        compare_runs(find([sweep(GRID, noisy)]), Options(baseline=words))


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
