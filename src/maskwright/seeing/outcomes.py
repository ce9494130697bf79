"""How each outcome looks: on a terminal, in plain text, and on a page in light and dark."""

from __future__ import annotations

from typing import NamedTuple

from maskwright.masking import Outcome

Colours = tuple[str, str]  # of the ground and of the ink on it


class Look(NamedTuple):
    """style: rich's. mark: where there are no colours. light, dark: of the page. says: what the outcome means."""

    style: str
    mark: str
    light: Colours
    dark: Colours
    says: str


LOOKS = {
    Outcome.MASKED: Look(
        "bold white on red", "[{}]", ("#b3261e", "#ffffff"), ("#ff8a80", "#1d1012"), "shown as [MASK]"
    ),
    Outcome.RANDOM: Look(
        "bold black on yellow", "<{}>", ("#f2b705", "#1d1a10"), ("#ffd95e", "#1d1a10"), "shown as a random token"
    ),
    Outcome.KEPT: Look(
        "bold black on green", "={}=", ("#1b7a4b", "#ffffff"), ("#6fcf97", "#0e1a13"), "selected, yet shown as it is"
    ),
    Outcome.SIMILAR: Look(
        "bold black on cyan", "~{}~", ("#0b7285", "#ffffff"), ("#67d5f0", "#0d181b"), "shown as a similar word"
    ),
    Outcome.MOVED: Look(
        "bold white on blue", "%{}%", ("#2f55c8", "#ffffff"), ("#9db2ff", "#10131d"), "shows the token of another place"
    ),
    Outcome.REPLACED: Look(
        "bold white on magenta", "@{}@", ("#93348b", "#ffffff"), ("#f0a3ea", "#1c101b"), "another word or entity"
    ),
    Outcome.REMOVED: Look(
        "strike dim", "-{}-", ("#d9d9d3", "#4a4d55"), ("#3a3e46", "#c3c8d2"), "left out, nothing in its place"
    ),
    Outcome.INFILLED: Look(
        "bold white on dark_red", "[{}...]", ("#7a2e12", "#ffffff"), ("#ffb499", "#1d120d"), "one [MASK] for its unit"
    ),
    Outcome.SENTINEL: Look(
        "bold black on bright_white", "#{}#", ("#2a2e35", "#ffffff"), ("#eeeee8", "#14161a"), "a sentinel for its unit"
    ),
    Outcome.INSERTED: Look(
        "underline", "+{}", ("#6741b8", "#ffffff"), ("#c8b6ff", "#14101d"), "stays, behind an inserted token"
    ),
}
UNPREDICTED = "°"  # behind what is selected but not predicted, though it has a place


def said(outcome: Outcome) -> str:
    """Its name."""
    return outcome.name.lower()
