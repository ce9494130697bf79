"""What a tokenizer folds: differences between characters that its tokens no longer show.

A tokenizer that folds is asked for less than one that does not, so figures per byte or word of the two are no
comparison; `asked_for` says which runs were asked for the same characters.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

_PROBES = {
    "case": (("A", "a"), ("Б", "б")),
    "accents": (("é", "e"), ("e\u0301", "e")),
    "combining marks": (("ที่", "ท"), ("क्ष", "कष"), ("が", "か"), ("مُ", "م")),
    "joiners": (("می\u200cخ", "میخ"), ("👩\u200d💻", "👩💻")),
    "compatibility forms": (("²", "2"), ("ﬁ", "fi"), ("ｶ", "カ")),
}
_MOST = 1 << 20  # characters of a text that are looked at
_SPACE = re.compile(r"[\s▁]+")


def folded(tokenizer: Any) -> list[str]:
    """What the tokenizer's normalizer folds: of case, accents, combining marks, joiners, compatibility forms."""
    normal = _normal(tokenizer)
    return [name for name, pairs in _PROBES.items() if any(normal(one) == normal(other) for one, other in pairs)]


def asked_for(tokenizer: Any, texts: Iterable[str]) -> str:
    """A digest of the characters that the tokenizer is asked for in `texts`, white space apart: the same for two
    tokenizers that fold these texts alike. Of long texts the first million characters count."""
    normal, left = _normal(tokenizer), _MOST
    content = hashlib.sha256()
    for text in texts:
        content.update(normal(text[:left]).encode("utf-8", "surrogatepass") + b"\0")
        left -= len(text)
        if left <= 0:
            break
    return content.hexdigest()[:16]


def _normal(tokenizer: Any) -> Any:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return lambda text: _SPACE.sub("", text if normalizer is None else normalizer.normalize_str(text))
