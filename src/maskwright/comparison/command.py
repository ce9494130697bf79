"""The command line of compare.py."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from maskwright.config.options import parsed
from maskwright.errors import RecipeError

DESCRIPTION = """\
Which recipe of a sweep is better, by how much, and how sure is that? Reads the files that runs leave; trains nothing.

  python compare.py outputs/multirun/2026-01-31_12-00-00
  python compare.py <multirun folder> --tune optimizer.lr             the best learning rate of each recipe
  python compare.py <multirun folder> --baseline masking=random       all against one, which finds smaller differences
  python compare.py <run> <run> <run> --metric ruler/accuracy --out report
"""


def parser() -> argparse.ArgumentParser:
    """Every option with its meaning."""
    made = argparse.ArgumentParser(
        "compare.py",
        description=DESCRIPTION,
        epilog="More: docs/comparing.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("runs", nargs="+", type=Path, help="a multirun's folder, or folders of runs, or folders above them")
    add("--metric", help="figure of metrics.json, or evaluation/<suite>/<number> (default: ruler/loss)")
    add("--better", choices=("lower", "higher"), help="which way the metric is better, where its name does not tell")
    add(
        "--tune",
        action="append",
        default=[],
        metavar="KEY",
        help="show the best value of this setting for each recipe (may be repeated)",
    )
    add(
        "--baseline", metavar="ARM", help="compare all with this recipe alone, such as 'masking=random rate.value=0.15'"
    )
    add(
        "--ignore",
        action="append",
        default=[],
        metavar="KEY",
        help="runs that differ in this setting alone are one recipe (may be repeated)",
    )
    add(
        "--spread",
        choices=("own", "pooled"),
        default="own",
        help="own: each comparison by its own differences; pooled: one spread for all, for few seeds (default: own)",
    )
    add("--alpha", type=float, default=0.05, help="error rate of tests, 1 - confidence of intervals (default: 0.05)")
    add("--power", type=float, default=0.8, help="for the smallest detectable difference (default: 0.8)")
    add("--out", type=Path, help="where the report goes (default: <multirun folder>/comparison, or outputs/comparison)")
    add(
        "--wandb",
        choices=("auto", "off"),
        default="auto",
        help="auto: send the table of arms to W&B where a key is configured (default: auto)",
    )
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print, write; returns the exit status."""
    try:
        asked = parsed(parser(), sys.argv[1:] if words is None else words)
        _compare(asked, "python compare.py " + shlex.join(sys.argv[1:] if words is None else words))
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `python compare.py ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _compare(asked: argparse.Namespace, command: str) -> None:
    from maskwright.comparison import files, page, screen, share
    from maskwright.comparison.comparison import Options, compare_runs
    from maskwright.comparison.find import find

    chosen = {
        name: getattr(asked, name)
        for name in ("metric", "better", "tune", "baseline", "ignore", "alpha", "power", "spread")
    }
    runs = find(asked.runs)
    result = compare_runs(runs, Options(**chosen))
    out = asked.out or (asked.runs[0] / "comparison" if len(asked.runs) == 1 else Path("outputs") / "comparison")
    report = files.as_dict(result, out, command)
    try:
        written = [page.write(report, result, out), *files.write(report, result, out)]
    except OSError as error:
        said = error.strerror or str(error)
        raise RecipeError(f"{out} cannot be written ({said}); name another folder with --out.") from error
    screen.show(result, written)
    print(share.send(report, out, *share.place(runs)) if asked.wandb == "auto" else "W&B: off, nothing is sent")
