"""Colours that can be read, in light and dark, and marks that tell outcomes apart without colours."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from maskwright.masking import Outcome
from maskwright.seeing.outcomes import LOOKS, said

PAGE = {"light": "#ffffff", "dark": "#1a1d22"}


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("outcome", LOOKS, ids=said)
def test_text_on_an_outcome_can_be_read(outcome, theme):
    ground, ink = getattr(LOOKS[outcome], theme)
    assert contrast(ground, ink) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_of_the_page_can_be_read(theme):
    style = (files("maskwright.seeing") / "assets" / "page.css").read_text()
    block = style[style.index(":root {") if theme == "light" else style.index(":root[data-theme=dark]") :]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block[: block.index("}")]))
    colours = {
        name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:]) for name, value in colours.items()
    }
    assert colours["card"] == PAGE[theme]
    for name in ("ink", "quiet"):
        for ground in ("back", "card", "soft"):
            assert contrast(colours[name], colours[ground]) >= 4.5
    assert contrast(colours["warn"], colours["warn-back"]) >= 4.5
    for name in ("bar", "asked"):
        assert contrast(colours[name], colours["card"]) >= 3
    # text on the strongest shade, 75 % of it over the card
    shade = [
        round(0.75 * int(colours["shade"][at : at + 2], 16) + 0.25 * int(colours["card"][at : at + 2], 16))
        for at in (1, 3, 5)
    ]
    assert contrast(colours["ink"], "#" + "".join(f"{part:02x}" for part in shade)) >= 4.5


def test_every_outcome_has_a_look_of_its_own():
    assert set(LOOKS) == {outcome for outcome in Outcome if outcome}
    for theme in ("light", "dark"):
        assert len({getattr(look, theme)[0] for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.mark for look in LOOKS.values()}) == len({look.says for look in LOOKS.values()}) == len(LOOKS)
    assert all("{}" in look.mark for look in LOOKS.values())
