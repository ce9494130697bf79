"""Looks at small recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="session")
def look_at(compose):
    """`look_at("masking=span", rows=40)`: the first rows of a small recipe and its masks."""
    from maskwright.seeing.look import look
    from maskwright.seeing.recipes import Composed

    def looked(*overrides, rows=40, progress=0.0):
        return look([Composed("", *compose(*overrides, config="show_masks"))], rows, progress)[0]

    return looked


@pytest.fixture
def hydra():
    """Hydra initialised, as it is under an entry."""
    from hydra import initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.fixture(scope="session")
def strata(tmp_path_factory):
    """Overrides of a rate for each of two lists of words and for the others."""
    folder = tmp_path_factory.mktemp("strata")
    (folder / "stop.txt").write_text("the\nof\nand\nto\na\nin\n")
    (folder / "easy.txt").write_text("is\nthat\nwhich\nhave\nbe\nit\nfor\nby\n")
    return [
        "rate=by_stratum",
        f"rate.column.strata.stop={folder / 'stop.txt'}",
        f"rate.column.strata.easy={folder / 'easy.txt'}",
        "rate.rates.stop=0.1",
        "rate.rates.easy=0.5",
        "rate.other=0.3",
        "masking=whole_word",
        "masking/budget=expected",
    ]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Overrides of a weight by token."""
    file = tmp_path_factory.mktemp("weights") / "weights.json"
    file.write_text('{"the": 0.5, "of": 0.25, ",": 4.0, ".": 8.0}')
    return ["masking/weight=table", f"masking.weight.file={file}", "masking.weight.other=1.0"]
