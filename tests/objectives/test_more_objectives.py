"""Objectives with several parts against independent computations, invariances and gradients that must be zero."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from tests.masking.columns import Classes
from tests.objectives.small import LENGTH, built, counted_share, mean
from torch.nn import functional

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking import Corruption, Masking, Outcome, ViewRecipe, Views, Vocabulary
from maskwright.masking.budgets import Counted
from maskwright.masking.corruptions import Exchange, Permute, Pool, Replace
from maskwright.masking.draws import Draws
from maskwright.masking.lengths import Fixed
from maskwright.masking.rates import ByClass, Constant
from maskwright.masking.units import Span, Token
from maskwright.masking.weights import ByClass as ClassWeight
from maskwright.objectives import (
    Classify,
    DatedMaskedLM,
    FillAndClassify,
    MaskedLM,
    MaskSpecific,
    MultipleChoice,
    SentenceOrder,
    WordStructure,
)
from maskwright.objectives.choices import lay_options
from maskwright.objectives.mask_specific import position_weights
from maskwright.objectives.sentence_order import ORDER, exchanged
from maskwright.training.recipe import assemble

EXACT = Counted("token", "nearest", "cut", 0, None)
MASK = Replace(1.0, 0.0, 0.0, "token")
LABELS = Classes("label", "bad", "good")
ENTITIES = Classes("entity", "person", "place")
PERIODS = Classes("year", "1800", "1900", "2000")


def with_views(one: Batch, tokenizer, *recipes: ViewRecipe) -> Batch:
    for recipe in recipes:
        recipe.bind(None)
    views = Views(list(recipes), Vocabulary.of(tokenizer), 0, LENGTH, {"word": 3, "entity.units": 3})
    return Batch(one.rows, step=0, progress=0.0, views=views(one.rows, 0.0), seed=0)


def labelled(one: Batch, name: str, classes) -> Batch:
    """The class at every token but specials and padding."""
    ids_BL = one.rows["ids"]
    class_B1 = torch.as_tensor(classes)[:, None]
    one.rows[name] = torch.where(ids_BL >= 5, class_B1, 0)
    return one


# sentence order


def pairs(rows: int) -> dict[str, torch.Tensor]:
    """[CLS] 5 6 7 [SEP] 8 9 [SEP] pad pad, segments 1 and 2; the last row has one segment."""
    ids = torch.tensor([2, 5, 6, 7, 3, 8, 9, 3, 0, 0]).repeat(rows, 1)
    document = torch.tensor([1, 1, 1, 1, 1, 2, 2, 2, 0, 0]).repeat(rows, 1)
    ids[-1], document[-1] = torch.tensor([2, 5, 3, 0, 0, 0, 0, 0, 0, 0]), torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    sample = torch.arange(rows)
    return {"ids": ids, "document": document, "sample": sample, "visit": torch.zeros_like(sample)}


def test_segments_change_places_with_their_separators():
    rows = pairs(3)
    moved = {name: rows[name].gather(1, exchanged(rows["document"])) for name in ("ids", "document")}
    assert moved["ids"][0].tolist() == [2, 8, 9, 3, 5, 6, 7, 3, 0, 0]
    assert moved["document"][0].tolist() == [1, 2, 2, 2, 1, 1, 1, 1, 0, 0]
    assert torch.equal(moved["ids"][2], rows["ids"][2])  # one segment: nothing to exchange
    place = torch.arange(10).expand(3, -1)
    assert torch.equal(exchanged(rows["document"]).sort(1).values, place)  # a permutation: no token is lost


def test_half_of_the_rows_are_exchanged_and_the_labels_say_which():
    rows = pairs(4000)
    arranged = SentenceOrder(1.0).arrange(rows, Draws(0, "rows", rows["visit"], rows["sample"]))
    kept_B = arranged[ORDER]
    assert kept_B.double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(arranged["ids"][kept_B], rows["ids"][kept_B])
    moved = arranged["ids"][:-1][~kept_B[:-1]]
    assert (moved == torch.tensor([2, 8, 9, 3, 5, 6, 7, 3, 0, 0])).all()
    # segments are numbered as they stand, or the numbers would tell
    numbers = arranged["document"][:-1]
    assert (numbers[kept_B[:-1]] == torch.tensor([1, 1, 1, 1, 1, 2, 2, 2, 0, 0])).all()
    assert (numbers[~kept_B[:-1]] == torch.tensor([1, 1, 1, 1, 2, 2, 2, 2, 0, 0])).all()
    assert arranged["document"][-1].tolist() == rows["document"][-1].tolist()
    later = {**rows, "visit": rows["visit"] + 1}
    again = SentenceOrder(1.0).arrange(later, Draws(0, "rows", later["visit"], later["sample"]))[ORDER]
    assert not torch.equal(again, kept_B)


def test_sentence_order_adds_a_loss_to_mlm(model, tokenizer):
    rows = pairs(6)
    objective = built(SentenceOrder(1.0), model("bert", "eager"), tokenizer)
    objective.layout = replace(objective.layout, pairs=True)
    rows = objective.arrange(rows, Draws(0, "rows", rows["visit"], rows["sample"]))
    recipe = ViewRecipe("main", Masking(Token(), EXACT), Constant(0.4), MASK)
    views = Views([recipe], Vocabulary.of(tokenizer), 0, 10, {})
    one = Batch(rows, step=0, progress=0.0, views=views(rows, 0.0))
    plain = built(MaskedLM(), model("bert"), tokenizer)
    plain.layout = objective.layout
    plain.network.load_state_dict(objective.network.state_dict())
    assert mean(objective, one, "mlm").item() == pytest.approx(mean(plain, one, "mlm").item(), rel=1e-6)
    assert objective.where(one)["order"].tolist() == [True] * 5 + [False]
    view = one.views["main"]
    second_BL = (one.rows["document"] == 2).long()
    hidden_BLD = objective.network.hf.bert(
        view.ids_BM, attention_mask=view.valid_BM.long(), token_type_ids=second_BL
    ).last_hidden_state
    logits = objective.order.out(torch.tanh(objective.order.dense(hidden_BLD[:, 0])))[:-1]
    expected = functional.cross_entropy(logits, rows[ORDER][:-1].long())
    assert mean(objective, one, "order").item() == pytest.approx(expected.item(), rel=1e-5)
    objective.layout = replace(objective.layout, length=10)
    assert counted_share(objective, one) == pytest.approx(1, abs=0.02)  # without its own small head


# word structure


def test_word_structure_is_the_mean_over_masked_plus_the_mean_over_moved(model, tokenizer, batch):
    objective = built(WordStructure(), model("bert", "eager"), tokenizer)
    main = ViewRecipe("main", Masking(Token(), EXACT), Constant(0.2), MASK)
    trigrams = Masking(Span(Fixed(3), "token"), Counted("token", "nearest", "allow", 1, None))
    order = ViewRecipe("order", trigrams, Constant(0.2), Corruption([Permute(1.0)], "unit"), "over", "main")
    one = with_views(batch(), tokenizer, main, order)
    masked_BL, moved_BL = (one.views[name].outcome_BL > 0 for name in ("main", "order"))
    assert masked_BL.any() and moved_BL.any() and not (masked_BL & moved_BL).any()
    shown = one.views["order"]
    assert (shown.ids_BM[masked_BL] == 4).all()
    logits = objective.network.hf(input_ids=shown.ids_BM, attention_mask=shown.valid_BM.long()).logits
    for name, chosen_BL in (("mlm", masked_BL), ("structure", moved_BL)):
        expected = functional.cross_entropy(logits[chosen_BL], shown.clean_BL[chosen_BL])
        assert mean(objective, one, name).item() == pytest.approx(expected.item(), rel=1e-5)
    assert counted_share(objective, one) == pytest.approx(1, abs=0.01)


# mask-specific losses


def test_weights_of_masked_entities_are_never_below_those_of_other_masked_tokens():
    for masked, entities in itertools.product(range(1, 9), range(9)):
        masked_BL, entity_BL = torch.zeros(1, 16, dtype=torch.bool), torch.zeros(1, 16, dtype=torch.bool)
        masked_BL[0, :masked] = True
        entity_BL[0, : min(entities, masked)] = True
        entity_BL[0, 12] = True  # an entity that is visible
        weight = position_weights(masked_BL, entity_BL)[0]
        share = min(entities, masked) / masked
        first = math.exp(max(0.5, share)) / (math.exp(max(0.5, share)) + math.exp(min(0.5, share)))
        expected = [1 + (first if place < entities else 1 - first) if place < masked else 1.0 for place in range(16)]
        assert weight.tolist() == pytest.approx(expected)
        assert first >= 0.5


def test_mask_specific_losses_by_hand(model, tokenizer, batch):
    objective = built(MaskSpecific(ENTITIES, 5, 1.0), model("bert"), tokenizer)
    one = batch()
    kinds = torch.randint(0, 3, one.rows["ids"].shape, generator=torch.Generator().manual_seed(4))
    one.rows["entity"] = torch.where(one.rows["ids"] >= 5, kinds, 0)
    view, class_BL = one.views["main"], one.rows["entity"]
    outputs = objective.network.hf(view.ids_BM, attention_mask=view.valid_BM.long(), output_hidden_states=True)
    tags = objective.tagger(torch.cat([outputs.hidden_states[-1], objective.tokens(view.ids_BM)], -1))
    for name, logits, target in (("mlm", outputs.logits, view.clean_BL), ("tags", tags, class_BL)):
        rows = []
        for row in range(len(class_BL)):
            places = view.maskable_BL[row].nonzero()[:, 0].tolist()
            masked = {place for place in places if view.outcome_BL[row, place]}
            share = sum(bool(class_BL[row, place]) for place in masked) / len(masked)
            pair = torch.tensor([max(0.5, share), min(0.5, share)]).softmax(0)
            total = 0.0
            for place in places:
                loss = functional.cross_entropy(logits[row, place], target[row, place]).item()
                extra = pair[0 if class_BL[row, place] else 1].item() if place in masked else 0.0
                total += loss * (1 + extra)
            rows.append(total / len(places) * (1 + len(masked)))
        assert mean(objective, one, name).item() == pytest.approx(sum(rows) / len(rows), rel=1e-4)


# dated text


class Persons:
    name, unit = "persons", "entity.units"
    pool = Pool(
        piece_NS=torch.tensor([[5], [6], [7], [8]]),
        group_N=torch.zeros(4, dtype=torch.int64),
        first_G=torch.tensor([0]),
        size_G=torch.tensor([4]),
        pieces_G=torch.tensor([1]),
    )
    group_of_size = torch.tensor([-1, -1])


def test_dated_text_has_three_losses_over_one_reading(model, tokenizer, batch):
    objective = built(DatedMaskedLM(PERIODS, ENTITIES, 1.0, 1.0), model("bert", "eager"), tokenizer)
    one = labelled(batch(rows=8), "year", [1, 2, 3, 0, 1, 2, 3, 1])
    ids_BL = one.rows["ids"]
    one.rows["entity"] = (ids_BL >= 30).long()  # many entities
    one.rows["entity.units"] = torch.ones_like(ids_BL, dtype=torch.bool)
    one.rows["persons"] = torch.where(ids_BL >= 30, ids_BL % 4, -1)
    main = ViewRecipe("main", Masking(Token(), EXACT), Constant(0.3), MASK)
    exchange = Corruption([Exchange(1.0, Persons(), "unit")], "unit")
    only = ClassWeight(ENTITIES, {"person": 1.0}, 0.0)
    entities = ViewRecipe("entities", Masking(Token(), EXACT, only), Constant(0.2), exchange, "over", "main")
    one = with_views(one, tokenizer, main, entities)
    assert counted_share(objective, one) == pytest.approx(0.95, abs=0.03)  # its own heads are a twentieth of this one
    shown, masked_BL = one.views["entities"], one.views["main"].outcome_BL > 0
    exchanged_BL = shown.outcome_BL == Outcome.REPLACED
    assert exchanged_BL.any() and (one.rows["entity"][exchanged_BL] == 1).all() and not (exchanged_BL & masked_BL).any()
    assert (shown.ids_BM[masked_BL] == 4).all() and (shown.ids_BM[exchanged_BL] <= 8).all()
    hidden = objective.network.hf.bert(shown.ids_BM, attention_mask=shown.valid_BM.long()).last_hidden_state
    logits = objective.network.hf.cls(hidden)
    expected = functional.cross_entropy(logits[masked_BL], shown.clean_BL[masked_BL])
    assert mean(objective, one, "mlm").item() == pytest.approx(expected.item(), rel=1e-5)
    dated_B = torch.tensor([1, 2, 3, 0, 1, 2, 3, 1]) > 0
    periods = torch.tensor([1, 2, 3, 0, 1, 2, 3, 1])[dated_B] - 1
    expected = functional.cross_entropy(objective.date(hidden)[dated_B], periods)
    assert mean(objective, one, "date").item() == pytest.approx(expected.item(), rel=1e-5)
    judged_BL = (one.rows["entity"] > 0) & ~masked_BL
    guesses = objective.exchange(hidden).squeeze(-1)[judged_BL]
    expected = functional.binary_cross_entropy_with_logits(guesses, exchanged_BL[judged_BL].float())
    assert mean(objective, one, "exchanged").item() == pytest.approx(expected.item(), rel=1e-5)


# classification


def test_classification_is_the_loss_that_transformers_computes(model, tokenizer, batch):
    objective = built(Classify(LABELS), model("roberta"), tokenizer)
    one = labelled(batch(), "label", [1, 2, 2, 0, 1, 2])
    view = one.views["main"]
    chosen = torch.tensor([0, 1, 2, 4, 5])
    theirs = objective.network.hf(
        input_ids=view.ids_BM[chosen],
        attention_mask=view.valid_BM[chosen].long(),
        labels=torch.tensor([0, 1, 1, 0, 1]),
    )
    assert mean(objective, one, "classify").item() == pytest.approx(theirs.loss.item(), rel=1e-5)
    assert objective.network.config.id2label == {0: "bad", 1: "good"}


def test_one_class_is_no_classification(model, tokenizer):
    with pytest.raises(RecipeError, match="the column label has 1 classes; a classifier needs at least 2"):
        built(Classify(Classes("label", "only")), model("bert"), tokenizer)


def test_guesses_are_written_back_and_the_label_stays(model, tokenizer, batch):
    """Words of the list are tokens below 20: all of them are masked, guessed, and the guess is what is classified."""
    objective = built(FillAndClassify(LABELS, 0.7), model("bert"), tokenizer)
    one = labelled(batch(), "label", [1, 2, 2, 1, 1, 2])
    listed_BL = (one.rows["ids"] >= 5) & (one.rows["ids"] < 20)
    one.rows["ids"][3] = torch.where(one.rows["ids"][3] >= 5, 40, one.rows["ids"][3])  # a row without such a word
    listed_BL[3] = False
    one.rows["gender"] = listed_BL.long()
    column = Classes("gender", "listed")
    rate = ByClass(column, {"listed": 1.0}, 0.0)
    from maskwright.masking.budgets import Independent

    one = with_views(one, tokenizer, ViewRecipe("main", Masking(Token(), Independent(0)), rate, MASK))
    view = one.views["main"]
    assert torch.equal(view.outcome_BL > 0, listed_BL)  # every listed word is masked, and nothing else
    logits = objective.filler.hf(view.ids_BM, attention_mask=view.valid_BM.long()).logits
    perturbed = torch.where(listed_BL, logits.argmax(-1), view.clean_BL)
    assert torch.equal(perturbed[3], view.clean_BL[3])
    expected = functional.cross_entropy(logits[listed_BL], view.clean_BL[listed_BL])
    assert mean(objective, one, "mlm").item() == pytest.approx(expected.item(), rel=1e-5)
    classes = objective.classifier.hf(perturbed, attention_mask=view.valid_BM.long()).logits
    expected = functional.cross_entropy(classes, torch.tensor([0, 1, 1, 0, 0, 1]))
    assert mean(objective, one, "classify").item() == pytest.approx(expected.item(), rel=1e-5)
    # the guess is discrete: classification teaches the filling head nothing
    objective.zero_grad()
    mean(objective, one, "classify").backward()
    assert all(parameter.grad is None for parameter in objective.filler.hf.cls.predictions.transform.parameters())
    assert objective.classifier.word_embeddings.weight.grad.abs().sum() > 0


# multiple choice


@pytest.fixture(scope="module")
def chooser(model, tokenizer):
    import copy

    own = copy.deepcopy(tokenizer)
    own.add_tokens(["[OPTION]"])
    return built(MultipleChoice(LABELS, 3, "[OPTION]"), model("bert", max_position_embeddings=40), own), len(own) - 1


def question(marker, options, length=24):
    tokens = [2, 10, 11, 12, 13]
    for option in options:
        tokens += [marker, *option]
    tokens.append(3)
    ids = torch.zeros(1, length, dtype=torch.int64)
    ids[0, : len(tokens)] = torch.tensor(tokens)
    return ids, ids > 0


@torch.no_grad()
def test_exchanging_options_exchanges_their_scores(chooser):
    objective, marker = chooser
    options = [[20, 21], [30], [25, 26, 27]]
    before = objective.scores(*question(marker, options))[0]
    for order in itertools.permutations(range(3)):
        after = objective.scores(*question(marker, [options[i] for i in order]))[0]
        torch.testing.assert_close(after, before[list(order)], rtol=1e-5, atol=1e-6)
    changed = objective.scores(*question(marker, [[20, 22], [30], [25, 26, 27]]))[0]
    torch.testing.assert_close(changed[1:], before[1:], rtol=1e-5, atol=1e-6)  # an option sees no other one
    assert (changed[0] - before[0]).abs() > 1e-4


@torch.no_grad()
def test_each_option_reads_as_if_it_stood_alone_behind_the_passage(chooser):
    objective, marker = chooser
    options = [[20, 21], [30], [25, 26, 27]]
    together = objective.scores(*question(marker, options))[0]
    for number, option in enumerate(options):
        alone = objective.scores(*question(marker, [option]))[0]
        torch.testing.assert_close(alone[0], together[number], rtol=1e-5, atol=1e-6)
        assert (alone[1:] < -1e30).all()


def test_rows_without_all_options_do_not_count(chooser):
    objective, marker = chooser
    rows = [question(marker, [[20], [21], [22]]), question(marker, [[20], [21]])]
    ids = torch.cat([ids for ids, _ in rows])
    one = Batch({"ids": ids, "label": torch.ones_like(ids), "document": (ids > 0).long()}, 0, 0.0)
    assert objective.where(one)["choice"].tolist() == [True, False]
    laid = lay_options(ids, ids > 0, marker, 3, 3)
    assert laid.position_BL[0, :12].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 6, 5, 6, 11]
    assert laid.number_BL[0, :12].tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, -1]


@pytest.mark.parametrize("objective", ["mslm", "classify", "multiple_choice", "clm"])
@pytest.mark.parametrize("asked", ["prediction", "loss_weight"])
def test_what_an_objective_would_not_look_at_is_refused(objective, asked, compose, tmp_path):
    (tmp_path / "names.txt").write_text("Congress\n")
    (tmp_path / "weights.json").write_text('{"the": 0.5}')
    parts = {"prediction": ["prediction=share", "prediction.value=0.1"],
             "loss_weight": ["loss_weight=table", f"loss_weight.file={tmp_path / 'weights.json'}"]}  # fmt: skip
    needs = {"mslm": [f"masking.unit.column.spans.file={tmp_path / 'names.txt'}"]}.get(objective, [])
    with pytest.raises(RecipeError, match=rf"^{asked} says which masked .* objective={objective} has no loss at each"):
        assemble(*compose(f"objective={objective}", *parts[asked], *needs))
    assemble(*compose(f"objective={objective}", *needs))
