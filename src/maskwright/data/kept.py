"""The tokenizer of a run, kept in its folder from before the first step on: a resumed run asks no cache and no hub."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.errors import Refused

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FOLDER = "tokenizer"
_BACKEND = "tokenizer.json"


def keep(tokenizer: PreTrainedTokenizerFast, run: Path) -> None:
    """Write <run>/tokenizer, whole or not at all, as `save_pretrained` does."""
    run.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{FOLDER}.", dir=run))
    try:
        tokenizer.save_pretrained(work)
        tokenizer.backend_tokenizer.save(str(work / _BACKEND))  # with every part as it is
        work.chmod(0o755)
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        os.replace(work, run / FOLDER)
    finally:
        shutil.rmtree(work, ignore_errors=True)


class KeptTokenizer:
    """A recipe's tokenizer as its run has kept it. Raises Refused when it is not the one with `fingerprint`."""

    def __init__(self, run: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = run / FOLDER, fingerprint

    @staticmethod
    def there(run: Path) -> bool:
        """Whether the run has kept one; runs of an older version have none."""
        return (run / FOLDER / _BACKEND).is_file()

    def load(
        self, texts: Callable[[], Iterable[str]], corpus_key: str, cache: Path, markers: tuple[str, ...] = ()
    ) -> PreTrainedTokenizerFast:
        """The kept tokenizer; neither texts nor cache are looked at."""
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        from maskwright.data.tokenizers import fingerprint

        try:
            found: Any = AutoTokenizer.from_pretrained(str(self.folder))
            if fingerprint(found) == self.fingerprint:
                return found
        except Exception:  # whatever transformers makes of it, the file itself says what the tokenizer does
            pass
        settings = json.loads((self.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        tokens = {key: value for key, value in settings.items() if key.endswith("_token") and value is not None}
        plain: dict[str, Any] = {key: _text(value) for key, value in tokens.items()}
        found = PreTrainedTokenizerFast(tokenizer_file=str(self.folder / _BACKEND), **plain)
        if fingerprint(found) != self.fingerprint:
            raise Refused(
                f"{self.folder} is not the tokenizer that the run began with; put it back from a copy of the run."
            )
        return found


def _text(token: Any) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)
