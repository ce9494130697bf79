"""Relations: laws that a scorer without knowledge must obey, and the layout of BEAR."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from maskwright.errors import RecipeError
from maskwright.evaluation import relations as module
from maskwright.evaluation.relations import Relations, filled
from maskwright.evaluation.scorer import Score, Scorer, Scores
from maskwright.evaluation.tools import Tools

PLACES = ["lost", "travel", "souvenir"]
THINGS = ["art", "the state of the art", "careless children", "children"]


@pytest.fixture
def bear(tmp_path):
    """Two relations of BEAR's layout, every answer as often as any other, and a relation_info.json."""
    metadata = {
        "P1": {"templates": ["[X] was in [Y].", "[Y] was the state of [X]."], "answer_space_labels": PLACES},
        "P2": {"templates": ["the art of [X] was [Y]."], "answer_space_labels": THINGS},
    }
    (tmp_path / "metadata_relations.json").write_text(json.dumps(metadata))
    for relation, answers in (("P1", PLACES), ("P2", THINGS)):
        rows = [{"sub_label": f"child {n}", "obj_label": answers[n % len(answers)], "answer_idx": n % len(answers)}
                for n in range(4 * len(answers))]  # fmt: skip
        (tmp_path / f"{relation}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    domains = {"P1": {"domains": ["a", "b"]}, "P2": {"domains": ["b"]}}
    (tmp_path / "relation_info.json").write_text(json.dumps(domains))
    return tmp_path


def scored_by(monkeypatch, rule):
    """Relations with scores by a rule over the request."""

    class Stub:
        def __init__(self, *args, **kwargs):
            pass

        def __call__(self, requests, label=""):
            scores = Scores()
            for request in requests:
                value = rule(request)
                empty = np.zeros(1, dtype=int)
                scores[request.id] = Score(np.array([value]), empty, empty, empty, 1, 1)
            return scores

    monkeypatch.setattr(module, "Scorer", Stub)


def answer(request) -> str:
    first, last = request.answer[0]
    return request.text[first:last]


def test_one_fixed_answer_scores_exactly_one_in_the_number_of_answers(bear, subject, monkeypatch):
    scored_by(monkeypatch, lambda request: 0.0 if answer(request).lower() in ("travel", "art") else -1.0)
    figures = Relations(str(bear)).run(subject("bert"), Tools()).figures
    assert figures["by/relation/P1"] == pytest.approx(1 / 3) and figures["by/relation/P2"] == pytest.approx(1 / 4)
    assert figures["accuracy"] == pytest.approx(figures["chance"]) == pytest.approx((24 / 3 + 16 / 4) / 40)


def test_the_shortest_answer_wins_when_only_length_counts(bear, subject, monkeypatch):
    scored_by(monkeypatch, lambda request: -len(answer(request)))
    figures = Relations(str(bear), relations=["P2"]).run(subject("bert"), Tools()).figures
    assert figures["accuracy"] == 0.25  # always "art"
    assert figures["mrr"] == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]))
    assert figures["precision@5"] == 1.0
    scored_by(monkeypatch, lambda request: -1.0)  # all tied: 1/n, and everybody has the mean rank
    figures = Relations(str(bear), relations=["P2"]).run(subject("bert"), Tools()).figures
    assert figures["accuracy"] == 0.25 and figures["tied"] == 1.0 and figures["mrr"] == pytest.approx(1 / 2.5)


def test_swapping_the_options_changes_nothing(bear, subject):
    bert = subject("bert")
    one = Relations(str(bear)).run(bert, Tools()).figures
    metadata = json.loads((bear / "metadata_relations.json").read_text())
    for relation in metadata:
        labels = metadata[relation]["answer_space_labels"]
        order = random.Random(0).sample(range(len(labels)), k=len(labels))
        metadata[relation]["answer_space_labels"] = [labels[n] for n in order]
        rows = [json.loads(line) for line in (bear / f"{relation}.jsonl").read_text().splitlines()]
        for row in rows:
            row["answer_idx"] = order.index(row["answer_idx"])
        (bear / f"{relation}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (bear / "metadata_relations.json").write_text(json.dumps(metadata))
    assert Relations(str(bear)).run(bert, Tools()).figures == pytest.approx(one)


def test_accuracy_is_counted_by_hand(bear, subject):
    bert = subject("bert")
    figures = Relations(str(bear)).run(bert, Tools()).figures
    right: list[tuple[str, bool]] = []
    sure: list[float] = []
    for relation, templates, answers in (
        ("P1", ["{x} was in {y}.", "{y} was the state of {x}."], PLACES),
        ("P2", ["the art of {x} was {y}."], THINGS),
    ):
        for template in templates:
            for n in range(4 * len(answers)):
                texts = [template.format(x=f"child {n}", y=option) for option in answers]
                texts = [text[0].upper() + text[1:] for text in texts]
                scores = Scorer(bert)(enumerate(texts))
                each = np.array([scores[key].sum for key in scores])
                sure.append(np.exp(each - each.max()).max() / np.exp(each - each.max()).sum())
                right.append((relation, max(scores, key=lambda key: scores[key].sum) == n % len(answers)))
    assert figures["accuracy"] == pytest.approx(np.mean([hit for _, hit in right]))
    assert figures["confidence"] == pytest.approx(np.mean(sure), abs=1e-5)
    assert figures["ece_1bin"] == pytest.approx(abs(np.mean(sure) - figures["accuracy"]), abs=1e-5)
    for relation in ("P1", "P2"):
        assert figures[f"by/relation/{relation}"] == pytest.approx(np.mean([h for r, h in right if r == relation]))


def test_domains_add_up_to_the_whole(bear, subject):
    figures = Relations(str(bear), str(bear / "relation_info.json")).run(subject("bert"), Tools()).figures
    weights = {"a": 24 / 2, "b": 24 / 2 + 16}  # a relation in two domains counts half in each
    total = sum(figures[f"by/domain/{name}"] * weight for name, weight in weights.items()) / 40
    assert total == pytest.approx(figures["accuracy"])


def test_the_answer_alone_and_unlisted_answers(bear, subject):
    bert = subject("bert")
    part = Relations(str(bear), scored="answer", plan="answer_l2r+word_l2r").run(bert, Tools())
    assert part.facts["scored"] == "answer" and 0 <= part.figures["accuracy"] <= 1
    metadata = json.loads((bear / "metadata_relations.json").read_text())
    whole = Relations(str(bear)).run(bert, Tools()).figures
    for about in metadata.values():
        del about["answer_space_labels"]  # BEAR-big: the objects that occur are the answers
    (bear / "metadata_relations.json").write_text(json.dumps(metadata))
    assert Relations(str(bear)).run(bert, Tools()).figures == pytest.approx(whole)


def test_some_items_are_always_the_same_ones(bear, subject):
    suite = Relations(str(bear), most=5, templates=1)
    about = json.loads((bear / "metadata_relations.json").read_text())["P1"]
    chosen = [question.options[0].text for question in suite.questions("P1", about)]
    again = Relations(str(bear), most=5, templates=1).questions("P1", about)
    assert len(chosen) == 5 and chosen == [question.options[0].text for question in again]
    assert suite.run(subject("bert"), Tools()).facts["statements"] == 10


def test_templates_are_filled_where_they_say():
    assert filled("[X] was in [Y].", "a b", "cd", True) == ("A b was in cd.", ((11, 13),))
    assert filled("[Y] and [Y]: [X]", "x", "yy", False) == ("yy and yy: x", ((0, 2), (7, 9)))
    assert filled("[X] [Y]", "[Y]", "z", False) == ("[Y] z", ((4, 5),))  # what is filled in is not filled again
    with pytest.raises(RecipeError, match=r"has no \[Y\] for the answer"):
        filled("[X].", "a", "b", True)


def test_items_end_at_a_line_feed_and_broken_ones_are_named(bear):
    line = '{"sub_label": "one\u2028two", "obj_label": "lost"}'
    (bear / "P1.jsonl").write_text(f"{line}\n\n{line}\n", encoding="utf-8")
    assert [item["sub_label"] for item in Relations(str(bear))._items("P1")] == ["one\u2028two"] * 2
    for broken, sentence in (
        ('{"sub_label"', "P1.jsonl cannot be read as jsonl .line 2: "),
        ('{"sub_label": "x"}', "row 2 of .*P1.jsonl has no obj_label"),
    ):
        (bear / "P1.jsonl").write_text(f"{line}\n{broken}\n", encoding="utf-8")
        with pytest.raises(RecipeError, match=sentence):
            Relations(str(bear))._items("P1")
    for item in ({"obj_label": "found"}, {"obj_label": "lost", "answer_idx": 3}):
        (bear / "P1.jsonl").write_text(json.dumps({"sub_label": "x", **item}))
        with pytest.raises(RecipeError, match="of P1 is none of its 3; mend metadata_relations.json"):
            Relations(str(bear)).questions("P1", Relations(str(bear))._metadata()["P1"])


def test_mistakes_are_named(tmp_path, bear):
    for settings, sentence in (
        ({"folder": None}, "evaluation.folder is not set"),
        ({"folder": str(bear), "scored": "all"}, "evaluation.scored is 'all'; choose statement or answer"),
        ({"folder": str(bear), "most": 0}, "evaluation.most is 0"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            Relations(**settings)
    with pytest.raises(RecipeError, match="holds no metadata_relations.json"):
        Relations(str(tmp_path / "none"))._metadata()
    with pytest.raises(RecipeError, match="names P9, which"):
        Relations(str(bear), relations=["P9"])._metadata()
    with pytest.raises(RecipeError, match="evaluation.domains=.*does not exist"):
        Relations(str(bear), domains="none.json")._domains()
