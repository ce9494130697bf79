"""Keeps secrets out of whatever is written down (configs, status files, logs), and the machine out of model cards."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

_KEY_NAME = re.compile(
    r"(^|_)(api_?key|password|passwd|secret|private_key|(access|auth|hf|hub|use_auth|bearer)_token)$", re.I
)
_ENVIRONMENT_NAME = re.compile(r"(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.I)
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{20,}|wandb_v1_[A-Za-z0-9_]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,})"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_ABSOLUTE = re.compile(r"(?<![^\s'\"=\[,(])(?:~|[A-Za-z]:[\\/]|/)[^\s'\",\]);]*[\\/]([^\s'\",\]);]+)")


def without_secrets(value: Any) -> Any:
    """A copy of nested dicts, lists and texts in which secrets read `***`.

    Taken for a secret: a text under a key such as `api_key`, `password` or `hf_token`; the value of an environment
    variable so named (WANDB_API_KEY, HF_TOKEN ...) wherever it stands; the well-known shapes of keys; user:password in
    a URL. Words such as `tokenizer`, `tokens` or `mask_token` are not secrets.
    """
    known = [v for k, v in os.environ.items() if _ENVIRONMENT_NAME.search(k) and len(v) >= 8 and not v.startswith("/")]
    return _clean(value, sorted(known, key=len, reverse=True))


def without_places(value: Any) -> Any:
    """A copy of nested dicts, lists and texts in which an absolute path reads `.../` and its end: what stands in a
    model card is read by strangers, who have nothing of a folder's name on this machine."""
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_places(item) for item in value)
    return _ABSOLUTE.sub(_shortened, value) if isinstance(value, str) else value


def _shortened(path: re.Match[str]) -> str:
    """The last part; of what lies in a run's export, the run's folder too."""
    parts = re.split(r"[\\/]", path[0])
    first = parts.index("export") - 1 if "export" in parts[2:] else len(parts) - 1
    return "/".join(("...", *parts[first:]))


def _clean(value: Any, known: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            k: HIDDEN if isinstance(v, str) and v and _KEY_NAME.search(str(k)) else _clean(v, known)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_clean(v, known) for v in value)
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, HIDDEN)
        return _SHAPES.sub(HIDDEN, value)
    return value
