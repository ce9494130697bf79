"""Every class that a YAML names says what types its settings have, so that the command line can be held to them."""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path

import pytest
from hydra.utils import get_object

from maskwright.config.build import parameters

CONF = Path(__file__).parents[2] / "conf"
TARGETS = sorted(
    {
        name
        for path in CONF.rglob("*.yaml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith("#")
        for name in re.findall(r"_target_: ([\w.]+)", line)
    }
)


@pytest.mark.parametrize("name", TARGETS)
def test_every_setting_is_annotated(name):
    target = get_object(name)
    takes, more = parameters(target)
    assert not more, f"{name} takes any setting"
    made = target.__init__ if inspect.isclass(target) else target
    hints = typing.get_type_hints(made)  # raises for a name that only a type checker imports
    assert set(takes) <= set(hints) or any("**" in str(one) for one in inspect.signature(made).parameters.values())
