"""Commands that can be pasted: every value quoted twice, for Hydra's grammar and for the shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"(?=.*[A-Za-z_/])[A-Za-z0-9_/.:][A-Za-z0-9_/.:-]*", re.ASCII)
_OTHER = re.compile(r"null|true|false|[-+]?(nan|inf(inity)?)|[-+]?[\d_.]+(e[-+]?[\d_]+)?", re.IGNORECASE)


def hydra_text(text: str) -> str:
    """A text as a value of Hydra's override grammar, which reads it back as this text: not as a number, null, a list
    or an interpolation."""
    if _PLAIN.fullmatch(text) and not _OTHER.fullmatch(text):
        return text
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # OmegaConf would look for a key
    mark = "'" if '"' in text else '"'  # a shell's words are in single ones
    text = re.sub(rf"(\\*){mark}", rf"\1\1\\{mark}", text)  # backslashes are doubled before a quotation mark only,
    return mark + re.sub(r"(\\+)$", r"\1\1", text) + mark  # the closing one included


def override(key: str, value: str | Path) -> str:
    """`key=value` as one word of a shell.

    >>> print(override("resume", "runs/lr=0.01 b"))
    'resume="runs/lr=0.01 b"'
    """
    return shlex.quote(f"{key}={hydra_text(str(value))}")


def command(*words: str, **values: str | Path) -> str:
    """`python ...`: words as they were given to a program, and values by their keys (`__` for a point), all quoted.

    >>> command("train.py", resume="outputs/2026-01-31/12-00-00")
    'python train.py resume=outputs/2026-01-31/12-00-00'
    """
    keys = [override(key.replace("__", "."), value) for key, value in values.items()]
    return " ".join(["python", *map(_shell_text, words), *keys])


def _shell_text(word: str) -> str:
    """A word for the shell; in double quotation marks where it holds single ones and nothing that they leave alive."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!\n') else shlex.quote(word)
