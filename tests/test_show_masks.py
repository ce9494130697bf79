"""What show_masks prints is what the masks are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from rich.console import Console

from maskwright.errors import RecipeError
from maskwright.seeing.command import show

CONF = Path(__file__).parents[1] / "conf"
OUTCOMES = (
    "masked", "random", "kept", "similar", "moved", "replaced", "removed", "infilled", "sentinel", "inserted"
)  # fmt: skip


@pytest.fixture
def shown(compose, capsys):
    """`shown("masking=span")`: the JSON document that is printed."""

    def told(*overrides, **more):
        document = show(*compose(*overrides, "show.json=true", config="show_masks"), **more)
        printed = json.loads(capsys.readouterr().out)
        assert printed == document
        return printed

    return told


def test_the_json_document_adds_up(shown):
    found = shown(
        "masking=span", "corruption=bert", "rate.value=0.4", "show.rows=50", "show.statistics_rows=50"
    )  # fmt: skip
    assert list(found) == ["recipe", "progress", "refused", "views"] and found["refused"] is None
    document = found["views"]["main"]
    tokens = [token for row in document["examples"] for token in row]
    masked = [token for token in tokens if token["outcome"] != "visible"]
    ordinary = [token for token in tokens if token["token"] not in ("[CLS]", "[SEP]", "[UNK]")]
    assert document["achieved_rate"] == pytest.approx(len(masked) / len(ordinary))
    assert document["predicted_rate"] == pytest.approx(sum(token["predicted"] for token in tokens) / len(ordinary))
    assert tuple(document["outcomes"]) == OUTCOMES
    for name, share in document["outcomes"].items():
        assert share == pytest.approx(sum(token["outcome"] == name for token in masked) / len(masked))
    for key in ("units_by_tokens", "runs_by_tokens"):
        lengths = document[key]
        if not any(length.startswith(">") for length in lengths):
            assert sum(int(length) * count for length, count in lengths.items()) == len(masked)
    assert sum(document["units_by_words"].values()) == document["units"]
    assert document["units"] * document["mean_unit_tokens"] == pytest.approx(len(masked))
    for classes in document["masked_by"].values():
        assert sum(one["tokens"] for one in classes) == len(ordinary)
        assert sum(one["masked"] for one in classes) == len(masked)
    assert all(token["shown"] == "[MASK]" for token in masked if token["outcome"] == "masked")
    assert all(token["shown"] == token["token"] for token in tokens if token["outcome"] in ("visible", "kept"))
    for row, reads in zip(document["examples"], document["reads"]):
        assert [token["token"] for token in reads] == [token["shown"] for token in row]


def test_what_is_removed_has_no_place(shown):
    document = shown("corruption=mask_and_delete", "show.rows=20", "show.statistics_rows=20")["views"]["main"]
    for row, reads in zip(document["examples"], document["reads"]):
        kept = [token["shown"] for token in row if token["shown"] is not None]
        assert [token["token"] for token in reads] == kept
        assert [token["shown"] is None for token in row] == [token["outcome"] == "removed" for token in row]


def test_copies_are_views_with_disjoint_masks(shown):
    views = shown("rate.value=0.2", "prediction=share", "prediction.value=0.5", "show.rows=9")["views"]
    assert list(views) == ["main", "main+1", "main+2"]
    assert sum(view["predicted_rate"] for view in views.values()) == pytest.approx(0.5, abs=0.03)
    for rows in zip(*(view["examples"] for view in views.values())):
        taken = [{number for number, token in enumerate(row) if token["outcome"] != "visible"} for row in rows]
        assert not taken[0] & taken[1] and not taken[1] & taken[2] and not taken[0] & taken[2]


def test_policies_are_masked_on_the_same_rows(compose, small_options, capsys):
    written = ["masking=random rate.value=0.2", "masking=span rate.value=0.4", ""]
    listed = ",".join(f"'{policy}'" for policy in written)
    cfg, choices = compose(f"show.policies=[{listed}]", "show.rows=5", "show.json=true", config="show_masks")
    with initialize_config_dir(str(CONF), version_base="1.3"):  # as it is under the entry
        found = show(cfg, choices, overrides=[*small_options, "corruption=bert"])
    assert json.loads(capsys.readouterr().out) == found and list(found) == ["progress", "policies"]
    policies = found["policies"]
    assert [each["policy"] for each in policies] == written
    views = [each["views"]["main"] for each in policies]
    assert [view["rate"] for view in views] == pytest.approx([0.2, 0.4, 0.3])
    rows = [[[token["token"] for token in row] for row in view["examples"]] for view in views]
    assert rows[0] == rows[1] == rows[2] and views[0]["samples"] == views[1]["samples"]
    assert all(view["outcomes"]["kept"] > 0 for view in views)


def screen(compose, *overrides, terminal=False, width=100):
    cfg, choices = compose(*overrides, config="show_masks")
    console = Console(record=True, width=width, force_terminal=terminal)
    told = show(cfg, choices, console)
    return console.export_text(), told


@pytest.mark.parametrize("terminal", [True, False])
def test_the_screen_shows_rows_and_statistics(terminal, compose):
    text, told = screen(compose, "rate.value=0.4", "show.rows=2", terminal=terminal, width=90)
    figures = told["views"]["main"]
    assert f"{100 * figures['achieved_rate']:.2f}% over" in text
    assert re.search(r"rate asked for +40\.00%", text)
    rows = text.split("rate asked")[0].replace("[CLS]", "").replace("[SEP]", "").replace("[UNK]", "")
    assert ("[" in rows) != terminal


def test_only_outcomes_that_occur_are_listed(compose):
    text, _ = screen(compose, "corruption=bert")
    said = {name for name in OUTCOMES if re.search(rf"\b{name}\b", text.split("rate asked")[1].split("units,")[0])}
    assert said == {"masked", "random", "kept"}
    assert "[masked]  <random>  =kept=\n" in text


def test_brackets_hold_a_whole_unit(compose):
    """Where there are no colours, what stands in brackets is one unit."""
    text, told = screen(compose, "masking=span", "rate.value=0.3", "show.rows=8", width=100_000)
    rows = [line for line in text.splitlines() if line.startswith("[CLS]")]
    assert len(rows) == 8
    for line, tokens in zip(rows, told["views"]["main"]["examples"]):
        begun, before = 0, None
        for place, token in enumerate(tokens):
            key = None if token["outcome"] == "visible" else token["unit"]
            begun += key is not None and not (place and key == before)
            before = key
        assert len(re.findall(r"\[(?!CLS\]|SEP\]|UNK\]|PAD\])", line)) == begun


def test_what_the_network_reads_is_shown_where_lengths_change(compose):
    text, told = screen(compose, "corruption=mask_and_delete", "rate.value=0.4", "show.rows=1", width=10_000)
    reads = next(line for line in text.splitlines() if line.startswith("reads:"))
    assert reads.count("[MASK]") == sum(t["token"] == "[MASK]" for t in told["views"]["main"]["reads"][0])
    figures = told["views"]["main"]
    assert f"{figures['read_per_row']:.1f} tokens of {figures['tokens_per_row']:.1f}" in text
    assert f"{100 * figures['predicted_rate']:.2f}%" in text.split("predicted")[1].splitlines()[0]
    assert "reads:" not in screen(compose, "show.rows=1")[0]


def test_what_is_not_predicted_is_marked(compose):
    text, told = screen(
        compose, "rate.value=0.4", "prediction=share", "prediction.value=0.2", "show.rows=3", width=10_000
    )
    tokens = [token for row in told["views"]["main"]["examples"] for token in row]
    left = sum(token["outcome"] != "visible" and not token["predicted"] for token in tokens)
    assert text.split("° not predicted")[0].count("°") == left > 0


def test_the_page_is_written_and_named(compose, tmp_path, capsys):
    place = tmp_path / "deep" / "masks.html"
    told = show(*compose("show.rows=2", f"show.html={place}", config="show_masks"))
    assert place.read_text().count("<article") == 2
    assert f"page: {place}" in capsys.readouterr().out
    show(*compose(f"show.html={place}", "show.json=true", config="show_masks"))
    printed = capsys.readouterr()
    assert f"page: {place}" in printed.err and json.loads(printed.out)["recipe"] == told["recipe"]


def test_mistakes_are_named(compose):
    for override, said in {
        "rate.value=1.2": "rate.value is 1.2; a masking rate lies between 0 and 1.",
        "show.progress=3": "show.progress is 3; it is a share of training between 0 and 1.",
        "show.rows=0": "show.rows is 0; give a whole number from 1 up.",
        "objective=clm": "objective=clm masks nothing",
        "show.html=7": "show.html is 7; give a text or null",
        "show.policies=7": "show.policies is 7; give a text, a list of texts, or null",
        "show.policies=[1,2]": "show.policies is [1, 2]; give a text, a list of texts, or null",
        "masking/weight=given": "given by a network inside the step",
    }.items():
        with pytest.raises(RecipeError, match=re.escape(said)):
            show(*compose(override, config="show_masks"))
