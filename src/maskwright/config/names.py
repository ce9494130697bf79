"""The nearest name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was meant to be, or None. Of dotted names the last part counts too: `trainer.lr` is
    near `optimizer.lr`; what `name` lies below is not near it."""
    known = [one for one in dict.fromkeys(known) if not name.startswith((f"{one}.", f"{one}/"))]
    last = name.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    for among, cutoff in ((known, 0.75), (same, 0.0), (known, 0.6)):
        near = difflib.get_close_matches(name, among, 1, cutoff)
        if near:
            return near[0]
    return None


def hint(name: str, known: Iterable[str], before: str = "", listed: bool = True) -> str:
    """The end of a sentence about an unknown name: `did you mean <before><name>?`, or (`listed`) what there is."""
    known = sorted(known)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {before}{near}?"
    return f"there is {some(known)}." if known and listed else "leave it out."


def some(names: Sequence[str], most: int = 12) -> str:
    """The first names and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
