"""The screen: exact wording, 80 columns, nothing but text in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from maskwright.tracking.console import (
    compact,
    duration,
    next_commands,
    percent,
    recipe_line,
    run_name,
    show_next,
    summary,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"), (950, "950"), (999.6, "1.0k"), (4_200_000, "4.2M"), (25_140, "25.1k"), (99_940, "99.9k"),
        (850_000, "850k"), (999_600, "1.0M"), (1.5e9, "1.5B"), (3e12, "3.0T"),
    ],
)  # fmt: skip
def test_compact(count, text):
    assert compact(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (40.4, "40 s"), (89.4, "89 s"), (91, "2 min"), (240, "4 min"), (3590, "1 h"), (4800, "1 h 20 min"),
        (7200, "2 h"), (60 * 3600, "2 days 12 h"), (72 * 3600, "3 days"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_the_recipe_line_reads_as_promised():
    line = recipe_line("bert_tiny", 4_200_000, "mlm", "span 30% -> 15%", "sotu", 2_700_000, "cpu bf16", 1500, 240)
    assert line == "bert_tiny 4.2M - mlm - span 30% -> 15% - sotu 2.7M tokens - cpu bf16 - 1,500 steps, about 4 min"
    causal = recipe_line("llama_tiny", 850_000, "clm", "", "sotu", 2_700_000, "cpu", 20)
    assert causal == "llama_tiny 850k - clm - sotu 2.7M tokens - cpu - 20 steps"
    assert percent(0.125) == "12.5%"
    assert run_name("m", "mlm", "", "sotu", 0) == "m mlm sotu seed 0"


def screen(width=80, terminal=False):
    return Console(file=io.StringIO(), width=width, force_terminal=terminal)


def test_the_summary_fits_80_columns_and_says_why_a_number_is_missing():
    console = screen()
    metrics = {
        "ruler/accuracy": None, "ruler/loss": None, "ruler/reason": "a discriminator fills nothing in",
        "speed/masking_share": None, "speed/masking_share/reason": "no step was timed",
        "generator/ruler/loss": 4.25,
        "speed/mfu": 0.1234, "speed/data_wait": 0.004, "flops": 1.25e15, "seconds": 242.0, "steps": 1500,
        "tokens": 6_144_000, "speed/tokens_per_second": 25_140.0,
    }  # fmt: skip
    summary(metrics, "outputs/[odd] run", ["W&B offline: wandb sync x"], console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text
    for words in (
        "a discriminator fills nothing in", "no step was timed", "4.2500", "12.3%", "0.4%", "1.25e+15", "25.1k",
        "4 min", "1,500 steps, 6.1M tokens", "outputs/[odd] run", "wandb sync x",
    ):  # fmt: skip
        assert words in text
    assert text.count("a discriminator fills nothing in") == 1  # for all numbers that it explains


def test_commands_are_never_wrapped():
    console = screen(width=40)
    commands = next_commands("outputs/run", "great [MASK]", [("resume", "python train.py " + "a=1 " * 30)])
    show_next(commands, console)
    lines = console.file.getvalue().splitlines()
    for _, command in commands:
        assert f"  {command.rstrip()}" in [line.rstrip() for line in lines]
    asked = "from transformers import pipeline; print(pipeline('fill-mask', 'outputs/run/export')('great [MASK]')[0])"
    assert commands[0][1] == f'python -c "{asked}"'
    own = next_commands("outputs/run", "great [MASK]", own=True)
    assert own[0][1] == f'python -c "import maskwright; {asked}"'
