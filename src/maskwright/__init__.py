"""maskwright: masked and denoising pre-training, composed from the command line.

Importing it lets transformers' Auto classes load the networks that are our own (LTG-BERT), whether transformers is
imported before or after; by itself it imports neither torch nor transformers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__version__ = "0.1.0"

_AUTO = "transformers.models.auto.configuration_auto"


def _register() -> None:
    from maskwright.models.auto import register_configs

    register_configs()


class _AfterAuto(MetaPathFinder):
    """Registers our networks right after transformers' list of architectures has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == _AUTO else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                _register()

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


if _AUTO in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _AfterAuto())
