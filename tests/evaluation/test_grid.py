"""The ruler on a saved model: the run's own figures again, nested masks, and one measure for all tokenizers."""

from __future__ import annotations

import json
import math

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.evaluate import evaluate
from maskwright.evaluation.heldout import HeldOut
from maskwright.evaluation.passages import passages
from maskwright.evaluation.scorer import Scorer

SMALL = ("model=bert_tiny", "model.config.hidden_size=32", "model.config.num_hidden_layers=1")
RULER = ("evaluation.rates=[0.15,0.4]", "evaluation.words=8", "evaluation.passages=12")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, compose):
    """`runs("tokenizer=bpe")`: the folder of a small trained run and its figures."""
    from maskwright.training.run import pretrain

    made = {}

    def run(*more: str):
        if more not in made:
            folder = tmp_path_factory.mktemp("run")
            made[more] = folder, pretrain(*compose(*SMALL, *more), folder)
        return made[more]

    return run


@pytest.fixture(scope="module")
def ruled(runs, compose):
    def make(*more: str, settings: tuple[str, ...] = RULER):
        folder, _ = runs(*more)
        cfg, choices = compose(f"run={folder}", *settings, config="evaluate", small=False)
        return evaluate(cfg, choices, folder / "evaluation" / "ruler")

    return make


def test_the_figures_of_the_run_come_again(runs, ruled):
    folder, figures = runs()
    result = ruled()
    for name in ("ruler/loss", "ruler/accuracy", "ruler/bits_per_byte"):
        assert result.figures[name] == pytest.approx(figures[name], rel=1e-5)
    written = json.loads((folder / "evaluation" / "ruler" / "results.json").read_text())
    assert written["figures"]["ruler/loss"] == result.figures["ruler/loss"]
    assert written["facts"]["rows"] == 16 and written["suite"] == "ruler"


def test_markers_of_the_cleaning_stay_unmasked(tmp_path, compose, small_text):
    """The ruler of evaluate.py and of suites during training is the run's own, where its cleaning writes markers."""
    from maskwright.training.run import pretrain

    names = small_text.read_text(encoding="utf-8").replace("the ", "@somebody the ")
    (tmp_path / "names.txt").write_text(names, encoding="utf-8")
    during = ("+evaluation@evaluation.suites.mine=ruler", "evaluation.every_n_steps=6")
    settings = [word.replace("evaluation.", "evaluation.suites.mine.") for word in RULER]
    words = (*SMALL, "cleaning=tweets", f"data.files={tmp_path / 'names.txt'}", *during, *settings)
    figures = pretrain(*compose(*words), tmp_path / "run")
    cfg, choices = compose(f"run={tmp_path / 'run'}", *RULER, config="evaluate", small=False)
    result = evaluate(cfg, choices, tmp_path / "after")
    kept = json.loads((tmp_path / "run" / "evaluation" / "mine" / "results.json").read_text())
    for name in ("ruler/loss", "ruler/accuracy", "ruler/bits_per_byte"):
        assert result.figures[name] == pytest.approx(figures[name], rel=1e-5)
        assert kept["figures"][name] == pytest.approx(figures[name], rel=1e-5)


def test_the_grid(ruled):
    figures = ruled().figures
    assert figures["by/token/0.15/loss"] == pytest.approx(figures["ruler/loss"], rel=0.05)  # at least 1 masked there
    for unit in ("token", "word", "span"):
        for rate in ("0.15", "0.4"):
            assert 0 < figures[f"by/{unit}/{rate}/loss"] < 10 and 0 <= figures[f"by/{unit}/{rate}/accuracy"] <= 1
    assert len({figures[f"by/{unit}/0.4/loss"] for unit in ("token", "word", "span")}) == 3


def test_a_higher_rate_hides_what_a_lower_one_hides(runs, compose):
    from maskwright.evaluation.loading import load
    from maskwright.evaluation.ruler import fixed_views
    from maskwright.masking import Vocabulary
    from maskwright.config.build import build
    from maskwright.training.recipe import assemble

    folder, _ = runs()
    cfg, _ = compose(f"run={folder}", config="evaluate", small=False)
    suite, subject = build(cfg, "evaluation"), load(str(folder))
    rows = assemble(*compose(*SMALL)).prepare(compose()[0]).ruler
    part = rows.take(range(8)) | {"visit": torch.zeros(8, dtype=torch.int64)}
    masked = []
    for rate in (0.15, 0.4):
        vocabulary = Vocabulary.of(subject.tokenizer)
        views = fixed_views(suite.units["token"], rate, vocabulary, rows.length, rows.longest, "ruler")
        masked.append(views(part, 0.0)["ruler"].outcome_BL > 0)
    assert (masked[0] & ~masked[1]).sum() == 0 and masked[0].sum() < masked[1].sum()


def test_words_for_all_tokenizers(runs, ruled, compose):
    """The same passages, the same hidden characters; the figure is a brute-force sum over both tokenizers."""
    from maskwright.evaluation.loading import load
    from maskwright.training.recipe import assemble

    seen = {}
    for tokenizer in ((), ("tokenizer=bpe", "tokenizer.vocabulary=320")):
        result = ruled(*tokenizer, settings=("evaluation.rates=[]", "evaluation.words=4", "evaluation.passages=12"))
        folder, _ = runs(*tokenizer)
        cfg, choices = compose(*SMALL, *tokenizer)
        recipe = assemble(cfg, choices)
        documents, key = HeldOut(recipe.corpus, recipe.packing).documents(cfg.cache)
        texts = passages(documents, 4, 0.15, 12)
        subject = load(str(folder))
        scores = Scorer(subject, plan="answer_words")((n, text, hidden) for n, (text, hidden) in enumerate(texts))
        hidden_bytes = sum(len(text[first:last].encode()) for text, hidden in texts for first, last in hidden)
        expected = -sum(score.sum for score in scores.values()) / math.log(2) / hidden_bytes
        assert result.figures["ruler/word_bits_per_byte"] == pytest.approx(expected, rel=1e-5)
        assert result.facts["words"]["text"] == key
        seen[tokenizer] = (texts, key, result.figures["ruler/word_bits_per_byte"])
    one, other = seen.values()
    assert one[:2] == other[:2] and one[2] != other[2]


def test_passages_that_do_not_fit_give_no_figure(ruled):
    result = ruled(settings=("evaluation.rates=[]", "evaluation.words=60"))
    assert result.figures["ruler/word_bits_per_byte"] is None
    assert "longer than 32 tokens; set evaluation.words lower" in result.figures["ruler/word_bits_per_byte/reason"]
    assert result.figures["ruler/loss"] > 0


def test_a_causal_model_has_other_names(tmp_path, compose, runs):
    folder, _ = runs("objective=clm", "model=llama_tiny", "model.config.num_hidden_layers=1",
                     "model.config.intermediate_size=32", "model.config.num_attention_heads=2",
                     "model.config.num_key_value_heads=2", "model.config.hidden_size=16")  # fmt: skip
    cfg, choices = compose(f"run={folder}", *RULER, config="evaluate", small=False)
    figures = evaluate(cfg, choices, tmp_path).figures
    assert figures["ruler/loss"] is None and "causal model" in figures["ruler/reason"]
    assert figures["causal/bits_per_byte"] > 0 and "ruler/word_bits_per_byte" not in figures


def test_other_models_need_a_corpus(runs, tmp_path, compose, small_options):
    import shutil

    folder, figures = runs()
    shutil.copytree(folder / "export", tmp_path / "model")
    place = f"run={tmp_path / 'model'}"
    with pytest.raises(RecipeError, match="needs held-out text, and run=.* does not come from a run"):
        cfg, choices = compose(place, *RULER, config="evaluate", small=False)
        evaluate(cfg, choices, tmp_path)
    data = [word for word in small_options if word.startswith("data")]
    cfg, choices = compose(place, *RULER, *data, "ruler_length=32", "ruler_rows=16", config="evaluate", small=False)
    assert evaluate(cfg, choices, tmp_path).figures["ruler/loss"] == pytest.approx(figures["ruler/loss"], rel=1e-5)


def test_mistakes_are_named(compose):
    from maskwright.config.build import build

    for word, sentence in (("rates=[1.5]", "holds 1.5; a masking rate lies between 0 and 1"),
                           ("words=1", "evaluation.words is 1")):  # fmt: skip
        with pytest.raises(RecipeError, match=sentence):
            build(compose(f"evaluation.{word}", config="evaluate", small=False)[0], "evaluation")


def test_a_model_without_an_adapter_is_measured_too(runs, tmp_path, compose, small_options):
    """A Megatron BERT, which maskwright has no family for: the ruler's loss from its own logits."""
    from transformers import AutoTokenizer, MegatronBertConfig, MegatronBertForMaskedLM

    from maskwright.evaluation.ruler import ruler_views
    from maskwright.masking import Vocabulary
    from maskwright.training.recipe import assemble

    folder, _ = runs()
    tokenizer = AutoTokenizer.from_pretrained(folder / "export")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 16, "max_position_embeddings": 64}  # fmt: skip
    model = MegatronBertForMaskedLM(MegatronBertConfig(vocab_size=len(tokenizer), **shape)).eval()
    model.save_pretrained(tmp_path / "megatron")
    tokenizer.save_pretrained(tmp_path / "megatron")
    words = [f"run={tmp_path / 'megatron'}", *(word for word in small_options if word.startswith("data"))]
    cfg, choices = compose(*words, *RULER, "ruler_length=32", config="evaluate", small=False)
    found = evaluate(cfg, choices, tmp_path).figures
    rows = assemble(*compose(*SMALL)).prepare(compose()[0]).ruler
    part = rows.take(range(len(rows)))
    part["visit"] = torch.zeros_like(part["sample"])
    view = ruler_views(Vocabulary.of(tokenizer), 32)(part, 0.0)["ruler"]
    with torch.no_grad():
        logp = model(view.ids_BM, attention_mask=view.valid_BM.long()).logits.log_softmax(-1)
    masked = view.ids_BM != view.clean_BL
    nats = -logp.gather(-1, view.clean_BL[..., None])[..., 0][masked]
    assert found["ruler/loss"] == pytest.approx(nats.mean().item(), rel=1e-4)
    assert found["ruler/word_bits_per_byte"] > 0
