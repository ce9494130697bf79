"""The report: one HTML page that holds all it shows (figures, script, styles) and works without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from maskwright.comparison import words
from maskwright.comparison.comparison import Comparison
from maskwright.comparison.curves import learning_curves
from maskwright.comparison.differences import ABSENT, flat, is_aside, shown
from maskwright.comparison.figures.costs import AXES, curves, pareto
from maskwright.comparison.figures.evaluations import suite, suites
from maskwright.comparison.figures.forest import differences, ranking
from maskwright.comparison.figures.grids import matrix, settings
from maskwright.comparison.figures.looks import Looks, measured, places
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text


def write(report: Mapping[str, Any], result: Comparison, out: Path) -> Path:
    """index.html in `out`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("maskwright.comparison", "assets"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"words": words}
    drawn, choices = _figures(report, result)
    assets = resources("maskwright.comparison") / "assets"
    text = environment.get_template("page.html").render(
        report=report,
        title=_title(report, out),
        places=places(report),
        drawn=drawn,
        choices=choices,
        recipes=_recipes(result),
        left_out=[run for run in report["runs"] if run["state"] != "finished"],
        # `</` would end the script element that holds the text
        figures=json.dumps(drawn).replace("</", "<\\/"),
        style=(assets / "page.css").read_text(encoding="utf-8"),
        script=(assets / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
    )
    write_text(out / "index.html", text)
    return out / "index.html"


def _title(report: Mapping[str, Any], out: Path) -> str:
    folder = out.resolve()
    return folder.parent.name if folder.name == "comparison" else folder.name


def _figures(report: Mapping[str, Any], result: Comparison) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The figures by name, and for each place of the page the choices (figure -> what its button says)."""
    looks, logged = Looks(report), learning_curves(result)
    drawn = {"ranking": ranking(report, looks), "differences": differences(report, looks), "matrix": matrix(report)}
    choices: dict[str, dict[str, str]] = {"curves": {}, "heat": {}, "pareto": {}, "evaluations": {}}

    def add(place: str, name: str, says: str, figure: Any) -> None:
        drawn[name], choices[place][name] = figure, says

    for axis, says in AXES.items():
        if any(row[axis] is not None for row in logged.means):
            add("curves", f"curves-{axis}", says, curves(logged, axis, looks))
    for x_key, y_key in _keys(report):
        add("heat", f"heat-{x_key}-{y_key}", f"{x_key} × {y_key}", settings(report, x_key, y_key))
    for axis in ("flops", "seconds"):
        if any(arm["costs"].get(axis) for arm in measured(report)):
            add("pareto", f"pareto-{axis}", AXES[axis], pareto(report, axis, looks))
    for name, numbers in suites(report).items():
        add("evaluations", name, name.removeprefix("evaluation/"), suite(report, numbers, looks))
    return {name: json.loads(figure.to_json()) for name, figure in drawn.items() if figure is not None}, choices


def _keys(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The pairs of settings that have a heat map, rate by masking first."""
    pairs = list(dict.fromkeys((cell["x_key"], cell["y_key"]) for cell in report["cells"]))
    return sorted(pairs, key=lambda pair: {key.split(".")[0] for key in pair} != {"masking", "rate"})


def _recipes(result: Comparison) -> list[dict[str, Any]]:
    """Each arm's whole config as dotted lines, and which of them differ between arms."""
    shown_of: list[tuple[str, str | None, dict[str, Any]]] = []
    for arm in result.arms:
        own = [entry for entry in result.entries if entry.arm == arm.arm and entry.run.config is not None]
        entry = next((entry for entry in own if entry.counted), own[0] if own else None)
        config = flat(without_secrets(entry.run.config)) if entry is not None else {}
        shown_of.append((arm.arm, entry.name if entry else None, config))
    known = [config for _, _, config in shown_of if config]
    keys = dict.fromkeys(key for config in known for key in config)
    differing = [
        key
        for key in keys
        if not is_aside(key, result.options.ignore) and len({repr(config.get(key, ABSENT)) for config in known}) > 1
    ]
    return [
        {
            "arm": arm,
            "run": run,
            "lines": [(key, shown(value), key in differing) for key, value in config.items()],
            "differing": [(key, shown(config.get(key, ABSENT), key)) for key in differing] if config else [],
        }
        for arm, run, config in shown_of
    ]
