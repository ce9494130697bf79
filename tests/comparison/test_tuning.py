"""Choosing the best setting of each arm, and how much that flatters it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from maskwright.comparison.comparison import Options, compare_runs
from maskwright.comparison.find import find
from maskwright.comparison.tuning import tune
from maskwright.errors import RecipeError

GRID = {"masking": ["random", "span"], "optimizer.lr": [0.01, 0.02, 0.04], "seed": [1, 2, 3]}
BEST = {"random": 0.02, "span": 0.04}


def loss(said):
    away = abs(np.log2(said["optimizer.lr"] / BEST[said["masking"]]))
    return (
        5.0
        + away
        + (said["masking"] == "span")
        + said["seed"] / 10
        + said["seed"] ** 2 * (said["masking"] == "span") / 50
    )


def test_each_arm_shows_its_best_setting(sweep):
    result = compare_runs(find([sweep(GRID, loss)]), Options(tune=["optimizer.lr"]))
    assert result.columns == ["masking"]
    assert [(arm.arm, arm.settings["optimizer.lr"], arm.n, arm.planned) for arm in result.arms] == [
        ("masking=random", 0.02, 3, 3),
        ("masking=span", 0.04, 3, 3),
    ]
    assert result.arms[0].mean == pytest.approx(5.2) and len(result.pairs) == 1
    random, span = result.tuned
    assert list(random.tried) == ["optimizer.lr=0.01", "optimizer.lr=0.02", "optimizer.lr=0.04"]
    assert (random.chosen, random.edge) == ("optimizer.lr=0.02", False) and (span.chosen, span.edge) == (
        "optimizer.lr=0.04",
        True,
    )
    warned = {one.about: one.text for one in result.warned}
    assert "1 of 2 arms are best at the edge" in warned["edge of the grid"]
    assert "best of 3 settings" in warned["selection"]
    left = [entry.note for entry in result.entries if not entry.counted]
    assert left == ["another setting was chosen in tuning"] * 12


def test_higher_is_better_chooses_the_highest():
    values = pd.DataFrame({"a": [1.0, 1.0], "b": [2.0, 3.0]})
    assert (
        tune("x", values, [[1, 2]], lower=True).chosen == "a" and tune("x", values, [[1, 2]], lower=False).chosen == "b"
    )


def test_a_setting_that_failed_on_a_seed_is_not_chosen(make_run, sweep):
    """0.01 would win on the two seeds it finished on."""
    folder = sweep(
        {"optimizer.lr": [0.02, 0.04], "seed": [1, 2, 3]}, lambda said: 5 + said["optimizer.lr"] + said["seed"]
    )
    for number, seed in enumerate((1, 2)):
        make_run(f"x{number}", {"optimizer.lr": 0.01, "seed": seed}, loss=1.0)
    make_run("x2", {"optimizer.lr": 0.01, "seed": 3}, state="failed")
    result = compare_runs(find([folder]), Options(tune=["optimizer.lr"]))
    assert result.tuned[0].chosen == "optimizer.lr=0.02" and result.tuned[0].tried["optimizer.lr=0.01"] is None
    assert any("lack a finished run on some seed" in one.text and "0.01" in one.text for one in result.warned)


def test_unequal_tries_are_warned_of(make_run, sweep):
    folder = sweep({"masking": ["random"], "optimizer.lr": [0.01, 0.02, 0.04], "seed": [1, 2]}, lambda s: 5 + s["seed"])
    for seed in (1, 2):
        make_run(f"x{seed}", {"masking": "span", "optimizer.lr": 0.01, "seed": seed})
    result = compare_runs(find([folder]), Options(tune=["optimizer.lr"]))
    said = [one.text for one in result.warned if one.about == "tuning effort"]
    assert said == [
        "3 settings were tried for masking=random, 1 for masking=span; more tries mean a better chance of a lucky best."
    ]
    untuned = compare_runs(find([folder]))
    assert any(
        one.level == "warning" and "3 learning rates were tried for masking=random, 1 for" in one.text
        for one in untuned.warned
    )


def test_choosing_on_the_other_seeds_is_not_flattered():
    """Settings that are all alike: the chosen mean is too good by the expected minimum, the honest one by nothing."""
    rng, seeds, settings, times = np.random.default_rng(0), 4, 5, 600
    chosen, honest = [], []
    for _ in range(times):
        values = pd.DataFrame(rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, settings)), columns=list("abcde"))
        best = tune("x", values, [[1, 2, 3, 4, 5]], lower=True)
        chosen.append(best.mean)
        honest.append(best.honest)
        assert best.flattery == pytest.approx(best.honest - best.mean)
    expected = -1.16296 / np.sqrt(seeds)  # the mean of the smallest of five standard normals
    error = np.std(chosen) / np.sqrt(times)
    assert abs(np.mean(chosen) - expected) < 3.3 * error
    assert abs(np.mean(honest)) < 3.3 * np.std(honest) / np.sqrt(times)


def test_one_seed_cannot_tell_how_flattered_it_is():
    best = tune("x", pd.DataFrame({"a": [1.0], "b": [2.0]}), [[1, 2]], lower=True)
    assert (best.chosen, best.mean, best.honest, best.flattery) == ("a", 1.0, None, None)


def test_words_have_no_edge_and_two_keys_have_two():
    values = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 3.0], "c": [3.0, 4.0]})
    assert not tune("x", values, [["adam", "sgd", "muon"]], lower=True).edge
    assert tune("x", values, [[2, 1, 3], [1, 2, 3]], lower=True).edge
    assert not tune("x", values, [[2, 1, 3], [5, 5, 5]], lower=True).edge


def test_a_key_in_which_nothing_differs_cannot_be_tuned(sweep):
    runs = find([sweep({"masking": ["random", "span"], "seed": [1]}, lambda said: 5.0)])
    with pytest.raises(RecipeError, match="--tune optimizer.lr: the runs do not differ in it; they differ in masking"):
        compare_runs(runs, Options(tune=["optimizer.lr"]))
