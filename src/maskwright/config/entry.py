"""How the scripts at the root meet what a user gets wrong: one sentence on the screen and exit status 2.

Hydra composes the config before the script's own function runs and prints what fails in its own way, unless it is told
to pass errors on (HYDRA_FULL_ERROR); then `entry` says it. With that variable set by the user, errors keep their stack.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from maskwright.errors import RecipeError

T = TypeVar("T")
Uncomposable = (HydraException, OmegaConfBaseException)


def one_sentence(function: Callable[..., T]) -> Callable[..., T]:
    """A RecipeError in the function ends the program with its sentence and exit status 2."""

    @functools.wraps(function)  # without state: launchers pickle what they run in other processes
    def said(*args: Any, **kwargs: Any) -> T:
        try:
            return function(*args, **kwargs)
        except RecipeError as error:
            refuse(error)

    return said


def refuse(error: RecipeError) -> NoReturn:
    """Say it and leave."""
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2) from None


def entry(main: Callable[[], Any], root: Path, words: Sequence[str] | None = None) -> Any:
    """Run a function of `hydra.main` on the command line.

    root: the folder of the script and of conf/. words: the command line's, in place of sys.argv.
    """
    if words is not None:
        sys.argv[1:] = words
    _check_options(sys.argv[1:])
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        return main()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    overrides = [word for word in sys.argv[1:] if not word.startswith("-")]
    try:
        return main()
    except RecipeError as error:
        refuse(error)
    except Exception as error:
        from maskwright.config.compose import explained

        if not isinstance(error, Uncomposable) and not of_hydra(error):
            raise
        refuse(explained(error, overrides, root / "conf"))


def of_hydra(error: BaseException) -> bool:
    """Whether Hydra stumbled over what the user wrote, outside of the script's own function."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [frame.f_code.co_name for frame in frames]
    modules = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames]
    if "run_job" in names and "maskwright" in modules[names.index("run_job") :]:
        return False
    return isinstance(error, OSError) or modules[-1] in (
        "hydra",
        "hydra_plugins",
        "omegaconf",
        "antlr4",
        "pathlib",
        "optuna",
    )


def _check_options(words: Sequence[str]) -> None:
    """Refuse an option (--name) that Hydra does not have, or that is without its value."""
    from hydra._internal.utils import get_args_parser

    from maskwright.config.options import parsed

    try:
        parsed(get_args_parser(), words)
    except RecipeError as error:
        refuse(error)
