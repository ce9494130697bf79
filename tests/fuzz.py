"""Odd command lines, and what the entries make of them before they read any data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from maskwright.errors import RecipeError

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
ENTRIES = ("train", "show_masks", "annotate", "evaluate", "compare")

ODD = [
    "", "abc", "0", "-1", "1", "2.5", "0.15", "1.0", "1e3", "1e400", "-inf", "nan", "true", "false", "null", "???",
    "[]", "{}", "[1,2]", "[a,b]", "[0.5,abc]", "[null]", "[[1]]", "{a: 1}", "{_target_: os.system}", "auto", "none",
    "99999999999999999999999", "-9223372036854775809", "9223372036854775807", "1,2", "a,b", "'a'", "'1'", "\"'2'\"",
    "'", "[1", "{a", "a=b", "a:b", "${seed}", "${nowhere}", "${oc.env:NO_SUCH_NAME}", "${oops:1}", "${", "choice(1,2)",
    "range(1,4)", "glob(*)", "int(x)", "int(3)", "'\\x00'", "日本", "'日本語 ü'", "'a b'", "/no/such/file.txt", "*",
    "x" * 3000, "maskwright.masking.rates.Linear", "os.system", "token", "word", "0x10", "1_000", "  ", "'\n'", ".",
    "..",
]  # fmt: skip


def options() -> dict[str, list[str]]:
    """The options of every group."""
    found: dict[str, list[str]] = {}
    for path in sorted(CONF.rglob("*.yaml")):
        if path.parent != CONF and "hydra" not in path.parts:
            found.setdefault(path.parent.relative_to(CONF).as_posix(), []).append(path.stem)
    return found


def keys() -> dict[str, tuple[list[str], Any]]:
    """Every dotted setting, with words that choose an option which has it, and its value there."""
    found: dict[str, tuple[list[str], Any]] = {}

    def walk(node: Any, before: str, words: list[str]) -> None:
        for key, below in node.items() if isinstance(node, dict) else ():
            if key != "defaults" and (key != "hydra" or before):
                found.setdefault(f"{before}{key}", (words, below))
                walk(below, f"{before}{key}.", words)

    for path in sorted(CONF.rglob("*.yaml")):
        text, folder = path.read_text(encoding="utf-8"), path.relative_to(CONF).parent.as_posix()
        if folder.startswith("hydra"):
            continue
        flat = folder == "." or "@package _global_" in text
        words = [] if folder == "." else [f"{folder}={path.stem}"]
        walk(yaml.safe_load(text), "" if flat else folder.replace("/", ".") + ".", words)
    return found


OPTIONS, KEYS = options(), keys()
_HYDRA = ("hydra.run.dir", "hydra.sweep.dir", "hydra.job.num", "hydra.mode", "hydra.verbose", "hydra.sweeper.params")
_FLAGS = (
    "--alpha",
    "--power",
    "--metric",
    "--tune",
    "--baseline",
    "--ignore",
    "--spread",
    "--better",
    "--wandb",
    "--nope",
)


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An entry and its words: settings with odd values, misspelt names, choices that are none, and plain noise."""
    entry = draw(st.sampled_from(ENTRIES[:1] * 4 + ENTRIES))
    if entry == "compare":
        flags = st.tuples(st.sampled_from(_FLAGS), _values()).map(list)
        return entry, ["{folder}", *(word for pair in draw(st.lists(flags, max_size=2)) for word in pair)]
    size = draw(st.sampled_from([1, 1, 1, 2]))  # of several faults only the first is seen
    return entry, [word for words in draw(st.lists(_words(), min_size=size, max_size=size)) for word in words]


def _values() -> st.SearchStrategy[str]:
    numbers = st.one_of(st.integers(-(2**70), 2**70), st.integers(-3, 600), st.floats(width=32)).map(str)
    return st.one_of(st.sampled_from(ODD), st.sampled_from(ODD), numbers, st.text(max_size=12))


def _likely(said: Any) -> st.SearchStrategy[str]:
    """Values of the type that the file has."""
    if isinstance(said, bool):
        return st.sampled_from(["true", "false"])
    if isinstance(said, (int, float)):
        some = st.sampled_from(["0", "1", "2", "3", "5", "0.5", "1.5", "-1", "1e-300", "1e300", "512", "100000"])
        return st.one_of(some, st.integers(-3, 600).map(str), st.floats(-2, 2).map(str))
    if isinstance(said, list):
        return st.lists(st.one_of(*(_likely(one) for one in said[:3] or ["a"])), max_size=3).map(
            lambda parts: f"[{','.join(parts)}]"
        )
    return st.sampled_from(
        ["a", "word", "text", "auto", "none", "/no/such/file.txt", "'.*'", "'['", "'('", "''", "[a]", "{a: b}"]
    )


@st.composite
def _words(draw: st.DrawFn) -> list[str]:
    kind = draw(
        st.sampled_from(
            ["likely"] * 8 + ["value"] * 6 + ["choice"] * 3 + ["typo", "new", "delete", "below", "hydra", "noise"]
        )
    )
    key = draw(st.sampled_from(sorted(KEYS)))
    (chosen, said), value = KEYS[key], draw(_values())
    if kind == "likely":
        return [*chosen, f"{key}={draw(_likely(said))}"]
    if kind == "value":
        return [*chosen, f"{key}={value}"]
    if kind == "choice":
        group = draw(st.sampled_from(sorted(OPTIONS)))
        option = draw(st.one_of(st.sampled_from(OPTIONS[group]), st.sampled_from(OPTIONS[group]), _values()))
        return [f"{draw(st.sampled_from(['', '', '', '+', '++']))}{group}={option}"]
    if kind == "typo":
        place = draw(st.integers(0, len(key) - 1))
        return [*chosen, f"{key[:place]}{key[place + 1 :]}={value}"]
    if kind == "new":
        plus = draw(st.sampled_from(["+", "++"]))
        return [*chosen, f"{plus}{key}{draw(st.sampled_from(['', 'z', '.new', '@x']))}={value}"]
    if kind == "delete":
        return [*chosen, f"~{draw(st.sampled_from([key, key.split('.')[0]]))}{draw(st.sampled_from(['', '=1']))}"]
    if kind == "below":
        return [
            *chosen,
            f"{draw(st.sampled_from(['', '+']))}{key}.{draw(st.sampled_from(['x', '_target_', '_args_']))}={value}",
        ]
    if kind == "hydra":
        return [f"{draw(st.sampled_from(_HYDRA))}={value}"]
    return [draw(st.text("=[]{}'\",:$~+@/\\ ab0.()%", max_size=12))]


def meet(entry: str, words: list[str]) -> str | None:
    """What the entry says of its words before it reads any data; None where it has nothing to say.

    Everything else that is raised is a fault.
    """
    from maskwright.config.compose import explained
    from maskwright.config.entry import Uncomposable, of_hydra
    from maskwright.seeing.recipes import swept

    try:
        if entry == "compare":
            return _compare(words)
        words = swept(words) if entry == "show_masks" else words
        try:
            cfg, choices = composed(entry, words)
        except Uncomposable as error:
            raise explained(error, words, CONF) from None
        except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
            if not of_hydra(error):
                raise
            raise explained(error, words, CONF) from None
        _check(entry, cfg, choices)
    except RecipeError as error:
        return str(error)
    return None


def composed(entry: str, words: list[str]) -> tuple[Any, dict[str, str]]:
    """The config of an entry, as its own function sees it, and the choices."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from maskwright.evaluation.places import results_folder

    os.environ.setdefault("MASKWRIGHT_ROOT", str(ROOT))
    OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)
    OmegaConf.register_new_resolver(
        "results_folder", lambda run, name, suite, fresh: results_folder(run, name or suite, fresh), replace=True
    )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(entry, words, return_hydra_config=True)
    choices = {str(group): choice for group, choice in cfg.hydra.runtime.choices.items() if "hydra/" not in group}
    OmegaConf.set_struct(cfg, False)
    _ = str(cfg.hydra.run.dir)
    del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)
    return cfg, choices


def _check(entry: str, cfg: Any, choices: dict[str, str]) -> None:
    from maskwright.config.settings import Annotate, Recipe, ShowMasks, check_settings
    from maskwright.evaluation.evaluate import evaluate
    from maskwright.seeing.command import checked
    from maskwright.seeing.look import understood
    from maskwright.training.evaluating import suites_of
    from maskwright.training.recipe import assemble

    if entry == "train":
        check_settings(cfg, Recipe)
        recipe = assemble(cfg, choices)
        recipe.hardware.resolve()
        suites_of(cfg)
        assert recipe.sentence and recipe.name
    elif entry == "show_masks":
        checked(cfg)
        understood(cfg, choices, ShowMasks)
    elif entry == "annotate":
        understood(cfg, choices, Annotate)
    else:
        evaluate(cfg, choices, Path("/nowhere"))


def _compare(words: list[str]) -> str | None:
    import contextlib
    import io

    from maskwright.comparison.command import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main(words)
    lines = said.getvalue().strip().splitlines()
    assert len(lines) <= 1, lines
    return lines[0].removeprefix("error: ") if lines else None
