"""Masked shares by class against counting by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from maskwright.seeing.shares import FREQUENCY, bands, columns_of, counts, frequencies, masked_by, shares
from maskwright.seeing.steering import steering


def by_hand(view, class_of):
    """(tokens, masked) by class, over maskable positions, by a loop."""
    tokens, masked = Counter(), Counter()
    for row in range(len(view.outcome_BL)):
        for place in view.maskable_BL[row].nonzero()[:, 0].tolist():
            tokens[class_of(row, place)] += 1
            masked[class_of(row, place)] += bool(view.outcome_BL[row, place])
    return {name: (number, masked[name]) for name, number in tokens.items()}


def told(listed):
    assert all(one["share"] == one["masked"] / one["tokens"] for one in listed)
    return {one["class"]: (one["tokens"], one["masked"]) for one in listed}


def test_the_share_of_a_class_is_that_counted_by_hand(look_at, strata):
    look = look_at(*strata)
    view, column = look.made["main"], look.rows["stratum"]
    classes = columns_of([look])
    assert list(classes) == ["stratum"] and list(classes["stratum"].names) == ["(none)", "stop", "easy"]
    found = told(masked_by(view, classes)["stratum"])
    names = classes["stratum"].names
    assert found == by_hand(view, lambda row, place: names[int(column[row, place])])
    assert sum(tokens for tokens, _ in found.values()) == view.maskable_BL.sum()
    assert sum(masked for _, masked in found.values()) == (view.outcome_BL > 0).sum()


def test_a_column_serves_the_recipes_that_do_not_read_it(look_at, strata):
    with_it, without = look_at(*strata), look_at("masking=random")
    assert torch.equal(with_it.rows["ids"], without.rows["ids"])
    classes = columns_of([without, with_it])
    found = told(shares(without.made["main"], classes["stratum"]))
    column, names = with_it.rows["stratum"], classes["stratum"].names
    assert found == by_hand(without.made["main"], lambda row, place: names[int(column[row, place])])


def test_bands_of_frequency_follow_the_corpus(look_at):
    look = look_at("masking=whole_word")
    side = look.prepared.source.train
    number = Counter(int(token) for document in side for token in document.id_T)
    size = look.views.vocabulary.size
    assert counts(side, size).tolist() == [number[token] for token in range(size)]
    rank = {token: place for place, token in enumerate(sorted(range(size), key=lambda token: -number[token]))}
    view, classed = look.made["main"], frequencies(look)
    assert classed.names == ["rank 1-10", "rank 11-100", "rank 101-300"]

    def band(row, place):
        at = rank[int(view.clean_BL[row, place])]
        return classed.names[0 if at < 10 else 1 if at < 100 else 2]

    assert told(shares(view, classed)) == by_hand(view, band)
    assert FREQUENCY == "frequency"


def test_bands_of_weight(look_at, weights):
    look = look_at("masking=random", *weights)
    view = look.made["main"]
    steered = steering(look, "main", view)
    classed = bands(steered, view)
    assert list(classed.names) == ["0.25", "0.5", "1", "4", "8"]
    found = told(shares(view, classed))
    assert found == by_hand(view, lambda row, place: f"{float(steered.value_BL[row, place]):g}")
    rates = [found[name][1] / found[name][0] for name in ("0.25", "1", "8")]
    assert rates == sorted(rates)


def test_bands_of_many_weights_are_fifths(look_at, weights):
    look = look_at("masking=random", *weights)
    view = look.made["main"]
    steered = steering(look, "main", view)
    steered.value_BL = torch.rand(view.outcome_BL.shape, dtype=torch.float64)
    classed = bands(steered, view)
    assert len(classed.names) == 5
    sizes = [one["tokens"] for one in shares(view, classed)]
    assert sum(sizes) == view.maskable_BL.sum() and max(sizes) - min(sizes) <= 2
    steered.value_BL = torch.full_like(steered.value_BL, 2.0)
    assert bands(steered, view) is None


def test_nothing_steers_a_plain_masking(look_at):
    look = look_at("masking=span")
    assert steering(look, "main", look.made["main"]) is None


def test_a_unit_has_the_weight_of_its_first_token(look_at, weights):
    look = look_at("masking=whole_word", *weights)
    view = look.made["main"]
    steered, weight = steering(look, "main", view), look.recipe.views[0].masking.weight
    own_BL, first_BL = weight(look.field(view)), view.unit_BL
    assert torch.equal(steered.value_BL, own_BL.gather(1, first_BL))
    assert not torch.equal(steered.value_BL[view.maskable_BL], own_BL[view.maskable_BL])
    assert steered.most == steered.value_BL[view.maskable_BL].max() and steered.kind == "weight"


def test_rates_by_position_are_shown_as_rates(look_at, strata):
    look = look_at(*strata)
    view = look.made["main"]
    steered = steering(look, "main", view)
    rate_C = torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64)
    assert steered.kind == "rate" and steered.shown(0.5) == "50%"
    word_BL = look.rows["stratum"].gather(1, view.unit_BL)
    assert torch.equal(steered.value_BL, rate_C[word_BL])
    assert steered.full == pytest.approx(0.5)
