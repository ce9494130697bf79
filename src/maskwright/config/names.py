"""The nearest name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 12


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was meant to be, or None. Of dotted names the last part counts too: `trainer.lr` is
    near `optimizer.lr`."""
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, known, 1, cutoff=0.75)
    if near:
        return near[0]
    last = name.rpartition(".")[2]
    same = [one for one in known if one.rpartition(".")[2] == last]
    if same:
        return difflib.get_close_matches(name, same, 1, cutoff=0.0)[0]
    return next(iter(difflib.get_close_matches(name, known, 1, cutoff=0.6)), None)


def hint(name: str, known: Iterable[str], before: str = "") -> str:
    """`did you mean <before><name>?`, or what there is: the end of a sentence about an unknown name."""
    known = sorted(known)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {before}{near}?"
    if not known:
        return "leave it out."
    more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
    return f"there is {', '.join(known[:_MOST_LISTED])}{more}."
