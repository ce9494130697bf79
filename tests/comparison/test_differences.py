"""Which runs are seeds of one arm, and how arms are called."""

from __future__ import annotations

import pytest

from maskwright.comparison.comparison import compare_runs
from maskwright.comparison.differences import is_aside, is_seed, label, said, seeds, settings
from maskwright.comparison.runs import read_run


@pytest.fixture
def arms(make_run):
    """`arms({...}, {...})`: the labels of runs with these settings."""

    def of(*runs, ignored=(), **more):
        found = [read_run(make_run(str(number), own, **more)) for number, own in enumerate(runs)]
        return [label(own) for own in settings(found, ignored)]

    return of


def test_seeds_of_one_recipe_are_one_arm(arms):
    assert arms({"seed": 1}, {"seed": 2}) == ["all runs"] * 2


def test_arms_are_called_as_one_types_them_in_that_order(arms):
    assert arms({"rate.value": 0.15, "masking": "random"}, {"rate.value": 0.4, "masking": "span"}) == [
        "rate.value=0.15 masking=random",
        "rate.value=0.4 masking=span",
    ]


def test_a_choice_stands_for_the_keys_that_follow_from_it(arms):
    """masking.unit has another class and two more keys with span: the choice says it all."""
    assert arms({"masking": "random"}, {"masking": "span"}) == ["masking=random", "masking=span"]


def test_a_key_that_varies_within_a_choice_is_named(arms):
    names = arms(
        {"masking": "random"}, {"masking": "span", "masking.unit.p": 0.2}, {"masking": "span", "masking.unit.p": 0.4}
    )
    assert names == ["masking=random", "masking=span masking.unit.p=0.2", "masking=span masking.unit.p=0.4"]


def test_what_changes_nothing_is_left_aside(arms):
    plain = {"name": "a", "cache": "/x", "trainer.validate_every": 5, "logger": {"_target_": "x"}}
    assert arms(plain, {"name": "b", "cache": "/y"}) == ["all runs"] * 2
    assert is_aside("hardware.workers") and not is_aside("hardware.precision") and is_aside("a.b", ["a"])
    assert is_seed("seeds.init") and is_seed("data.seed") and is_seed("head_seed") and not is_seed("data.seedling")


def test_ignored_keys_join_arms(arms):
    runs = [{"optimizer.lr": lr, "rate.value": 0.3} for lr in (0.1, 0.2)]
    assert arms(*runs, ignored=["optimizer"]) == ["all runs"] * 2


def test_a_difference_that_nobody_asked_for_is_shown(make_run):
    """Two multiruns with an equal command line, between which a default changed."""
    make = [
        make_run("0", {"masking": "span"}),
        make_run("1", {"masking": "span", "optimizer.lr": 0.5}, overrides=["masking=span"]),
    ]
    assert [label(own) for own in settings([read_run(folder) for folder in make])] == [
        "optimizer.lr=0.01",
        "optimizer.lr=0.5",
    ]


def test_a_default_that_changed_between_two_sweeps_is_no_part_of_what_was_typed(make_run):
    """Sweep 1 had masking=random at a default of 0.02, sweep 2 masking=span when the default was 0.03."""
    made = [
        make_run(f"{masking}{seed}", {"masking": masking, "optimizer.lr": lr, "seed": seed},
                 overrides=[f"masking={masking}", f"seed={seed}"], loss=lr + seed / 10)
        for masking, lr in (("random", 0.02), ("span", 0.03)) for seed in (1, 2)
    ]  # fmt: skip
    runs = [read_run(folder) for folder in made]
    assert [label(own) for own in settings(runs)[::2]] == [
        "masking=random optimizer.lr=0.02",
        "masking=span optimizer.lr=0.03",
    ]
    warned = {one.about: one.text for one in compare_runs(runs).warned}
    assert warned["confounded"].startswith("masking and optimizer.lr always change together")


def test_what_an_objective_sets_elsewhere_follows_from_it(make_run):
    runs = [
        make_run(name, {"optimizer.lr": lr}, overrides=[f"objective={name}"],
                 facts={"choices": {"masking": "random", "objective": name, "model": model}})
        for name, model, lr in (("mlm", "bert_tiny", 0.01), ("clm", "llama_tiny", 0.02))
    ]  # fmt: skip
    assert [label(own) for own in settings([read_run(run) for run in runs])] == ["objective=mlm", "objective=clm"]


def test_a_choice_that_a_masking_brings_along_is_not_listed(make_run):
    """masking=span budgets exactly, masking=whole_word in whole words: nobody has to say so."""
    runs = [
        make_run(masking, {"masking": masking}, overrides=[f"masking={masking}"],
                 facts={"choices": {"masking": masking, "masking/budget": budget}})
        for masking, budget in (("random", "exact"), ("span", "whole"))
    ]  # fmt: skip
    assert [label(own) for own in settings([read_run(run) for run in runs])] == ["masking=random", "masking=span"]


def test_a_copy_of_what_a_choice_sets_is_not_listed(make_run):
    """`rate.longest: ${masking.unit.longest}` holds the value of its source."""
    runs = [
        make_run(masking, {"masking": masking, "masking.unit.longest": longest, "rate.longest": longest},
                 overrides=[f"masking={masking}"])
        for masking, longest in (("random", 1), ("span", 10))
    ]  # fmt: skip
    assert [label(own) for own in settings([read_run(run) for run in runs])] == ["masking=random", "masking=span"]


def test_what_follows_from_an_experiment_is_not_listed(make_run):
    runs = [
        make_run(
            str(n),
            {"masking": m, "rate.value": r},
            overrides=[f"experiment={e}"],
            facts={"choices": {"masking": m, "experiment": e}},
        )
        for n, (e, m, r) in enumerate([("bert", "random", 0.15), ("spanbert", "span", 0.2)])
    ]
    assert [label(own) for own in settings([read_run(run) for run in runs])] == [
        "experiment=bert",
        "experiment=spanbert",
    ]


def test_a_run_without_config_is_placed_by_its_command_line(make_run):
    make_run("0", {"masking": "random", "rate.value": 0.15})
    make_run("1", {"masking": "span", "rate.value": 0.15, "masking.unit.p": 0.4})
    runs = [
        read_run(make_run(str(n), own, whole=False, state="failed"))
        for n, own in ((2, {"masking": "span", "rate.value": 1.5}),)
    ]
    runs += [read_run(runs[0].folder.parent / name) for name in "01"]
    names = [label(own) for own in settings(runs)]
    assert names[0].startswith("masking=span rate.value=1.5") and names[1] == "masking=random rate.value=0.15"


def test_unknown_settings_are_those_of_jobs_that_agree(make_run):
    for n, (masking, p) in enumerate([("random", None), ("span", 0.2), ("span", 0.2)]):
        make_run(str(n), {"masking": masking, "seed": n} | ({"masking.unit.p": p} if p else {}))
    dead = make_run("3", {"masking": "span", "seed": 9}, whole=False, state="failed")
    runs = [read_run(dead.parent / name) for name in "0123"]
    names = [label(own) for own in settings(runs)]
    assert names == ["masking=random", "masking=span", "masking=span", "masking=span"]


def test_a_run_killed_before_its_choices_were_recorded(make_run):
    runs = [make_run(str(n), {"masking": m, "seed": n}) for n, m in enumerate(("random", "span", "span"))]
    (runs[2] / "run.json").unlink()
    assert [label(own) for own in settings([read_run(run) for run in runs])] == [
        "masking=random",
        "masking=span",
        "masking=span",
    ]
    (runs[2] / "status.json").write_text('{"state": "running", "overrides": ["resume=x"]}')
    assert label(settings([read_run(run) for run in runs])[2]) == "masking=span"  # its config agrees with that arm's


def test_runs_are_paired_by_their_seeds(make_run):
    runs = [read_run(make_run(str(n), {"seed": n + 1})) for n in range(2)]
    assert seeds(runs) == ["1", "2"]
    runs.append(read_run(make_run("9", {"seed": 1, "seeds.masks": 7})))
    names = seeds(runs)
    assert names[:2] == ["1", "2"] and names[2].startswith("seed=1") and "seeds.masks=7" in names[2]


def test_values_are_read_as_hydra_reads_them():
    words = ["rate.value=0.40", "a='x y'", "+b=[1,2]", "~c", "d=null", "e=true", "not an override", "lr=1e-3"]
    assert said(words) == {"rate.value": 0.4, "a": "x y", "b": (1, 2), "c": "(none)", "d": None, "e": True, "lr": 0.001}
    assert (
        label({"rate.value": 0.4, "b": (1, 2), "d": None, "e": True, "lr": 1e-5})
        == "rate.value=0.4 b=[1,2] d=null e=true lr=1e-05"
    )
