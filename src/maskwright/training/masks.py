"""Masks made visible: real rows with their outcomes, and statistics over many rows.

Shapes: B rows, L positions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from maskwright.data.module import usable
from maskwright.data.order import permutation
from maskwright.errors import RecipeError
from maskwright.masking import Outcome, View
from maskwright.training.recipe import assemble

LONGEST = 12  # units and runs longer than this share one line of the statistics
STYLES = {
    Outcome.MASKED: "bold white on red",
    Outcome.RANDOM: "bold black on yellow",
    Outcome.KEPT: "bold black on green",
    Outcome.SIMILAR: "bold black on cyan",
    Outcome.MOVED: "bold white on blue",
    Outcome.REPLACED: "bold white on magenta",
    Outcome.REMOVED: "strike dim",
    Outcome.INFILLED: "bold white on dark_red",
    Outcome.SENTINEL: "bold black on bright_white",
    Outcome.INSERTED: "underline",
}
MARKS = {
    Outcome.MASKED: "[{}]",
    Outcome.RANDOM: "<{}>",
    Outcome.KEPT: "={}=",
    Outcome.SIMILAR: "~{}~",
    Outcome.MOVED: "%{}%",
    Outcome.REPLACED: "@{}@",
    Outcome.REMOVED: "-{}-",
    Outcome.INFILLED: "[{}...]",
    Outcome.SENTINEL: "#{}#",
    Outcome.INSERTED: "+{}",
}


def show(cfg: DictConfig, choices: Mapping[str, str], console: Console | None = None) -> dict[str, Any]:
    """Print what the recipe masks in the first training rows; returns the statistics by view.

    Raises RecipeError for what the user can mend.
    """
    console = console or Console(highlight=False)
    if not 0 <= cfg.show.progress <= 1:
        raise RecipeError(f"show.progress is {cfg.show.progress}; it is a share of training between 0 and 1.")
    for key in ("rows", "statistics_rows"):
        if not isinstance(cfg.show[key], int) or cfg.show[key] < 1:
            raise RecipeError(f"show.{key} is {cfg.show[key]}; give a whole number from 1 up.")
    recipe = assemble(cfg, choices)
    if not recipe.views:
        raise RecipeError(f"objective={choices.get('objective')} masks nothing; choose another, such as objective=mlm.")
    prepared = recipe.prepare(cfg)
    views = recipe.bind(prepared, cfg.seeds.masks)
    there = usable(prepared.train, recipe.layout(prepared, views).padded)
    rows = prepared.train.take(permutation(there, cfg.seeds.order, 0)[: cfg.show.statistics_rows])
    rows["visit"] = torch.zeros_like(rows["sample"])
    made = views(rows, cfg.show.progress)
    figures = {name: statistics(view) for name, view in made.items()}
    if cfg.show.json:
        document = {"recipe": recipe.sentence, "progress": cfg.show.progress, "views": {}}
        for name, view in made.items():
            few = view.rows(slice(cfg.show.rows))
            document["views"][name] = {**figures[name], "examples": examples(few, prepared.tokenizer)}
        print(json.dumps(document, ensure_ascii=False, indent=1))
        return figures
    console.print(f"{recipe.sentence}, at {100 * cfg.show.progress:.3g}% of training", style="bold")
    for name, view in made.items():
        if len(made) > 1:
            console.print(f"\nview {name}", style="bold")
        for row in range(min(cfg.show.rows, len(view.ids_BM))):
            console.print()
            console.print(painted(view, row, prepared.tokenizer, plain=not console.is_terminal), soft_wrap=False)
        _legend(console)
        _print_statistics(figures[name], console)
    return figures


def examples(view: View, tokenizer: Any) -> list[list[dict[str, Any]]]:
    """Row by row, each real token: what it is, what is shown, its outcome and where its unit begins."""
    rows = []
    for row in range(len(view.ids_BM)):
        real = view.valid_BM[row].nonzero()[:, 0].tolist()
        clean = tokenizer.convert_ids_to_tokens(view.clean_BL[row, real].tolist())
        shown = tokenizer.convert_ids_to_tokens(view.ids_BM[row, real].tolist())
        outcome, unit = view.outcome_BL[row, real].tolist(), view.unit_BL[row, real].tolist()
        rows.append(
            [
                {"token": c, "shown": s, "outcome": Outcome(o).name.lower(), "unit": u}
                for c, s, o, u in zip(clean, shown, outcome, unit, strict=True)
            ]
        )
    return rows


def painted(view: View, row: int, tokenizer: Any, plain: bool) -> Text:
    """One row of text; hidden words coloured by outcome, or marked by brackets where there are no colours.

    Neighbours of one unit share their colour without a gap, neighbouring units are set apart by a thin bar.
    """
    text = Text()
    special = set(tokenizer.all_special_ids)
    previous: tuple[int, int] | None = None  # unit and outcome of the token before
    for place in view.valid_BM[row].nonzero()[:, 0].tolist():
        token, shown = int(view.clean_BL[row, place]), int(view.ids_BM[row, place])
        outcome, unit = Outcome(int(view.outcome_BL[row, place])), int(view.unit_BL[row, place])
        word, glued = _word(tokenizer, token)
        label = word if outcome != Outcome.RANDOM else f"{word}→{_word(tokenizer, shown)[0]}"
        same = previous == (unit, int(outcome)) and outcome != Outcome.VISIBLE
        if not glued:
            text.append(" ", STYLES.get(outcome) if same and not plain else None)
        elif previous is not None and not same and outcome != Outcome.VISIBLE and previous[1]:
            text.append("|", "dim")
        if token in special:
            text.append(word, "dim")
        elif outcome == Outcome.VISIBLE:
            text.append(label)
        else:
            text.append(MARKS[outcome].format(label) if plain else label, None if plain else STYLES[outcome])
        previous = (unit, int(outcome))
    text.rstrip()
    return text


def statistics(view: View) -> dict[str, Any]:
    """Figures of one view: rates asked for and achieved, units and runs by length, shares of each outcome."""
    masked_BL = view.outcome_BL > 0
    achieved_B = masked_BL.sum(1) / view.maskable_BL.sum(1).clamp(min=1)
    chosen = view.outcome_BL[masked_BL]
    shares = {o.name.lower(): (chosen == o).double().mean().item() if len(chosen) else 0.0 for o in Outcome if o}
    return {
        "rows": len(masked_BL),
        "capacity": view.place_BK.shape[1],
        "rate": view.rate_B.mean().item(),
        "achieved_rate": (masked_BL.sum() / view.maskable_BL.sum().clamp(min=1)).item(),
        "achieved_rate_by_row": {
            "least": achieved_B.min().item(),
            "most": achieved_B.max().item(),
            "sd": achieved_B.std(correction=0).item(),
        },
        "masked_per_row": masked_BL.sum(1).double().mean().item(),
        "outcomes": shares,
        "units_by_tokens": _lengths(view.unit_BL, masked_BL),
        "runs_by_tokens": _lengths(torch.zeros_like(view.unit_BL), masked_BL),
    }


def _lengths(unit_BL: Tensor, masked_BL: Tensor) -> dict[str, int]:
    """How many maximal runs of masked neighbours of one unit have each length in tokens."""
    same_BL = torch.zeros_like(masked_BL)
    same_BL[:, 1:] = masked_BL[:, 1:] & masked_BL[:, :-1] & (unit_BL[:, 1:] == unit_BL[:, :-1])
    run_N = (masked_BL & ~same_BL).flatten().cumsum(0)[masked_BL.flatten()]
    counts = torch.bincount(torch.bincount(run_N)[1:]).tolist() if len(run_N) else []
    lengths = {str(length): count for length, count in enumerate(counts) if count and length <= LONGEST}
    more = sum(counts[LONGEST + 1 :])
    return lengths | ({f">{LONGEST}": more} if more else {})


def _word(tokenizer: Any, token: int) -> tuple[str, bool]:
    """A token as it reads, and whether it continues the word before it."""
    piece = tokenizer.convert_ids_to_tokens(token)
    if piece.startswith("##"):
        return piece[2:], True
    read = tokenizer.decode([token])
    continues = not piece.startswith(("Ġ", "▁")) and tokenizer.convert_tokens_to_string(["a", piece]).startswith(
        "a" + piece
    )
    return read.strip() or piece, continues


def _legend(console: Console) -> None:
    if console.is_terminal:
        parts = [Text(f" {outcome.name.lower()} ", STYLES[outcome]) for outcome in Outcome if outcome]
        console.print(Text("\n") + Text("  ").join(parts))
    else:
        console.print("\n" + "  ".join(MARKS[o].format(o.name.lower()) for o in Outcome if o), markup=False)


def _print_statistics(figures: Mapping[str, Any], console: Console) -> None:
    by_row = figures["achieved_rate_by_row"]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("rate asked for", f"{100 * figures['rate']:.2f}%")
    table.add_row("achieved", f"{100 * figures['achieved_rate']:.2f}% over {figures['rows']:,} rows")
    table.add_row(
        "by row",
        f"{100 * by_row['least']:.1f}% to {100 * by_row['most']:.1f}%, standard deviation {100 * by_row['sd']:.2f}%",
    )
    table.add_row("masked tokens", f"{figures['masked_per_row']:.1f} a row; room for {figures['capacity']}")
    table.add_row("outcomes", ", ".join(f"{name} {100 * share:.1f}%" for name, share in figures["outcomes"].items()))
    for title, key in (("units, in tokens", "units_by_tokens"), ("runs, in tokens", "runs_by_tokens")):
        counts = figures[key]
        total = max(sum(counts.values()), 1)
        table.add_row(title, "  ".join(f"{length}: {100 * count / total:.0f}%" for length, count in counts.items()))
    console.print()
    console.print(table)
