"""The page: one HTML file that holds all it shows (rows, charts, styles, script) and asks the network for nothing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from maskwright.errors import RecipeError
from maskwright.masking import Outcome
from maskwright.seeing import charts, text_html
from maskwright.seeing.figures import LONGEST
from maskwright.seeing.outcomes import LOOKS, said
from maskwright.seeing.over_training import moves
from maskwright.seeing.pieces import Reader
from maskwright.seeing.seen import Seen, document
from maskwright.seeing.shares import FREQUENCY
from maskwright.tracking.secrets import without_secrets
from maskwright.tracking.writing import write_text

_MOST_TOKENS = 16_000  # in the sample rows, so that the page stays at a few megabytes
_MARGIN = 0.01  # of a rate, beside the rows
_TITLES = {
    FREQUENCY: "Rank of the token by its frequency in the training text",
    "own weight": "Weight",
    "own rate": "Rate of its own",
}


def write(found: Sequence[Seen], place: Path, overrides: Sequence[str] = ()) -> Path:
    """Write the page to `place`. Raises RecipeError where no file can be written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("maskwright.seeing", "assets"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    assets = resources("maskwright.seeing") / "assets"
    told = json.dumps(document(found, examples=False), ensure_ascii=False, allow_nan=False)
    text = environment.get_template("page.html").render(
        found=found,
        looks=list({id(each.look): each.look for each in found}.values()),
        samples=_samples(found, Markup),
        legend=[(said(o), LOOKS[o].says) for o in Outcome if o and _occurs(found, o)],
        unpredicted=any(abs(e.figures["predicted_rate"] - _in_place(e)) > 1e-9 for e in found),
        outlined=sorted({name for each in found if (name := text_html.outlined(each)) is not None}),
        steered=[each for each in found if each.steering is not None],
        lengths=[(title, _drawn(part, Markup)) for title, part in _lengths(found)],
        rates=_drawn(_rates(found), Markup),
        moving=_drawn(_moving(found), Markup),
        staged=_drawn(_staged(found), Markup),
        classes=_classes(found),
        command=" ".join(["python show_masks.py", *(shlex.quote(w) for w in without_secrets(list(overrides)))]),
        # `</` would end the script element that holds the text
        figures=Markup(told.replace("</", "<\\/")),
        style=Markup((assets / "page.css").read_text(encoding="utf-8") + _colours()),
        script=Markup((assets / "page.js").read_text(encoding="utf-8")),
    )
    try:
        write_text(place, text)
    except OSError as error:
        raise RecipeError(f"show.html={place} cannot be written ({error.strerror}); name another file.") from None
    return place.resolve()


def _colours() -> str:
    """Each outcome's ground and ink, in light and dark."""

    def rules(of: str) -> str:
        return "".join(
            f"--{said(o)}:{getattr(look, of)[0]};--{said(o)}-ink:{getattr(look, of)[1]};" for o, look in LOOKS.items()
        )

    uses = "".join(
        f".{said(o)}{{--own:var(--{said(o)});background:var(--own);color:var(--{said(o)}-ink)}}" for o in LOOKS
    )
    dark = rules("dark")
    return (
        f":root{{{rules('light')}}}@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}{uses}"
    )


def _occurs(found: Iterable[Seen], outcome: Outcome) -> bool:
    return any(each.figures["outcomes"][said(outcome)] for each in found)


def _in_place(each: Seen) -> float:
    """The share of tokens that are selected and have a place."""
    kept = sum(each.figures["outcomes"][said(o)] for o in Outcome if o and o.in_place)
    return each.figures["achieved_rate"] * kept


def _samples(found: Sequence[Seen], mark: Any) -> dict[str, Any]:
    """The sample rows, each under all policies, as many as keep the page small."""
    readers = {id(each.look): Reader(each.look.prepared.tokenizer) for each in found}
    rows: list[dict[str, Any]] = []
    size, number = 0, len(found[0].rows)
    for at in range(number):
        size += sum(len(each.rows[at].tokens) for each in found)
        if rows and size > _MOST_TOKENS:
            break
        texts = [
            {
                "each": each,
                "clean": mark(text_html.clean(each, each.rows[at], readers[id(each.look)])),
                "reads": mark(text_html.reads(each.rows[at], readers[id(each.look)])),
            }
            for each in found
        ]
        rows.append({"number": at + 1, "sample": found[0].rows[at].sample, "texts": texts})
    return {"rows": rows, "left": number - len(rows)}


def _drawn(part: Sequence[tuple[Seen, str]], mark: Any) -> list[tuple[str, Any]]:
    return [(each.label, mark(svg)) for each, svg in part]


def _lengths(found: Sequence[Seen]) -> list[tuple[str, list[tuple[Seen, str]]]]:
    """Charts of units and runs by length."""
    drawn = []
    for title, key, unit in (
        ("Units, in tokens", "units_by_tokens", "units"),
        ("Units, in words that they touch", "units_by_words", "units"),
        ("Runs of masked neighbours, in tokens", "runs_by_tokens", "runs"),
    ):
        having = [each for each in found if each.figures[key]]
        if not having or (key == "units_by_words" and all(set(each.figures[key]) == {"1"} for each in having)):
            continue
        most = max(max(counts.values()) / sum(counts.values()) for counts in (each.figures[key] for each in having))
        known = {length for each in having for length in each.figures[key]}
        cut = any(length.startswith(">") for length in known)
        longest = LONGEST if cut else max(map(int, known))
        lengths = [*map(str, range(1, longest + 1)), *([f">{LONGEST}"] if cut else [])]
        drawn.append((title, [(each, charts.bars(each.figures[key], lengths, most, unit)) for each in having]))
    return drawn


def _rates(found: Sequence[Seen]) -> list[tuple[Seen, str]]:
    """Charts of rows by the rate achieved in them, each around its own rate."""
    bins = [each.figures["rows_by_achieved_rate"] for each in found]
    most = max(max(b["achieved"]) / max(sum(b["achieved"]), 1) for b in bins)
    drawn = []
    for each, own in zip(found, bins):
        line = None if _varies(each) else each.figures["rate"]
        ends = [own["edges"][0], own["edges"][-1], *([] if line is None else [line])]
        span = (max(0.0, min(ends) - _MARGIN), min(1.0, max(ends) + _MARGIN))
        drawn.append((each, charts.histogram(own["edges"], own["achieved"], own["asked"], line, most, span)))
    return drawn


def _varies(each: Seen) -> bool:
    """Whether rows are asked for different rates."""
    spread = each.figures["rate_by_row"]
    return spread["most"] - spread["least"] > 1e-9


def _moving(found: Sequence[Seen]) -> list[tuple[Seen, str]]:
    """Charts of the rate over training, if it moves anywhere."""
    keys = {"rate": "asked for", "achieved_rate": "achieved"}
    if not any(moves(each.figures["over_training"]) for each in found):
        return []
    most = max(point[key] for each in found for point in each.figures["over_training"] for key in keys)
    return [(each, charts.lines(each.figures["over_training"], keys, 1.05 * most, share=True)) for each in found]


def _staged(found: Sequence[Seen]) -> list[tuple[Seen, str]]:
    """Charts of the size of units over training, where the rate stays and they change: other units take over."""
    key = "mean_unit_tokens"
    changing = [
        each for each in found if moves(each.figures["over_training"], key) and not moves(each.figures["over_training"])
    ]
    most = max((point[key] for each in changing for point in each.figures["over_training"]), default=1.0)
    named = {key: "mean tokens of a unit"}
    return [(each, charts.lines(each.figures["over_training"], named, 1.05 * most, share=False)) for each in changing]


def _classes(found: Sequence[Seen]) -> list[dict[str, Any]]:
    """Tables of the masked share by class, a column for each recipe that has the classes."""
    tables = []
    for name in dict.fromkeys(name for each in found for name in each.figures["masked_by"]):
        having = [each for each in found if name in each.figures["masked_by"]]
        # A weight's bands are each recipe's own; other classes are the same for all.
        for part in [[each] for each in having] if name.startswith("own ") else [having]:
            tables.append(_table(name, part, len(found) > 1))
    return tables


def _table(name: str, having: Sequence[Seen], several: bool) -> dict[str, Any]:
    shown = [{one["class"]: one for one in each.figures["masked_by"][name]} for each in having]
    order = list(dict.fromkeys(kind for by in shown for kind in by))
    most = max((one["share"] for by in shown for one in by.values()), default=0.0) or 1.0
    rows = [{"class": kind, "cells": [by.get(kind) for by in shown]} for kind in order]
    title = _TITLES.get(name, f"Class of the column {name}")
    labels = [each.label for each in having]
    steering = having[0].steering
    if name.startswith("own ") and steering is not None:
        title = f"{title}: {steering.says}" + (f", {labels[0]}" if several else "")
    means = [each.figures["achieved_rate"] for each in having]
    return {"name": name, "title": title, "labels": labels, "rows": rows, "most": most, "means": means}
