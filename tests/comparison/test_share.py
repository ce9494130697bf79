"""W&B gets the table where a key is configured, and nothing otherwise."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from maskwright.comparison import share
from maskwright.comparison.runs import read_run

REPORT = {
    "metric": {"name": "ruler/loss", "better": "lower"},
    "options": {"alpha": 0.05},
    "columns": ["masking"],
    "arms": [{"arm": "masking=span", "n": 2, "mean": 5.0, "sd": 0.1, "low": 4.0, "high": 6.0, "group": "A"}],
    "pairs": [dict.fromkeys(("a", "b", "n", "difference", "low", "high", "p", "p_holm", "detectable", "sure"), 1)],
}


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in that notes what it is given."""
    got = SimpleNamespace(key=True, init=None, logged=None, finished=False)

    def init(**arguments):
        got.init = arguments
        return SimpleNamespace(
            log=lambda tables: setattr(got, "logged", tables),
            finish=lambda: setattr(got, "finished", True),
            url="https://w/1",
        )

    fake = SimpleNamespace(
        login=lambda prompt, verify: got.key and not prompt and not verify,
        init=init,
        Settings=lambda **settings: settings,
        Table=lambda columns, data: (columns, data),
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return got


def test_online_the_numbers_go_out_as_numbers(wandb, tmp_path):
    assert share.send(REPORT, tmp_path, "p", "me") == "W&B: https://w/1"
    assert (wandb.init["project"], wandb.init["entity"], wandb.init["job_type"]) == ("p", "me", "comparison")
    columns, rows = wandb.logged["arms"]
    assert dict(zip(columns, rows[0])) == {
        "arm": "masking=span",
        "n": 2,
        "mean": 5.0,
        "sd": 0.1,
        "low": 4.0,
        "high": 6.0,
    }
    assert wandb.logged["comparisons"][1] == [[1] * 10] and wandb.finished


def test_without_a_key_nothing_is_sent(wandb, tmp_path):
    wandb.key = False
    assert (
        share.send(REPORT, tmp_path, "p", None) == "W&B: no key is configured, so nothing is sent"
        and wandb.init is None
    )


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_offline_nothing_is_sent(wandb, tmp_path, monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert (
        share.send(REPORT, tmp_path, "p", None) == f"W&B: WANDB_MODE is {mode}, so nothing is sent"
        and wandb.init is None
    )


def test_it_goes_where_the_runs_went(make_run):
    plain, logged = make_run("0"), make_run("1", {"logger": {"project": "p", "entity": "me"}, "seed": 2})
    assert share.place([read_run(plain), read_run(logged)]) == ("p", "me")
    assert share.place([read_run(plain)]) == ("maskwright", None)
