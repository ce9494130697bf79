"""What Hydra and OmegaConf say of words that they cannot compose, in one sentence that names the word and the cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException

from maskwright.config.names import hint, some
from maskwright.config.values import shown
from maskwright.errors import RecipeError

_LONGEST = 240  # letters of what a library says


def explained(error: BaseException, words: Sequence[str], conf: Path) -> RecipeError:
    """The error as its user should read it. words: the overrides. conf: the folder of groups and options."""
    return RecipeError(_sentence(error, words, conf))


def _sentence(error: BaseException, words: Sequence[str], conf: Path) -> str:
    if isinstance(error, RecursionError):
        return "a setting refers to itself; write its value out."
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, MissingConfigException):
        return _no_option(error, conf)
    if isinstance(error, OSError):
        return _unwritable(error)
    said, below = str(error), getattr(error.__cause__, "full_key", None)
    if below and said.startswith("Could not override"):  # of several settings in one word
        said = re.sub(r"'[^']*'", f"'{below}'", said, count=1)
    for pattern, tell in _TOLD:
        found = re.search(pattern, said)
        if found:
            sentence = tell(found, words, conf)
            if sentence is not None:
                return sentence
    return _other(error)


def _unwritable(error: OSError) -> str:
    where = f"{_cut(str(error.filename))} cannot be written" if error.filename else "the folder cannot be written"
    return f"{where} ({error.strerror or error}); choose another hydra.run.dir."


def _unreadable(word: str) -> str:
    return (
        f"{_cut(word) or 'an empty word'} cannot be read; close brackets and quotes, and put a value with special "
        "signs in two pairs of quotes, as in \"name='a=b'\"."
    )


def _no_option(error: MissingConfigException, conf: Path) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    group, option = group.removesuffix("/"), option.removesuffix(".yaml")
    if not group:
        return f"there is no config named {_cut(option)}; leave --config-name out."
    return _not_an_option(group, option, list(error.options or ()), conf)


def _not_an_option(group: str, option: str, options: list[str], conf: Path) -> str:
    key = group.replace("/", ".")
    value = _value_key(conf / group, options) if _is_number(option) else None
    if value:
        return (
            f"{_cut(f'{group}={option}')} names no option; did you mean {key}.{value}={_cut(option)}? "
            f"The options of {group} are {some(options)}."
        )
    return f"{_cut(f'{group}={option}')} names no option; {hint(option, options, f'{group}=')}"


def _value_key(folder: Path, options: Sequence[str]) -> str | None:
    """The setting of a group that a bare number was perhaps meant for."""
    try:
        keys = [
            set(yaml.safe_load((folder / f"{option}.yaml").read_text(encoding="utf-8")) or ()) for option in options
        ]
    except (OSError, yaml.YAMLError):
        return None
    return next((key for key in ("value", "lr", "length") if any(key in one for one in keys)), None)


def _wrong_choice(found: re.Match[str], words: Sequence[str], conf: Path) -> str | None:
    for one in _parsed(words):
        if not one.key_or_group:
            return _unreadable(str(one.input_line))
        if (
            one.is_sweep_override()
            or isinstance(one.value(), (str, list, dict))
            or not (conf / one.key_or_group).is_dir()
        ):
            continue
        if one.value() is None and one.is_delete():
            continue
        if one.value() is None:
            return (
                f"{one.input_line} names no option; take the group out with ~{one.key_or_group}, or choose an option."
            )
        options = sorted(path.stem for path in (conf / one.key_or_group).glob("*.yaml"))
        return _not_an_option(one.key_or_group, one.get_value_element_as_str(), options, conf)
    return None


def _not_there(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    key = found["key"]
    if key.startswith("hydra."):
        return f"{_cut(key)} is no setting of Hydra; --cfg hydra shows what there is."
    known = _known(conf)
    if known.get(key):
        return f"{key} is no setting of the options chosen; it belongs to {some(known[key], 6)}."
    return f"{_cut(key)} is no setting; {hint(key, _groups(conf) if '/' in key else known, listed=False)}"


def _not_a_group(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    key = found["key"]
    return f"{_cut(key)} is no group of this recipe; {hint(key, _groups(conf))}"


def _ambiguous(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    word = found["word"]
    key, _, value = word.partition("=")
    text = (
        "" if (conf / key).is_dir() else f", or write one list as {key}='[{value}]' or one text as {key}=\"'{value}'\""
    )
    return f"{_cut(word)} gives several values; add -m for a run with each{text if len(text) < 150 else ''}."


def _appended(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    return f"{_cut(found['key'])} is there already; leave the + out."


def _deleted(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    return f"~{_cut(found['key'])} takes nothing out, since the recipe has no {_cut(found['key'])}; leave it out."


def _kept(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    key = _cut(found["key"])
    return f"~{key} is refused, since {key} is {_cut(found['value'])}; give that value or none."


def _nowhere(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    key = found["key"]
    return f"${{{_cut(key)}}} refers to no setting; {hint(key, _known(conf), listed=False)}"


def _no_resolver(found: re.Match[str], words: Sequence[str], conf: Path) -> str:
    return f"${{{found['name']}:...}} is no function of OmegaConf; write the value out."


_TOLD = (
    (r"Config group override must be a string or a list|Config group override deletion value", _wrong_choice),
    (r"Ambiguous value for argument '(?P<word>.*)'", _ambiguous),
    (r"Sweep parameters '(?P<word>.*)' requires --multirun", lambda found, words, conf:
        f"{_cut(found['word'])} gives several values; add -m for a run with each."),
    (r"Could not append to config\. An item is already at '(?P<key>[^']*)'", _appended),
    (r"Could not delete from config\. '(?P<key>[^']*)' does not exist", _deleted),
    (r"Could not delete '(?P<key>[^']*)'\. No match in the defaults list", _deleted),
    (r"Could not delete from config\. The value of '(?P<key>[^']*)' is (?P<value>.*) and not", _kept),
    (r"Could not override '(?P<key>[^']*)'\.\s+To append to your config", _not_there),
    (r"Could not override '(?P<key>[^']*)'\.\s*(No match in the defaults list|Did you mean)", _not_a_group),
    (r"looks like a config group override, but config group '(?P<key>[^']*)' does not exist", _not_a_group),
    (r"(?P<key>\S+) appears more than once in the final defaults list", lambda found, words, conf:
        f"{_cut(found['key'])} is chosen more than once; choose one option of each group."),
    (r"force-add of config groups is not supported: '\+\+(?P<word>.*)'", lambda found, words, conf:
        f"++{_cut(found['word'])} chooses an option; leave the ++ out."),
    (r"Interpolation key '(?P<key>[^']*)' not found", _nowhere),
    (r"Unsupported interpolation type (?P<name>\S+)", _no_resolver),
)  # fmt: skip


def _other(error: BaseException) -> str:
    """What the library says, in one line."""
    parts = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    said = [" ".join(_body(str(part)).split()).rstrip(".") for part in parts]
    key = next((str(k) for part in parts if (k := getattr(part, "full_key", None))), "")
    words = ": ".join(dict.fromkeys(part for part in said if part))
    where = f"{_cut(key)}: " if key and key not in words else ""
    return f"the words cannot be composed ({where}{_cut(words, _LONGEST)}); mend or leave out what it names."


def _body(text: str) -> str:
    """Without the search path and OmegaConf's further lines."""
    text = text.partition("Config search path")[0]
    return re.sub(r"\n\s*(full_key|object_type|reference_type)[:=].*", "", text)


def _known(conf: Path) -> dict[str, list[str]]:
    """The dotted names of all settings, with the options that bring them; none where every recipe has it."""
    found: dict[str, list[str]] = {}
    for path in sorted(conf.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        folder = path.relative_to(conf).parent.as_posix()
        before = "" if folder == "." or "@package _global_" in text else folder.replace("/", ".") + "."
        for name in _dotted(yaml.safe_load(text), before):
            if name.split(".")[0] != "hydra":
                found.setdefault(name, []).extend([] if folder == "." else [f"{folder}={path.stem}"])
    return found


def _dotted(node: Any, before: str) -> Iterator[str]:
    for key, below in node.items() if isinstance(node, dict) else ():
        if key in ("defaults", "_target_"):
            continue
        yield f"{before}{key}"
        yield from _dotted(below, f"{before}{key}.")


def _groups(conf: Path) -> list[str]:
    """Every group of options, as it is named on the command line."""
    return sorted({path.parent.relative_to(conf).as_posix() for path in conf.rglob("*.yaml") if path.parent != conf})


def _parsed(words: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(words))
    except HydraException:
        return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cut(text: str, most: int = 80) -> str:
    text = " ".join(shown(text)[1:-1].split()) if len(text) < 50 and "'" not in text and "\\" not in text else text
    text = text.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= most else text[: most - 3] + "..."
