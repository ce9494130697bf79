"""The report: its figures are those of the files, it holds all it shows, and hides no run."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest

from maskwright.comparison import files, page, words
from maskwright.comparison.comparison import Options, compare_runs
from maskwright.comparison.curves import learning_curves
from maskwright.comparison.figures.costs import front
from maskwright.comparison.find import find

GRID = {"masking": ["random", "span"], "rate.value": [0.15, 0.4], "optimizer.lr": [0.01, 0.02], "seed": [1, 2, 3]}


def loss(said):
    odd = (7 * said["seed"] + int(100 * said["rate.value"]) * said["seed"] ** 2 + int(1000 * said["optimizer.lr"])) % 11
    span = (said["masking"] == "span") * (1 + said["seed"] ** 2 / 20)
    return 5.0 + span + said["rate.value"] + said["seed"] / 3 + odd / 50


class Tables(HTMLParser):
    """`cells[table id][row][key]`: (data-value, visible text)."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.links, self.ids, self.sources = {}, [], [], []
        self._table = self._row = self._key = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []
        if tag in ("table", "ul"):
            self._table = found.get("id")
        if "data-row" in found:
            self._row = found["data-row"]
            self.cells.setdefault(self._table, {}).setdefault(self._row, {})
        if "data-key" in found:
            self._key = found["data-key"]
            self.cells[self._table][self._row][self._key] = (found["data-value"], "")

    def handle_endtag(self, tag):
        if tag in ("td", "span"):
            self._key = None

    def handle_data(self, text):
        if self._key is not None:
            value, before = self.cells[self._table][self._row][self._key]
            self.cells[self._table][self._row][self._key] = (value, before + text)


class Report:
    def __init__(self, folder, name="comparison", **options):
        self.result = compare_runs(find([folder]), Options(**options))
        self.out = folder / name
        self.report = files.as_dict(self.result, self.out, "python compare.py x")
        page.write(self.report, self.result, self.out)
        files.write(self.report, self.result, self.out)
        self.text = (self.out / "index.html").read_text()
        self.json = json.loads((self.out / "comparison.json").read_text())
        self.page = Tables(self.text[: self.text.index('<script type="application/json"')])
        embedded = re.search(r'<script type="application/json" id="figures">(.*?)</script>', self.text, re.DOTALL)
        self.figures = json.loads(embedded[1])

    def csv(self, name):
        with (self.out / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def study(runs_in, tmp_path_factory):
    """A grid with failed, unfinished and missing runs, and evaluations."""
    root = tmp_path_factory.mktemp("study")
    make_run, folder = runs_in(root), root / "sweep"
    for number, values in enumerate(product(*GRID.values())):
        said = dict(zip(GRID, values))
        make_run(str(number), said, loss=loss(said))
    make_run(
        "24",
        {"masking": "span", "rate.value": 0.4, "optimizer.lr": 0.01, "seed": 4},
        state="failed",
        error="<b>bad & broken</b>",
    )
    make_run(
        "25", {"masking": "span", "rate.value": 0.4, "optimizer.lr": 0.02, "seed": 4}, state="running", validations=2
    )
    task = ["masking=random,span", "rate.value=0.15,0.4", "optimizer.lr=0.01,0.02", "seed=1,2,3,4"]
    plan = {"hydra": {"sweeper": {"_target_": "x.BasicSweeper"}, "overrides": {"task": task}}}
    (folder / "multirun.yaml").write_text(json.dumps(plan))
    for number in range(24):
        for suite, shift in (("pairs", 0.0), ("probe", 0.1)):
            place = folder / str(number) / "evaluation" / suite
            place.mkdir(parents=True)
            numbers = {
                f"layer_{layer}": shift + number / 100 + layer / 50 for layer in range(3 if suite == "pairs" else 14)
            }
            (place / "results.json").write_text(json.dumps({"figures": numbers | {"n": 100}}))
    return folder


@pytest.fixture(scope="module", params=["plain", "tuned", "pooled", "baseline"])
def report(request, study):
    options = {
        "plain": {},
        "tuned": {"tune": ["optimizer.lr"]},
        "pooled": {"tune": ["optimizer.lr"], "spread": "pooled"},
        "baseline": {"baseline": "masking=random rate.value=0.15 optimizer.lr=0.01"},
    }[request.param]
    return Report(study, request.param, **options)


def same(cell, value, text):
    assert cell[0] == ("" if value in (None, "") else str(value)) and cell[1].strip() == text, (cell, value, text)


def numeric(text):
    return float(text) if text else None


def test_tables_of_the_page_are_those_of_the_files(report):
    arms = report.csv("arms")
    assert (
        [row["arm"] for row in arms] == [arm["arm"] for arm in report.json["arms"]] == list(report.page.cells["arms"])
    )
    for row, arm in zip(arms, report.json["arms"]):
        shown = report.page.cells["arms"][row["arm"]]
        for key in (
            "mean",
            "sd",
            "low",
            "high",
            "costs/tokens",
            "costs/flops",
            "costs/seconds",
            "costs/steps",
            "parameters",
        ):
            value = arm["costs"][key.removeprefix("costs/")] if "/" in key else arm[key]
            assert numeric(row[key]) == value
            if value is not None:
                text = (
                    words.cost(key.removeprefix("costs/"), value)
                    if "/" in key or key == "parameters"
                    else words.number(value)
                )
                same(
                    shown[key], row[key] if key != "parameters" else value, words.spread(value) if key == "sd" else text
                )
    pairs = report.csv("pairs")
    assert len(pairs) == len(report.json["pairs"]) == len(report.page.cells["pairs"]) > 0
    for row, pair in zip(pairs, report.json["pairs"]):
        shown = report.page.cells["pairs"][f"{row['a']}|{row['b']}"]
        same(shown["difference"], row["difference"], words.signed(pair["difference"]))
        if pair["p"] is None:
            assert row["p"] == "" and "p" not in shown and pair["reason"] in report.text
            continue
        for key, say in (
            ("low", words.signed),
            ("high", words.signed),
            ("p", words.p_value),
            ("p_holm", words.p_value),
            ("detectable", words.spread),
        ):
            assert numeric(row[key]) == pair[key]
            same(shown[key], row[key], say(pair[key]))
    assert sum(pair["p"] is not None for pair in report.json["pairs"]) > len(pairs) // 2
    for row, run in zip(report.csv("runs"), report.json["runs"]):
        assert (row["run"], row["arm"], numeric(row["value"])) == (run["run"], run["arm"], run["value"])
        same(report.page.cells["runs-table"][row["run"]]["value"], row["value"], words.number(run["value"]))
    for row, one in zip(report.csv("evaluations"), report.json["evaluations"]):
        assert numeric(row["mean"]) == one["mean"]
        same(
            report.page.cells["evaluations-table"][f"{row['arm']}|{row['figure']}"]["mean"],
            row["mean"],
            words.number(one["mean"]),
        )
    levels = report.csv("levels")
    assert len(levels) == sum(len(factor["levels"]) for factor in report.json["factors"]) > 0
    for row in levels:
        same(
            report.page.cells[f"levels-{row['key']}"][row["level"]]["mean"],
            row["mean"],
            words.number(float(row["mean"])),
        )
    for row in report.csv("level_pairs"):
        shown = report.page.cells[f"level-pairs-{row['key']}"][f"{row['a']}|{row['b']}"]
        if row["p"]:
            same(shown["p_holm"], row["p_holm"], words.p_value(numeric(row["p_holm"])))
    if report.json["tuned"]:
        for row in report.csv("tuned"):
            same(
                report.page.cells["tuned"][row["arm"]][row["setting"]], row["mean"], words.number(numeric(row["mean"]))
            )
            same(report.page.cells["tuned"][row["arm"]]["honest"], row["honest"], words.number(numeric(row["honest"])))
    else:
        assert not (report.out / "tuned.csv").exists()


def traces(figure, meta):
    return [trace for trace in figure["data"] if trace.get("meta") == meta]


def test_figures_of_the_page_are_those_of_the_files(report):
    arms = {row["arm"]: row for row in report.csv("arms") if row["mean"]}
    means = traces(report.figures["ranking"], "mean")
    assert [trace["name"] for trace in means] == list(arms)
    for trace in means:
        row = arms[trace["name"]]
        assert trace["x"] == [float(row["mean"])]
        assert trace["x"][0] + trace["error_x"]["array"][0] == pytest.approx(float(row["high"]))
        assert trace["x"][0] - trace["error_x"]["arrayminus"][0] == pytest.approx(float(row["low"]))
    runs = report.csv("runs")
    for trace in traces(report.figures["ranking"], "seeds"):
        assert trace["x"] == [
            float(run["value"]) for run in runs if run["arm"] == trace["name"] and run["counted"] == "True"
        ]
    pairs = {(row["a"], row["b"]): row for row in report.csv("pairs")}
    first = report.json["pairs"][0]["a"] if report.json["options"]["baseline"] else next(iter(arms))
    for trace in traces(report.figures["differences"], "difference"):
        row = pairs[first, trace["name"]]
        assert trace["x"] == [float(row["difference"])] and trace["marker"]["symbol"].endswith("-open") is (
            row["sure"] == "False"
        )
    for axis in ("step", "tokens", "flops", "seconds"):
        figure, rows = report.figures[f"curves-{axis}"], report.csv("curves")
        for trace in traces(figure, "run"):
            own = [row for row in rows if row["run"] == trace["name"]]
            assert trace["x"] == [float(row[axis]) for row in own] and trace["y"] == [
                float(row["value"]) for row in own
            ]
        for trace in traces(figure, "mean"):
            own = [row for row in rows if row["arm"] == trace["name"] and row["counted"] == "True"]
            for x, y, step in zip(trace["x"], trace["y"], sorted({float(row["step"]) for row in own})):
                here = [row for row in own if float(row["step"]) == step]
                assert y == pytest.approx(sum(float(row["value"]) for row in here) / len(here))
                assert x == pytest.approx(sum(float(row[axis]) for row in here) / len(here))
        assert len(traces(figure, "mean")) == len(arms)
    cells = report.csv("cells")
    for x_key, y_key in {(row["x_key"], row["y_key"]) for row in cells}:
        (heat,) = report.figures[f"heat-{x_key}-{y_key}"]["data"]
        for row in cells:
            if (row["x_key"], row["y_key"]) == (x_key, y_key):
                assert heat["z"][heat["y"].index(row["y"])][heat["x"].index(row["x"])] == float(row["mean"])
    for axis in ("flops", "seconds"):
        for trace in traces(report.figures[f"pareto-{axis}"], "mean"):
            assert (trace["x"], trace["y"]) == (
                [float(arms[trace["name"]][f"costs/{axis}"])],
                [float(arms[trace["name"]]["mean"])],
            )
    evaluated = {(row["arm"], row["figure"]): float(row["mean"]) for row in report.csv("evaluations")}
    for trace in traces(report.figures["evaluation/pairs"], "mean"):
        assert trace["x"] == [evaluated[trace["name"], f"evaluation/pairs/{name}"] for name in trace["text"]]
        assert trace["text"] == ["layer_0", "layer_1", "layer_2"]  # a count is no quality
    (many,) = report.figures["evaluation/probe"]["data"]
    assert many["type"] == "heatmap" and len(many["y"]) == 14
    for row, name in zip(many["z"], many["y"]):
        for value, arm in zip(row, many["customdata"][0]):
            assert value == evaluated[arm, f"evaluation/probe/{name}"]


@pytest.fixture(scope="module")
def plain(study):
    return Report(study)


def test_the_matrix_of_all_pairs(plain):
    report = plain
    (heat,) = report.figures["matrix"]["data"]
    names = [arm["arm"] for arm in report.json["arms"] if arm["n"]]
    for pair in report.json["pairs"]:
        row, column = names.index(pair["b"]), names.index(pair["a"])
        assert heat["z"][row][column] == pair["difference"] == -heat["z"][column][row]
        assert (heat["text"][row][column] == "*") is pair["sure"]


def test_no_run_is_hidden(plain):
    report = plain
    assert len(report.json["runs"]) == 24 + 2 + 6  # of a grid of 32 six never began
    assert set(report.page.cells["runs-table"]) == {run["run"] for run in report.json["runs"]}
    left = {run["run"]: run for run in report.json["runs"] if run["state"] != "finished"}
    assert set(report.page.cells["left-out"]) == set(left) and {run["state"] for run in left.values()} == {
        "failed",
        "unfinished",
        "missing",
    }
    for run in left.values():
        assert run["command"].startswith("python train.py ") and run["command"].replace("'", "&#39;") in report.text
    assert "&lt;b&gt;bad &amp; broken&lt;/b&gt;" in report.text and "<b>bad" not in report.text
    unfinished = traces(report.figures["curves-step"], "run")
    assert [trace["line"]["dash"] for trace in unfinished if trace["name"] in ("24", "25")] == ["dot", "dot"]


def test_the_page_holds_all_it_shows(report):
    assert report.page.sources == [] and not re.search(r"<(script|link|img)[^>]*(src|href)=", report.text)
    assert not [link for link in report.page.links if link.startswith("http")]
    for link in report.page.links:
        if link.startswith("#"):
            assert link[1:] in report.page.ids, link
        elif not link.endswith(("README.md", "error.log", ".json")):
            assert (report.out / link).resolve().exists(), link
    assert "prefers-color-scheme: dark" in report.text and 'name="viewport"' in report.text
    names = set(re.findall(r'data-figure="([^"]+)"', report.text))
    assert names == set(report.figures)
    for name in (
        "answer",
        "ranking",
        "differences",
        "factors",
        "curves",
        "heat",
        "pareto",
        "evaluations",
        "masks",
        "recipes",
        "runs",
    ):
        assert name in report.page.ids


def test_what_was_masked_and_every_recipe(plain):
    report = plain
    for arm in report.json["arms"]:
        shown = report.page.cells["masks-table"][arm["arm"]]
        assert shown["achieved"] == (str(arm["masked"]["achieved"][""][2]), "31 %")
    assert "<mark>masking.unit._target_: maskwright.masking.units.Span</mark>" in report.text
    assert "<mark>rate.value: 0.4</mark>" in report.text and "\noptimizer._target_: " in report.text
    assert not re.search(r"<mark>(seed|cache|trainer)", report.text)


def test_masks_that_move_show_both_ends(make_run):
    folder = make_run("0")
    rows = ["step,rate,achieved_rate,ruler/loss", "10,0.375,0.37,5.0", "20,0.25,0.25,4.9", "30,0.125,0.12,4.8"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    report = Report(folder.parent)
    assert "37.5 % → 12.5 %" in report.text and report.page.cells["masks-table"]["all runs"]["rate"] == ("0.25", "25 %")


def test_the_front_is_what_no_other_arm_beats():
    arms = [
        {"arm": name, "n": 1, "mean": mean, "costs": {"flops": cost}, "group": "A"}
        for name, mean, cost in (("a", 3, 1), ("b", 2, 2), ("c", 2.5, 3), ("d", 1, 4), ("e", 3, 1.5))
    ]
    for better, wanted in (("lower", "abd"), ("higher", "a")):
        assert "".join(arm["arm"] for arm in front({"arms": arms, "metric": {"better": better}}, "flops")) == wanted


def test_curves_end_where_not_all_seeds_go_on(make_run):
    make_run("0", {"seed": 1}, loss=5.0)
    folder = make_run("1", {"seed": 2}, loss=6.0, validations=3)
    curves = learning_curves(compare_runs(find([folder.parent])))
    assert [row["step"] for row in curves.means] == [10, 20, 30] and curves.means[0]["value"] == pytest.approx(6.5)
    assert len(curves.rows) == 7


def test_secrets_of_a_config_do_not_reach_the_page(make_run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-very-secret-token")
    folder = make_run("0", {"cache": "/x/a-very-secret-token", "seed": 1})
    make_run("1", {"seed": 2}, state="failed", error="401 for a-very-secret-token")
    report = Report(folder.parent)
    for file in report.out.iterdir():
        assert "a-very-secret-token" not in file.read_text(), file


def test_a_run_that_is_alone_has_a_page(make_run):
    report = Report(make_run("0").parent)
    assert report.json["pairs"] == [] and "differences" not in report.page.ids
    assert (report.out / "index.html").exists() and Path(report.out / "arms.csv").exists()


def test_wandb_pages_are_linked(make_run):
    logger = {"_target_": "maskwright.tracking.loggers.Wandb", "project": "p", "entity": "me"}
    online, offline, told = (make_run(str(n), {"logger": logger, "seed": n}) for n in range(3))
    for folder, below in ((online, "run-1"), (offline, "offline-run-1"), (told, "offline-run-1")):
        (folder / "wandb" / below).mkdir(parents=True)
        (folder / "wandb.json").write_text(
            json.dumps({"id": "abc", "group": None} | ({"url": "https://w/x"} if folder is told else {}))
        )
    report = Report(online.parent)
    assert [run["wandb"] for run in report.json["runs"]] == ["https://wandb.ai/me/p/runs/abc", None, "https://w/x"]
    assert "https://wandb.ai/me/p/runs/abc" in report.page.links
