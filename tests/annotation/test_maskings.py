"""The laws of maskings over spans and classes, from the command line's words to the masks, on 10^5 positions."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from maskwright.annotation.spans import SpanTypes, SpanUnits
from maskwright.masking import Outcome

PLAIN = ("packing=document", "packing.length=48", "tokenizer.vocabulary=400", "hardware=cpu", "logger=none")


class Made:
    """A recipe on its data; `masks(progress)` makes the view of many visits of all training rows."""

    def __init__(self, compose, *words, positions=100_000):
        from maskwright.training.recipe import assemble

        cfg, choices = compose(*PLAIN, *words, small=False)
        self.recipe = assemble(cfg, choices)
        self.prepared = self.recipe.prepare(cfg)
        self.views = self.recipe.bind(self.prepared, 1)
        rows = self.prepared.train.take(np.arange(len(self.prepared.train)))
        visits = math.ceil(positions / int((rows["document"] > 0).sum()))
        self.rows = {name: torch.cat([column] * visits) for name, column in rows.items()}
        self.rows["visit"] = torch.arange(visits).repeat_interleave(len(self.prepared.train))

    def masks(self, progress=0.0):
        view = self.views(self.rows, progress)["main"]
        return view, view.outcome_BL > 0

    def units(self, column, view):
        """Int64 [B, L]: the number of each position's unit, counted over all rows."""
        starts = self.rows[column].bool() | ~view.maskable_BL
        starts[:, 0] = True
        return starts.flatten().long().cumsum(0).view_as(starts) - 1


def share(part, whole):
    """The share of `part` in `whole`, and four times its standard error."""
    number, hits = int(whole.sum()), int((part & whole).sum())
    assert number > 300
    rate = hits / number
    return rate, 4 * math.sqrt(max(rate * (1 - rate), 1e-4) / number)


def near(measured, expected):
    rate, error = measured
    assert abs(rate - expected) < error, (rate, expected, error)


def sizes(unit, view):
    """Int64 [U]: the maskable tokens of each unit."""
    return torch.bincount(unit[view.maskable_BL], minlength=int(unit.max()) + 1)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory, addresses):
    """A treebank of made-up sentences: tags from a lexicon, entities of one to three words in IOB tags beside them."""
    folder = tmp_path_factory.mktemp("tagged")
    rng = random.Random(0)
    words = sorted({word for text in addresses for word in text.split() if word.isalpha()})[:600]
    tag_of = {word: rng.choice(("NOUN", "VERB", "DET", "ADP", "ADJ")) for word in words}
    tags, names = [], []
    for _ in range(500):
        sentence = rng.choices(words, k=rng.randrange(8, 24))
        tags.append("\n".join(f"{word} {tag_of[word]}" for word in sentence))
        lines, inside, kind = [], 0, ""
        for word in sentence:
            if inside:
                lines.append(f"{word} I-{kind}")
                inside -= 1
            elif rng.random() < 0.15:
                kind, inside = rng.choice(("PER", "LOC")), rng.randrange(3)
                lines.append(f"{word} B-{kind}")
            else:
                lines.append(f"{word} O")
        names.append("\n".join(lines))
    (folder / "tags.txt").write_text("\n\n".join(tags), encoding="utf-8")
    (folder / "names.txt").write_text("\n\n".join(names), encoding="utf-8")
    (folder / "stop.txt").write_text("\n".join(words[:200]), encoding="utf-8")
    (folder / "easy.txt").write_text("\n".join(words[150:400]), encoding="utf-8")  # 50 words are in both lists
    return folder


def corpus(folder, name):
    return ("data=conll", f"data.files={folder}/{name}.txt", "data.heldout=0.05")


NAMES = "masking.unit.column.spans.column=tags"


def whole(masked, unit, view):
    """Bool [U]: which units are masked; none may be masked in part."""
    maskable = view.maskable_BL.flatten()
    unit = unit.flatten()[maskable]
    some = torch.zeros(int(unit.max()) + 1).scatter_reduce(0, unit, masked.flatten()[maskable].float(), "amax")
    every = torch.ones_like(some).scatter_reduce(0, unit, masked.flatten()[maskable].float(), "amin")
    there = torch.bincount(unit, minlength=len(some)) > 0
    assert (some == every)[there].all()
    return some.bool(), there


def test_entities_are_whole(compose, tagged):
    made = Made(compose, *corpus(tagged, "names"), "masking=entity", NAMES, "rate=constant_15")
    view, masked = made.masks()
    unit = made.units("entity", view)
    whole(masked, unit, view)
    near(share(masked, view.maskable_BL), 0.15)
    assert made.prepared.train.longest["entity"] > made.prepared.train.longest["word"]
    alone = Made(
        compose, *corpus(tagged, "names"), "masking=entity", NAMES, "rate.value=1.0", "masking/weight=spans_only"
    )
    view, masked = alone.masks()
    assert torch.equal(masked, (alone.rows["covered"] > 0) & view.maskable_BL)  # every one of them, and nothing else


def test_lem_takes_one_token_of_a_span(compose, tagged):
    """arXiv 2501.05700: no two selected tokens share a span, none lies outside the allowed types, spans may run out."""
    sources = "masking.unit.column.spans.sources"
    made = Made(
        compose, *corpus(tagged, "tags"), "masking=lem", f"{sources}.entities.column=tags",
        f"{sources}.entities.types=[ADJ]", f"{sources}.tags.column=tags", "rate.value=0.4",
    )  # fmt: skip
    view, masked = made.masks()
    unit = made.units("linguistic", view)
    allowed = made.rows["covered"] > 0
    assert not (masked & ~allowed).any()
    assert int(torch.bincount(unit[masked]).max()) == 1
    spans = torch.zeros(len(unit), dtype=torch.long)
    for row in range(len(unit)):
        spans[row] = len(set(unit[row][allowed[row] & view.maskable_BL[row]].tolist()))
    budget = (0.4 * view.maskable_BL.sum(1) + 0.5 + 1e-9).floor().long().clamp(min=1)  # one of a single token
    assert torch.equal(masked.sum(1), torch.minimum(spans, budget)) and (spans < budget).any()
    size = sizes(unit, view)
    starts = torch.cat([torch.ones(1, dtype=torch.bool), unit.flatten().diff() > 0]).view_as(unit)
    pairs = masked & (size[unit] == 2)
    near(share(starts, pairs), 0.5)  # either token of two is as likely


def test_one_token_of_each_entity(compose, tagged):
    made = Made(compose, *corpus(tagged, "names"), "masking=entity_token", NAMES, "rate.value=0.1")
    view, masked = made.masks()
    assert not (masked & (made.rows["covered"] == 0)).any()
    assert int(torch.bincount(made.units("entity", view)[masked]).max()) == 1


def test_kidlm_has_a_rate_for_each_list(compose, tagged):
    """arXiv 2410.03884: each stratum's own rate in words drawn one by one; the first list decides."""
    lists = [f"rate.column.strata.{name}={tagged}/{name}.txt" for name in ("stop", "easy")]
    made = Made(
        compose, *corpus(tagged, "tags"), "masking=whole_word", "masking/budget=expected", "rate=by_stratum", *lists,
        positions=300_000,
    )  # fmt: skip
    view, masked = made.masks()
    firsts = made.rows["word"].bool() & view.maskable_BL
    whole(masked, made.units("word", view), view)
    for number, rate in ((1, 0.15), (2, 0.20), (0, 0.25)):
        near(share(masked, firsts & (made.rows["stratum"] == number)), rate)
    both = set((tagged / "stop.txt").read_text().split()) & set((tagged / "easy.txt").read_text().split())
    assert len(both) == 50
    document = next(one for one in made.prepared.source.train if both & set(one.words))
    column = next(column for column in made.recipe.columns if getattr(column, "name", "") == "stratum")
    class_W = column.mark(document)[document.begins_T]
    assert {int(kind) for kind, word in zip(class_W, document.words) if word in both} == {1}


def test_ernie_changes_its_units(compose, tagged):
    """arXiv 1904.09223: tokens, then phrases, then entities; whole, and each at the rate, whatever its length."""
    phrases, names = (f"masking.unit.units.{number}.column.spans" for number in (1, 2))
    made = Made(
        compose, *corpus(tagged, "names"), "masking=ernie", f"{phrases}.column=tags", f"{phrases}.types=[LOC]",
        f"{names}.column=tags", f"{names}.types=[PER]", "rate=constant_15", positions=200_000,
    )  # fmt: skip
    covered = {
        name: SpanTypes(name, made.recipe.views[0].masking.unit.units[stage].column.spans, [kind], None)
        for stage, (name, kind) in ((1, ("phrase", "LOC")), (2, ("entity", "PER")))
    }
    assert covered["phrase"].names == ["", "LOC"]
    for progress, column in ((0.1, None), (0.5, "phrase"), (0.9, "entity")):
        view, masked = made.masks(progress)
        near(share(masked, view.maskable_BL), 0.15)
        for name in ("phrase", "entity"):
            unit = made.units(name, view)
            if name == column:
                some, there = whole(masked, unit, view)
                for length in (1, 2, 3, 4):
                    near(share(some, there & (sizes(unit, view)[: len(some)] == length)), 0.15)
            else:
                with pytest.raises(AssertionError):
                    whole(masked, unit, view)


def test_words_in_some_rows_and_tokens_in_others(compose, tagged):
    made = Made(
        compose, *corpus(tagged, "tags"), "masking=word_or_token", "masking.unit.shares=[0.3,0.7]",
        "masking/budget=expected", "rate.value=0.5", positions=200_000,
    )  # fmt: skip
    view, masked = made.masks()
    inside = ~made.rows["word"][:, 1:].bool() & view.maskable_BL[:, 1:] & view.maskable_BL[:, :-1]
    split = (masked[:, 1:] != masked[:, :-1]) & inside
    # A word's second token differs from its first in half of the cases, in rows of single tokens.
    near(share(split, inside), 0.7 * 0.5)
    rows = split.any(1)[inside.sum(1) >= 12]
    assert abs(rows.float().mean().item() - 0.7) < 4 * math.sqrt(0.21 / len(rows))


@pytest.fixture(scope="module")
def dated(tmp_path_factory, addresses):
    folder = tmp_path_factory.mktemp("dated")
    rng = random.Random(0)
    words = [word for text in addresses for word in text.split() if word.isalpha() and word.islower()]
    when = ("in 1898", "on July 4, 1776", "before", "two years ago", "the nineteenth century", "during")
    lines = [
        " ".join(f"{' '.join(rng.choices(words, k=rng.randrange(6, 16)))} {rng.choice(when)}" for _ in range(3))
        for _ in range(300)
    ]
    (folder / "dated.txt").write_text("\n".join(lines), encoding="utf-8")
    return ("data=text", f"data.files={folder}/dated.txt", "data.document=line")


def test_bitimebert_masks_some_expressions_and_no_other(compose, dated):
    """arXiv 2406.01863: 30 % of the expressions, whole; of the others never a token; the budget is met exactly."""
    made = Made(compose, *dated, "masking=bitime", "rate.value=0.3", positions=200_000)
    view, masked = made.masks()
    unit, temporal = made.units("temporal", view), made.rows["temporal_type"] > 0
    budget = (0.3 * view.maskable_BL.sum(1).double() - 1e-9).ceil().long()
    enough = (view.maskable_BL & ~temporal).sum(1) >= budget  # else what is left of a text may be time alone
    assert torch.equal(masked.sum(1)[enough], budget[enough]) and enough.float().mean() > 0.9
    assert (masked.sum(1) <= budget).all()
    some, there = whole(masked, unit, view)  # outside, a unit is a token
    spans = torch.zeros_like(there)
    spans[unit[temporal & view.maskable_BL]] = True
    near(share(some, spans), 0.3)
    assert 0.2 < share(masked, view.maskable_BL & ~temporal)[0] < 0.4
    signals = Made(compose, *dated, "masking=bitime", "masking.unit.column.spans.types=[signal]",
                   "masking.weight.column.spans.types=[signal]")  # fmt: skip
    kinds = signals.recipe.views[0].masking.weight.column.names
    assert kinds == ["", "signal"] and 0 < (signals.rows["temporal_type"] > 0).sum() < temporal.sum()


def test_temporal_and_sentence_units_are_whole(compose, dated):
    for masking in ("temporal", "sentence"):
        made = Made(compose, *dated, f"masking={masking}", "rate=constant_15", positions=300_000)
        view, masked = made.masks()
        whole(masked, made.units(masking, view), view)
        # Tokens of a sentence share their fate, so rows are what varies independently.
        over_B = masked.sum(1).double() - 0.15 * view.maskable_BL.sum(1)
        assert abs(over_B.mean()) < 4 * over_B.std() / len(over_B) ** 0.5 < 0.7


def test_parts_of_speech_as_weights(compose, tagged):
    """P(masked) = 1 - (1 - t)^w, at the deadline t of each row at which the mean is the rate."""
    from scipy.optimize import brentq

    made = Made(
        compose, *corpus(tagged, "tags"), "masking=random", "masking/weight=pos", "masking/budget=expected",
        "masking.weight.column.column=tags", "rate.value=0.2", positions=300_000,
    )  # fmt: skip
    view, masked = made.masks()
    near(share(masked, view.maskable_BL), 0.2)
    names = made.recipe.views[0].masking.weight.column.names
    content = sum(made.rows["pos"] == names.index(tag) for tag in ("NOUN", "VERB", "ADJ")) > 0
    expected = torch.zeros(len(masked), 2, dtype=torch.float64)
    for row, (heavy, light) in enumerate(zip((content & view.maskable_BL).sum(1).tolist(),
                                             (~content & view.maskable_BL).sum(1).tolist())):  # fmt: skip
        wanted = 0.2 * (heavy + light)
        most = heavy + light if light else heavy
        time = brentq(lambda t: heavy * t + light * (1 - (1 - t) ** 0.2) - wanted, 0, 1) if wanted < most else 1.0  # noqa: B023
        expected[row] = torch.tensor([heavy * time, light * (1 - (1 - time) ** 0.2)])
    for kind, among in enumerate((content & view.maskable_BL, ~content & view.maskable_BL)):
        near(share(masked, among), float(expected[:, kind].sum() / among.sum()))
    assert expected[:, 0].sum() / content.sum() > 0.25  # far from the 0.2 of words chosen alike


def test_losses_of_parts_of_speech_move_the_choice(compose, tagged):
    """arXiv 2208.10806: equal losses choose words alike; a class with a high loss gains, the others stay alike."""
    made = Made(
        compose, *corpus(tagged, "tags"), "masking=whole_word", "masking/weight=pos_loss", "rate=constant_15",
        "masking/budget=exact", "masking.budget.overshoot=skip", "masking.budget.at_least=1",
        "masking.weight.column.column=tags", positions=200_000,
    )  # fmt: skip
    weight = made.recipe.views[0].masking.weight
    tags = ("NOUN", "VERB", "DET", "ADP", "ADJ")
    number = {tag: weight.column.names.index(tag) for tag in tags}
    view, masked = made.masks()
    firsts = made.rows["word"].bool() & view.maskable_BL
    whole(masked, made.units("word", view), view)
    unit = made.units("word", view)
    alike = firsts & (sizes(unit, view)[unit] == 1)  # long words are skipped more often, whatever their tag
    before = {tag: share(masked, alike & (made.rows["pos"] == value)) for tag, value in number.items()}
    for tag in tags[1:]:
        assert abs(before[tag][0] - before["NOUN"][0]) < before[tag][1] + before["NOUN"][1]
    weight.live.average_C[number["NOUN"]] = 5.0
    chance = weight.weights_C()
    assert chance[number["NOUN"]] > 0.95 and torch.equal(chance[number["VERB"]], chance[number["DET"]])
    _, masked = made.masks()
    after = {tag: share(masked, alike & (made.rows["pos"] == value)) for tag, value in number.items()}
    assert after["NOUN"][0] > 1.3 * before["NOUN"][0]
    for tag in tags[2:]:
        assert abs(after[tag][0] - after["VERB"][0]) < after[tag][1] + after["VERB"][1]
        assert after[tag][0] < before[tag][0]


def test_mslm_has_two_pools(compose, tagged):
    """arXiv 2403.18025: entities whole at their own rate, other tokens one by one at theirs."""
    made = Made(
        compose, *corpus(tagged, "names"), "masking=mslm", NAMES, "rate=by_entity", "rate.rates.entity=0.6",
        "rate.other=0.1", positions=200_000,
    )  # fmt: skip
    view, masked = made.masks()
    unit, inside = made.units("entity", view), made.rows["entity_rate"] > 0
    some, there = whole(masked, unit, view)
    spans = torch.zeros_like(there)
    spans[unit[inside & view.maskable_BL]] = True
    near(share(some, spans), 0.6)
    near(share(masked, view.maskable_BL & ~inside), 0.1)
    longer = sizes(unit, view)[: len(some)] >= 5
    near(share(some, spans & longer), 0.6)


def test_entity_types_alone(compose, tagged):
    made = Made(
        compose, *corpus(tagged, "names"), "masking=whole_word", "masking/weight=entity_types", "rate.value=0.1",
        "masking.weight.column.spans.column=tags", "masking.weight.column.types=[LOC]",
    )  # fmt: skip
    _, masked = made.masks()
    chosen = made.rows["entity_type"] > 0
    assert masked.any() and not (masked & ~chosen).any()
    kinds = {place["type"] for one in made.prepared.source.train for place in one.fields["tags"]}
    assert kinds == {"PER", "LOC"}
    assert chosen.float().mean() < 0.2


def test_keyphrases_and_phrases_from_a_file(compose, dated, tmp_path):
    (tmp_path / "phrases.txt").write_text("nineteenth century\nTwo years\n")
    for masking, found in (("keyphrase", 2), ("phrase", 1)):  # keyphrases match whatever the case
        made = Made(
            compose, *dated, f"masking={masking}", "masking/weight=spans_only", "rate.value=1.0",
            f"masking.unit.column.spans.file={tmp_path}/phrases.txt", positions=1000,
        )  # fmt: skip
        view, masked = made.masks()
        text = made.prepared.tokenizer.decode(view.clean_BL[masked].tolist())
        assert ("two years" in text) == (found == 2) and "nineteenth century" in text
        assert set(text.split()) <= {"two", "years", "nineteenth", "century"}


def test_metadata_has_its_own_rate_and_its_own_values(compose, tmp_path, addresses):
    """arXiv 2211.10086: metadata at its own rate, random tokens from the values of the field, markers never masked."""
    import json

    with (tmp_path / "rows.jsonl").open("w") as file:
        for number in range(200):
            text = addresses[number % 20][37 * number % 9000 :][:150]
            file.write(json.dumps({"text": text, "year": str(1800 + 7 * (number % 12))}) + "\n")
    made = Made(
        compose, "data=text", f"data.files={tmp_path}/rows.jsonl", "data.columns=[year]", "cleaning=metadata",
        "masking=random", "masking/budget=expected", "rate=by_metadata", "rate.rates.date=0.6", "rate.other=0.1",
        "corruption=bert_metadata", positions=200_000,
    )  # fmt: skip
    view, masked = made.masks()
    metadata = made.rows["metadata"] > 0
    near(share(masked, metadata & view.maskable_BL), 0.6)
    near(share(masked, ~metadata & view.maskable_BL), 0.1)
    marker = made.prepared.tokenizer.convert_tokens_to_ids("[DATE]")
    assert (view.clean_BL == marker).any() and not (masked & (view.clean_BL == marker)).any()
    drawn = view.ids_BM[(view.outcome_BL == Outcome.RANDOM) & metadata]
    assert len(drawn) > 300 and set(drawn.tolist()) <= set(view.clean_BL[metadata].tolist())
    assert not (view.ids_BM[view.outcome_BL == Outcome.RANDOM] == marker).any()


def test_options_that_read_another_groups_spans_say_so(compose):
    from maskwright.errors import RecipeError
    from maskwright.training.recipe import assemble

    with pytest.raises(RecipeError, match=r"^masking reads a setting of another group that this recipe lacks"):
        assemble(*compose("masking=random", "masking/weight=spans_only"))
    with pytest.raises(RecipeError, match=r"^entities need one place to come from: set one of column"):
        assemble(*compose("masking=entity"))
    with pytest.raises(RecipeError, match=r"^the column pos needs parts of speech: set column"):
        assemble(*compose("masking/weight=pos"))
    with pytest.raises(RecipeError, match=r"^strata.stop is not set"):
        assemble(*compose("rate=by_stratum"))


def test_annotators_name_their_settings():
    """Equal settings mean equal columns: what shapes a column is in its key."""
    from maskwright.annotation.sources import ColumnSpans

    one = SpanUnits("a", ColumnSpans("x"), "word")
    assert one.settings() == SpanUnits("b", ColumnSpans("x"), "word").settings()
    others = [SpanUnits("a", ColumnSpans("y"), "word"), SpanUnits("a", ColumnSpans("x"), "token")]
    assert all(other.settings() != one.settings() for other in others)
