"""What show_masks prints is what the masks are."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from maskwright.errors import RecipeError
from maskwright.training.masks import show


def test_the_json_document_adds_up(compose, capsys):
    cfg, choices = compose(
        "masking=span",
        "corruption=bert",
        "rate.value=0.4",
        "show.json=true",
        "show.rows=50",
        "show.statistics_rows=50",
        config="show_masks",
    )
    figures = show(cfg, choices)["main"]
    document = json.loads(capsys.readouterr().out)["views"]["main"]
    tokens = [token for row in document["examples"] for token in row]
    masked = [token for token in tokens if token["outcome"] != "visible"]
    ordinary = [token for token in tokens if token["token"] not in ("[CLS]", "[SEP]", "[UNK]")]
    assert document["achieved_rate"] == figures["achieved_rate"] == pytest.approx(len(masked) / len(ordinary))
    for name, share in document["outcomes"].items():
        assert share == pytest.approx(sum(token["outcome"] == name for token in masked) / len(masked))
    for key in ("units_by_tokens", "runs_by_tokens"):
        lengths = document[key]
        if not any(length.startswith(">") for length in lengths):
            assert sum(int(length) * count for length, count in lengths.items()) == len(masked)
    assert all(token["shown"] == "[MASK]" for token in masked if token["outcome"] == "masked")
    assert all(token["shown"] == token["token"] for token in tokens if token["outcome"] in ("visible", "kept"))


@pytest.mark.parametrize("terminal", [True, False])
def test_the_screen_shows_rows_and_statistics(terminal, compose):
    cfg, choices = compose("rate.value=0.4", "show.rows=2", config="show_masks")
    console = Console(record=True, width=90, force_terminal=terminal)
    figures = show(cfg, choices, console)["main"]
    text = console.export_text()
    assert f"{100 * figures['achieved_rate']:.2f}% over" in text and "rate asked for    40.00%" in text
    assert (
        "[" in text.split("rate asked")[0].replace("[CLS]", "").replace("[SEP]", "").replace("[UNK]", "")
    ) != terminal


def test_mistakes_are_named(compose):
    with pytest.raises(RecipeError, match="rate.value is 1.2; a masking rate lies between 0 and 1."):
        show(*compose("rate.value=1.2", config="show_masks"))
    with pytest.raises(RecipeError, match="show.progress is 3; it is a share of training between 0 and 1."):
        show(*compose("show.progress=3", config="show_masks"))
    with pytest.raises(RecipeError, match="objective=clm masks nothing"):
        show(*compose("objective=clm", config="show_masks"))
