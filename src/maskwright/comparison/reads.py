"""How much of a text a run's tokenizer is asked for: equal wherever figures per byte or word are compared.

Of a folding tokenizer the characters that it merges are not asked, and of an unknown token nothing but that it is one:
both make the figure smaller without a better model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ASKED, UNKNOWN = "the characters that the tokenizer keeps apart", "the share of unknown tokens"
READ = ("characters", "unknown_tokens")  # the facts of an evaluation that say it
_NONE = 0.001  # shares below this are none


def reads(facts: Mapping[str, Any]) -> dict[str, str]:
    """Marks from the facts of an evaluation, or from the data report of run.json."""
    shares = facts.get("unknown_share") or {}
    unknown = facts.get("unknown_tokens", shares.get("heldout"))
    share = "not recorded" if unknown is None else f"{100 * unknown:.1f} %" if unknown >= _NONE else "none"
    return {ASKED: str(facts.get("characters", "not recorded")), UNKNOWN: share}
