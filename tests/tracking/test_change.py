"""Before -> after: which figures stand beside each other, and where a plain word is due."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from maskwright.tracking.change import pairs, verdict
from maskwright.tracking.console import measured, summary

BETTER = {"ruler/loss": 3.5, "ruler/accuracy": 0.4, "before/ruler/loss": 4.0, "before/ruler/accuracy": 0.3}
WORSE = {"ruler/loss": 4.25, "before/ruler/loss": 4.0, "heldout/mlm": 5.0, "before/heldout/mlm": 4.0}


def test_pairs_need_both_figures():
    figures = BETTER | {"before/heldout/mlm": 4.0, "steps": 6, "generator/ruler/loss": None}
    assert pairs(figures) == {"ruler/loss": (4.0, 3.5), "ruler/accuracy": (0.3, 0.4)}
    assert pairs({"ruler/loss": 3.5}) == {}


def test_only_a_loss_that_rose_gets_a_word():
    assert verdict(BETTER) == []
    (word,) = verdict(WORSE)
    assert word.startswith("ruler/loss rose from 4.0000 to 4.2500: on this text the network is worse")
    # without a ruler the objective's own loss decides; accuracies fall and rise with no word
    own = {"heldout/classify": 0.7, "before/heldout/classify": 0.6, "heldout/accuracy/classify": 0.9,
           "before/heldout/accuracy/classify": 0.5}  # fmt: skip
    (word,) = verdict(own)
    assert word.startswith("heldout/classify rose from 0.6000 to 0.7000")
    # a discriminator's loss rises as its generator gets better: there the generator's ruler decides
    electra = {"generator/ruler/loss": 3.0, "before/generator/ruler/loss": 4.0, "heldout/detector": 0.4,
               "before/heldout/detector": 0.3}  # fmt: skip
    assert verdict(electra) == []


def test_the_screen_shows_both_and_says_what_got_worse():
    def shown(metrics) -> str:
        out = StringIO()
        summary(metrics, "outputs/a", console=Console(file=out, width=200))
        return out.getvalue()

    assert "4.0000 -> 3.5000" in shown(BETTER) and "0.3000 -> 0.4000" in shown(BETTER)
    assert "note:" not in shown(BETTER) and "before/" not in shown(BETTER)
    assert "note: ruler/loss rose from 4.0000 to 4.2500" in shown(WORSE)
    assert "->" not in shown({"ruler/loss": 3.5})


def test_a_measurement_in_words():
    figures = {"heldout/mlm": 4.1, "ruler/loss": 4.0, "ruler/accuracy": 0.3, "ruler/bits_per_byte": 2.0}
    assert measured(figures) == "ruler/loss 4.0000, ruler/accuracy 0.3000, heldout/mlm 4.1000"
