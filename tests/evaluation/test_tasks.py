"""Tasks: examples, heads' targets and metrics against sklearn, conll's rule and hand counts."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn import metrics

from maskwright.errors import RecipeError
from maskwright.evaluation.tasks import Encode, collate, make
from maskwright.evaluation.tasks.tagging import entities, first_tokens, is_iob, span_f1
from maskwright.evaluation.tasks.text import class_metrics, number_metrics


@pytest.mark.parametrize("wrong", [1, 162, 354])
def test_a_constant_guess_correlates_with_nothing(wrong):
    truth = [0] * wrong + [1] * 354
    assert class_metrics([1] * len(truth), truth, 2)["mcc"] == 0 == metrics.matthews_corrcoef(truth, [1] * len(truth))
    assert class_metrics(truth, [1] * len(truth), 2)["mcc"] == 0


def test_class_metrics_are_sklearns():
    random_ = np.random.default_rng(0)
    for classes in (2, 4):
        truth, said = random_.integers(0, classes, 200), random_.integers(0, classes, 200)
        found = class_metrics(said.tolist(), truth.tolist(), classes)
        assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
        assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(truth, said), abs=1e-5)
        average = "binary" if classes == 2 else "macro"
        assert found["f1"] == pytest.approx(metrics.f1_score(truth, said, average=average), abs=1e-5)


def test_number_metrics():
    truth = [0.0, 1.0, 2.0, 5.0]
    found = number_metrics([0.1, 0.9, 2.5, 3.0], truth)
    assert found["spearman"] == pytest.approx(1) and found["negative_mse"] == pytest.approx(
        -np.mean([0.01, 0.01, 0.25, 4])
    )
    assert found["pearson"] == pytest.approx(np.corrcoef([0.1, 0.9, 2.5, 3.0], truth)[0, 1])
    assert number_metrics([1.0] * 4, truth)["spearman"] == 0


def test_entities_as_conlleval_reads_them():
    assert entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-PER"]) == {
        (0, 2, "PER"), (3, 4, "LOC"), (4, 5, "LOC"), (5, 6, "PER"),
    }  # fmt: skip
    assert entities(["O", "O"]) == set() and entities(["B-A"]) == {(0, 1, "A")}
    assert span_f1([(["B-A", "I-A", "O"], ["B-A", "I-A", "O"]), (["B-A"], ["O"])]) == pytest.approx(2 / 3)
    assert span_f1([(["B-A", "O"], ["B-A", "I-A"])]) == 0  # both ends must agree
    assert span_f1([(["O"], ["O"])]) == 0
    assert is_iob(["O", "B-x", "I-x"]) and not is_iob(["O"]) and not is_iob(["NOUN", "O"])


def test_entities_against_a_slow_reading():
    draw = random.Random(0)
    for _ in range(200):
        tags = draw.choices(["O", "B-a", "I-a", "B-b", "I-b"], k=8)
        slow, open_ = [], None
        for place, tag in enumerate(tags):
            if open_ and not (tag[0] == "I" and tag[2:] == open_[1]):
                slow.append((open_[0], place, open_[1]))
                open_ = None
            if tag != "O" and open_ is None:
                open_ = (place, tag[2:])
        if open_:
            slow.append((open_[0], 8, open_[1]))
        assert entities(tags) == set(slow)


@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe"])
def test_words_are_read_at_their_first_token(tokenizer, subject):
    bert = subject("bert", tokenizer)
    encode = Encode(bert.tokenizer, 96, 0)
    forms = ["Travellers", "'", "state-of-the-art", "lost", "旅", "."]
    task = make("tagging", None, None, None)
    rows = [{"form": forms, "upos": ["NOUN", "PUNCT", "ADJ", "VERB", "X", "PUNCT"]}]
    task.learn(rows)
    (example,) = task.examples(rows, encode)
    places = example.facts["place_K"]
    assert len(places) == len(forms) and (np.diff(places) > 0).all() and places[0] == 1
    ids = bert.tokenizer(" ".join(forms))
    for form, place in zip(forms, places, strict=True):
        start, end = ids.token_to_chars(int(place))
        first = " ".join(forms).index(form)
        assert start <= first < end
    assert example.ids_L.tolist() == ids["input_ids"]


def test_words_that_are_cut_away_count_as_wrong(subject):
    bert = subject("bert")
    task = make("tagging", None, None, None)
    rows = [{"form": ["the", "art", "lost"] * 3, "upos": ["D", "N", "V"] * 3}]
    task.learn(rows)
    encode = Encode(bert.tokenizer, 6, 0)
    (example,) = task.examples(rows, encode)
    assert encode.truncated == 1 and (example.facts["place_K"] >= 0).sum() == 4
    perfect = task.measure([example.target.tolist()], [example])
    assert perfect["accuracy"] == pytest.approx(4 / 9)
    batch = collate(task, [example], 0, torch.device("cpu"))
    assert (batch.targets["target_BK"] >= 0).sum() == 4  # and nothing is learned from them


def test_tags_that_training_never_showed(subject):
    task = make("tagging", None, None, None)
    task.learn([{"form": ["the", "art"], "upos": ["D", "N"]}])
    (example,) = task.examples(
        [{"form": ["the", "lost"], "upos": ["D", "V"]}], Encode(subject("bert").tokenizer, 96, 0)
    )
    assert task.measure([[0, 1]], [example])["accuracy"] == 0.5
    assert first_tokens(
        Encode(subject("bert").tokenizer, 96, 0)([("",)])[0], np.array([0]), np.array([1])
    ).tolist() == [-1]


def test_pairs_are_joined_and_the_longer_is_cut(subject):
    bert = subject("bert")
    encode = Encode(bert.tokenizer, 8, 0)
    (encoding,) = encode([("the art", "the lost lost lost lost lost")])
    assert bert.tokenizer.convert_ids_to_tokens(encoding.ids) == [
        "[CLS]", "the", "art", "[SEP]", "the", "lost", "lost", "[SEP]",
    ]  # fmt: skip
    assert encode.truncated == 1
    assert len(Encode(bert.tokenizer, 96, 0)([("the art", "lost")])[0]) == 6


def test_classes_and_their_faults(subject):
    encode = Encode(subject("bert").tokenizer, 96, 0)
    task = make("classification", "sentence", None, "mcc")
    task.learn([{"sentence": "a", "label": 1}, {"sentence": "b", "label": "0"}])
    assert task.classes == ["0", "1"] and task.metric == "mcc" and task.columns == ("sentence", "label")
    examples = task.examples([{"sentence": "a", "label": 0}], encode)
    assert task.baseline([{"label": 1}, {"label": 1}, {"label": 0}], examples)["accuracy"] == 0
    with pytest.raises(RecipeError, match="the class 'x' does not occur in the training rows"):
        task.examples([{"sentence": "a", "label": "x"}], encode)
    with pytest.raises(RecipeError, match="have the one class '1'"):
        task.learn([{"sentence": "a", "label": 1}])


def test_numbers_and_their_faults(subject):
    encode = Encode(subject("bert").tokenizer, 96, 0)
    task = make("regression", None, None, None)
    rows = [{"sentence1": "a", "sentence2": "b", "score": "1"}, {"sentence1": "a", "sentence2": "b", "score": 3}]
    task.learn(rows)
    assert (task.mean, task.spread) == (2.0, 1.0)
    targets = task.targets(task.examples(rows, encode), 9)
    outputs = torch.tensor([[-1.0], [1.0]])
    assert task.loss(outputs, targets) == 0 and task.say(outputs, targets) == [1.0, 3.0]
    with pytest.raises(RecipeError, match="'high' is no number"):
        task.learn([{"score": "high"}])
    with pytest.raises(RecipeError, match="every training row has"):
        task.learn([{"score": 1}, {"score": "1.0"}])


CONTEXT = "the traveller lost the souvenir. careless children lost the art of the state in 1984."


def question(text: str, answer: str, **more):
    return {
        "question": text,
        "context": CONTEXT,
        "answers": [{"text": answer, "answer_start": CONTEXT.index(answer)}],
    } | more


def test_spans_find_their_answers_in_every_window(subject):
    bert = subject("bert")
    task = make("spans", None, None, None)
    rows = [question("who lost", "careless children"), question("the art", "the state")]
    task.learn(rows)
    examples = task.examples(rows, Encode(bert.tokenizer, 16, 0))
    assert len(examples) > 4
    seen = set()
    for example in examples:
        first, last = example.target
        if first:
            offsets = example.facts["offsets"]
            assert CONTEXT[offsets[first, 0] : offsets[last, 1]] in ("careless children", "the state")
            seen.add(example.facts["question"])
        batch = collate(task, [example], 0, torch.device("cpu"))
        allowed = batch.targets["allowed_BL"][0]
        assert allowed[0] and not allowed[1]  # the question is no answer
    assert seen == {0, 1}


def test_spans_that_are_known_measure_1(subject):
    bert = subject("bert")
    task = make("spans", None, None, None)
    texts = ["in 1984", "the state"]
    answers = {"text": texts, "answer_start": [CONTEXT.index(text) for text in texts]}
    rows = [question("who lost", "careless children"), question("the art", "the state", answers=answers)]
    examples = task.examples(rows, Encode(bert.tokenizer, 20, 0))
    said = []
    for example in examples:
        batch = collate(task, [example], 0, torch.device("cpu"))
        logits = torch.zeros(1, len(example.ids_L), 2)
        first, last = example.target
        logits[0, first, 0] = logits[0, last, 1] = 9.0
        said += task.say(logits, batch.targets)
    assert task.measure(said, examples) == {"f1": 1.0, "exact_match": 1.0}
    assert task.measure([(0.0, 1, 1)] * len(examples), examples)["exact_match"] == 0


def test_the_best_span_by_brute_force(subject):
    task = make("spans", None, None, None)
    rows = [question("who", "children")]
    (example,) = task.examples(rows, Encode(subject("bert").tokenizer, 96, 0))
    batch = collate(task, [example], 0, torch.device("cpu"))
    torch.manual_seed(0)
    logits = torch.randn(1, len(example.ids_L), 2)
    ((score, first, last),) = task.say(logits, batch.targets)
    allowed = batch.targets["allowed_BL"][0].clone()
    allowed[0] = False
    spans = [(i, j) for i in range(len(allowed)) for j in range(i, min(i + 30, len(allowed)))]
    best = max((logits[0, i, 0] + logits[0, j, 1], i, j) for i, j in spans if allowed[i] and allowed[j])
    assert (first, last) == best[1:] and score == pytest.approx(float(best[0] - logits[0, 0].sum()), abs=1e-5)


def test_mistakes_are_named(subject):
    for arguments, sentence in (
        (("parsing", None, None, None), "evaluation.task is 'parsing'; choose one of classification, regression"),
        (("classification", ["a", "b", "c"], None, None), "has 3 columns; task=classification takes 1 or 2"),
        (("spans", "a", None, None), "has 1 columns; task=spans takes 2"),
        (("tagging", None, None, "mcc"), "evaluation.metric is 'mcc'; task=tagging measures accuracy, f1, span_f1"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            make(*arguments)
    encode = Encode(subject("bert").tokenizer, 96, 0)
    with pytest.raises(RecipeError, match="must hold one list per sentence"):
        make("tagging", None, None, None).examples([{"form": "the art", "upos": "D N"}], encode)
    with pytest.raises(RecipeError, match="must hold texts and answer_starts"):
        make("spans", None, None, None).learn([{"question": "a", "context": "b", "answers": "c"}])
    with pytest.raises(RecipeError, match="which a question alone fills"):
        make("spans", None, None, None).examples(
            [question("the " * 40, "children")], Encode(subject("bert").tokenizer, 16, 0)
        )
