"""The same exported model and sentences under the same plan: token log-probabilities of minicons and lm-pub-quiz.

Their `within_word_l2r` takes words from the tokenizer's pre-tokens, so ours is asked to do so too; where no apostrophe
stands in a word, our own rule over characters gives the same.
"""

from __future__ import annotations

import pytest

from maskwright.evaluation.loading import load
from maskwright.evaluation.scorer import Scorer
from maskwright.models.export import export

TOLERANCE = 1e-4
PLANS = {"original": "original", "word_l2r": "within_word_l2r"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, subject, bos_wordpiece):
    """`exported("bert")`: the folder of an export."""
    folders = {}

    def make(family: str):
        if family not in folders:
            one = subject(family)
            tokenizer = bos_wordpiece if family == "llama" else one.tokenizer
            folders[family] = str(export(one.network, tokenizer, tmp_path_factory.mktemp("exports") / family))
        return folders[family]

    return make


@pytest.fixture(scope="module")
def minicons():
    scorer = pytest.importorskip("minicons.scorer")

    def make(kind: str, folder: str):
        made = getattr(scorer, kind)(folder, "cpu")
        made.model.eval()
        if not hasattr(made.tokenizer, "batch_encode_plus"):  # gone from transformers 5, which minicons does not know
            type(made.tokenizer).batch_encode_plus = type(made.tokenizer).__call__
        return made

    yield make


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_masked_as_minicons(family, plan, exported, minicons, sentences):
    ours = Scorer(load(exported(family)), plan=plan, words="tokenizer")((text, text) for text in sentences)
    theirs = minicons("MaskedLMScorer", exported(family)).token_score(list(sentences), PLL_metric=PLANS[plan])
    for text, pairs in zip(sentences, theirs, strict=True):
        assert ours[text].logp_T == pytest.approx([score for _, score in pairs], abs=TOLERANCE)


def test_causal_as_minicons(exported, minicons, sentences):
    ours = Scorer(load(exported("llama")))((text, text) for text in sentences)
    theirs = minicons("IncrementalLMScorer", exported("llama")).token_score(list(sentences))
    for text, pairs in zip(sentences, theirs, strict=True):
        # theirs gives the first [CLS] a 0 and scores the last [SEP] too
        assert ours[text].logp_T == pytest.approx([score for _, score in pairs][1:-1], abs=TOLERANCE)


def quiz(folder: str, kind: str, sentences, **more) -> list[list[float]]:
    evaluators = pytest.importorskip("lm_pub_quiz")
    evaluator = evaluators.Evaluator.from_model(folder, model_type=kind, capitalize=False, **more)
    evaluator.model.eval()
    results = evaluator.score_answers(template="[Y]", answers=list(sentences), reduction=None, batch_size=7)
    return [[score for _, score in tokens] for tokens, _ in results]


@pytest.mark.parametrize("plan", [*PLANS, "global_l2r"])
def test_masked_as_lm_pub_quiz(plan, exported, sentences):
    ours = Scorer(load(exported("bert")), plan=plan, words="tokenizer")((text, text) for text in sentences)
    theirs = quiz(exported("bert"), "MLM", sentences, pll_metric={**PLANS, "global_l2r": "sentence_l2r"}[plan])
    for text, scores in zip(sentences, theirs, strict=True):
        assert ours[text].logp_T == pytest.approx(scores, abs=TOLERANCE)


def test_an_answer_plan_as_lm_pub_quiz(exported):
    evaluators = pytest.importorskip("lm_pub_quiz")
    evaluator = evaluators.Evaluator.from_model(
        exported("bert"), model_type="MLM", capitalize=False, pll_metric="answer_l2r+word_l2r"
    )
    answers = ["souvenir", "careless children", "art"]
    theirs = evaluator.score_answers(template="the traveller lost the [Y].", answers=answers, reduction=None)
    scorer = Scorer(load(exported("bert")), plan="answer_l2r+word_l2r", words="tokenizer")
    start = len("the traveller lost the ")
    ours = scorer(
        (answer, f"the traveller lost the {answer}.", None, (start, start + len(answer))) for answer in answers
    )
    for answer, (tokens, _) in zip(answers, theirs, strict=True):
        assert ours[answer].logp_T == pytest.approx([score for _, score in tokens], abs=TOLERANCE)


def test_causal_as_lm_pub_quiz(exported, sentences):
    ours = Scorer(load(exported("llama")))((text, text) for text in sentences)
    theirs = quiz(exported("llama"), "CLM", sentences)
    for text, scores in zip(sentences, theirs, strict=True):
        assert ours[text].logp_T == pytest.approx(scores[: ours[text].n], abs=TOLERANCE)


def test_our_words_are_theirs_without_apostrophes(exported, sentences):
    model = load(exported("bert"))
    plain = [text for text in sentences if "'" not in text]
    by_rule = Scorer(model)((text, text) for text in plain)
    by_tokenizer = Scorer(model, words="tokenizer")((text, text) for text in plain)
    assert len(plain) == 5
    for text in plain:
        assert by_rule[text].logp_T == pytest.approx(by_tokenizer[text].logp_T, abs=1e-6)
    apart = [text for text in sentences if "'" in text]
    assert Scorer(model)([(0, apart[0])])[0].sum != Scorer(model, words="tokenizer")([(0, apart[0])])[0].sum
