"""Everything that is shown of one or more recipes: what screen and page read, and what `--json` prints of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maskwright.masking import View
from maskwright.seeing.figures import figures
from maskwright.seeing.look import Look
from maskwright.seeing.over_training import over_training
from maskwright.seeing.pieces import Reader
from maskwright.seeing.shares import FREQUENCY, Classed, bands, columns_of, frequencies, masked_by
from maskwright.seeing.steering import Steering, steering
from maskwright.seeing.tokens import Read, Token, plain_read, plain_tokens, read, tokens


@dataclass
class Row:
    """A sample row. reads: what the network reads of it."""

    sample: int
    tokens: list[Token]
    reads: list[Read]


@dataclass
class Seen:
    """One view of one recipe. figures: plain numbers, those of `maskwright.seeing.figures` and what follows training
    and classes."""

    look: Look
    name: str
    view: View
    steering: Steering | None
    figures: dict[str, Any]
    rows: list[Row]

    @property
    def label(self) -> str:
        """The policy where there are several, and the view where there are several."""
        several = len(self.look.views.recipes) > 1
        policy = self.look.policy or (self.described if not several else "")
        return " · ".join(part for part in (policy, self.name if several else "") if part)

    @property
    def described(self) -> str:
        """How the recipe line says the view."""
        return self.look.views.recipes[self.name].describe()

    @property
    def keeps_places(self) -> bool:
        """What the network reads stands token by token under the clean row."""
        return self.look.views.recipes[self.name].corruption.keeps_places


def seen(looks: Sequence[Look], rows: int) -> list[Seen]:
    """All views of all recipes, with the first `rows` rows token by token."""
    classes = columns_of(looks)
    classes[FREQUENCY] = frequencies(looks[0])
    return [each for look in looks for each in _views(look, classes, rows)]


def _views(look: Look, classes: dict[str, Classed], rows: int) -> list[Seen]:
    found = []
    moments = over_training(look)
    for name, view in look.made.items():
        steer = steering(look, name, view)
        own = dict(classes)
        if steer is not None and (banded := bands(steer, view)) is not None:
            own[f"own {steer.kind}"] = banded
        numbers = figures(view, look.real_BL, look.rows.get("word"))
        numbers |= {"masked_by": masked_by(view, own), "over_training": moments[name]}
        samples = look.rows["sample"].tolist()[:rows]
        shown = [Row(sample, tokens(look, view, row, steer), read(view, row)) for row, sample in enumerate(samples)]
        found.append(Seen(look, name, view, steer, numbers, shown))
    return found


def document(found: Sequence[Seen], examples: bool = True) -> dict[str, Any]:
    """The JSON document: {recipe, progress, refused, views}, or {progress, policies: [{policy, recipe, ...}]} where
    several recipes are seen side by side. examples: the sample rows too."""
    looks = list({id(each.look): each.look for each in found}.values())
    recipes = [_recipe(look, [each for each in found if each.look is look], examples) for look in looks]
    if len(looks) == 1 and not looks[0].policy:
        recipe = {key: value for key, value in recipes[0].items() if key != "policy"}
        return {"recipe": recipe.pop("recipe"), "progress": looks[0].progress, **recipe}
    return {"progress": looks[0].progress, "policies": recipes}


def _recipe(look: Look, found: Sequence[Seen], examples: bool) -> dict[str, Any]:
    reader = Reader(look.prepared.tokenizer)
    views = {}
    for each in found:
        views[each.name] = dict(each.figures)
        if examples:
            views[each.name]["samples"] = [row.sample for row in each.rows]
            views[each.name]["examples"] = [plain_tokens(row.tokens, reader) for row in each.rows]
            views[each.name]["reads"] = [plain_read(row.reads, reader) for row in each.rows]
    return {"policy": look.policy, "recipe": look.recipe.sentence, "refused": look.refused, "views": views}
