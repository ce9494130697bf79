"""Tokenizers made before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.data.kept import FOLDER
from maskwright.data.tokenizers.wrapping import SPECIAL, marked, mended, refuse_shared, wrapped
from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Any of them makes a folder one that transformers can read a tokenizer from; without one it makes up an empty one.
_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model",
)  # fmt: skip


def saved_in(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer."""
    return any((folder / name).is_file() for name in _FILES)


class SavedTokenizer:
    """A tokenizer made before: a folder, a tokenizer.json, a run folder (finished or not), or a name on the hub."""

    def __init__(self, path: str | None = None) -> None:
        if not path:
            raise RecipeError("tokenizer.path is not set; name a folder, a tokenizer.json, a run folder or a hub name.")
        self.path = path

    def load(
        self,
        texts: Callable[[], Iterable[str]],
        corpus_key: str,
        cache: Path,
        markers: tuple[str, ...] = (),
    ) -> PreTrainedTokenizerFast:
        """The saved tokenizer, with the markers that it lacks added behind its vocabulary."""
        return marked(self._complete(mended(self._saved())), markers)

    def _saved(self) -> Any:
        from tokenizers import Tokenizer

        place = Path(self.path).expanduser()
        if place.is_file() and (place.parent / "tokenizer_config.json").is_file() and place.name == "tokenizer.json":
            place = place.parent  # which says what the special tokens are for
        if place.is_file():
            try:
                return wrapped(Tokenizer.from_file(str(place)))
            except Exception as error:  # the library raises a bare Exception
                raise RecipeError(f"tokenizer.path={self.path} is not a tokenizer.json file; name one.") from error
        if (place / FOLDER / "tokenizer.json").is_file():
            place = place / FOLDER
        elif place.is_dir() and (place / "export").is_dir():
            place = _exported(place / "export")
        if place.is_dir() and not saved_in(place):
            raise RecipeError(
                f"tokenizer.path={self.path} holds no tokenizer; save it there, or choose tokenizer=saved and set "
                "tokenizer.path to where it lies."
            )
        return self._auto(str(place) if place.exists() else self.path)

    def _auto(self, name: str) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(name)
        except Exception as error:  # missing files, no network, unknown kinds: each raises its own
            offline = " while HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
            raise RecipeError(
                f"tokenizer.path={self.path} is neither a local tokenizer nor one that the hub gave{offline}; "
                "check the name and the network, or give a folder."
            ) from error

    def _complete(self, tokenizer: Any) -> PreTrainedTokenizerFast:
        """With every role that masking needs, each a token of its own where it must be."""
        what = f"tokenizer.path={self.path}"
        if not getattr(tokenizer, "is_fast", False):
            raise RecipeError(f"{what} has no fast form (tokenizer.json); choose one that has.")
        missing = [role for role in SPECIAL if getattr(tokenizer, f"{role}_token_id") is None]
        missing = [role for role in missing if role != "unk"]  # byte-level tokenizers have no unknown token
        if missing:
            raise RecipeError(
                f"{what} has no {', '.join(missing)} token; choose one made for masked models, "
                "or train one (tokenizer=bpe)."
            )
        refuse_shared(tokenizer, what)
        return tokenizer


def _exported(folder: Path) -> Path:
    """The tokenizer of an export: beside one network, or in the first network's folder."""
    return next((path.parent for path in sorted(folder.rglob("tokenizer.json"))), folder)
