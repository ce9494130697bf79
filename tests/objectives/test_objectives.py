"""Objectives against transformers' own losses, closed forms and gradients that must be zero."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from tests.objectives.small import built, counted_share, mean

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws
from maskwright.objectives import CausalLM, Electra, MaskedLM
from maskwright.objectives.electra import sample
from maskwright.objectives.losses import next_tokens
from maskwright.training.recipe import assemble

PAPER = dict(generator_width=1.0, generator_depth=0.5, temperature=1.0, generator_weight=1.0, detector_weight=50.0)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "deberta_v3", "electra"])
def test_mlm_is_the_loss_that_transformers_computes(family, model, tokenizer, batch):
    objective, one = built(MaskedLM(), model(family), tokenizer), batch()
    view = one.views["main"]
    labels_BL = view.clean_BL.masked_fill(view.outcome_BL == 0, -100)
    theirs = objective.network.hf(input_ids=view.ids_BM, attention_mask=view.valid_BM.long(), labels=labels_BL)
    assert mean(objective, one, "mlm").item() == pytest.approx(theirs.loss.item(), rel=1e-5)
    right_BL = (theirs.logits.argmax(-1) == view.clean_BL)[view.outcome_BL > 0]
    assert mean(objective, one, "accuracy/mlm").item() == pytest.approx(right_BL.float().mean().item())


def test_clm_is_the_loss_that_transformers_computes(model, tokenizer, batch):
    objective, one = built(CausalLM(), model("llama"), tokenizer), batch()
    ids_BL, valid_BL = one.rows["ids"], one.rows["document"] > 0
    theirs = objective.network.hf(
        input_ids=ids_BL, attention_mask=valid_BL.long(), labels=ids_BL.masked_fill(~valid_BL, -100)
    )
    assert mean(objective, one, "clm").item() == pytest.approx(theirs.loss.item(), rel=1e-5)


def test_a_token_is_not_predicted_from_another_document():
    ids_BL, document_BL = torch.tensor([[2, 7, 8, 3, 2, 9, 3, 0]]), torch.tensor([[1, 1, 1, 1, 2, 2, 2, 0]])
    target_BL, counts_BL = next_tokens(ids_BL, document_BL)
    assert target_BL.tolist() == [[7, 8, 3, 2, 9, 3, 0]]
    assert counts_BL.tolist() == [[True, True, True, False, True, True, False]]


@pytest.mark.parametrize("sharing", ["none", "tied", "gdes"])
def test_the_detector_teaches_the_generator_nothing(sharing, model, tokenizer, batch):
    objective = built(Electra(sharing=sharing, **PAPER), model("electra", embedding_size=8), tokenizer)
    mean(objective, batch(), "detector").backward()
    shared = {id(p) for p in objective.detector.parameters()}
    for name, parameter in objective.generator.named_parameters():
        if sharing == "tied" and id(parameter) in shared:
            continue
        assert parameter.grad is None or not parameter.grad.any(), name
    table = objective.generator.word_embeddings.weight
    if sharing == "tied":
        assert table is objective.detector.word_embeddings.weight and table.grad.any()
    if sharing == "gdes":
        assert objective.detector.word_embeddings.delta.grad.any()


def test_gradient_disentangled_tables_begin_equal_and_the_generator_moves_both(model, tokenizer, batch):
    objective = built(Electra(sharing="gdes", **PAPER), model("bert"), tokenizer)
    generator, detector = objective.generator.word_embeddings, objective.detector.word_embeddings
    assert torch.equal(generator.weight, detector.weight)
    mean(objective, batch(), "generator").backward()
    assert generator.weight.grad.any() and detector.delta.grad is None
    with torch.no_grad():
        generator.weight.add_(1)
        detector.delta.add_(0.5)
    assert torch.allclose(detector.weight, generator.weight + 0.5)


def detector_input(objective, batch):
    seen = []
    encode = objective.detector.encode
    objective.detector.encode = lambda ids, *args, **kwargs: (seen.append(ids), encode(ids, *args, **kwargs))[1]
    terms = objective.terms(batch)
    objective.detector.encode = encode
    return seen[0], terms


def test_a_generator_that_copies_leaves_nothing_to_detect(model, tokenizer, batch):
    objective, one = built(Electra(sharing="none", **PAPER), model("electra"), tokenizer), batch()
    view = one.views["main"]
    sure_BKV = 200.0 * torch.nn.functional.one_hot(view.target_BK, len(tokenizer))
    objective.generator.predict = lambda hidden: sure_BKV
    shown_BL, terms = detector_input(objective, one)
    assert torch.equal(shown_BL, view.clean_BL)
    # every label is 0: the loss is that of "original" everywhere
    logits_BL = objective.detector.detect(objective.encode(objective.detector, shown_BL, view.document_BM))
    assert torch.allclose(terms["detector"], torch.nn.functional.softplus(logits_BL), atol=1e-6)


def test_the_detector_reads_samples_in_the_clean_text(model, tokenizer, batch):
    objective, one = built(Electra(sharing="tied", **PAPER), model("electra"), tokenizer), batch()
    view = one.views["main"]
    # sampling [MASK] or another special token is all but ruled out by a strong bias
    predict = objective.generator.predict
    objective.generator.predict = lambda hidden: predict(hidden) - 1e4 * (torch.arange(len(tokenizer)) < 5)
    shown_BL, _ = detector_input(objective, one)
    assert not (shown_BL == tokenizer.mask_token_id).any()
    assert torch.equal(shown_BL[view.outcome_BL == 0], view.clean_BL[view.outcome_BL == 0])
    assert objective.weights["generator"] == 1 and objective.weights["detector"] == 50
    assert objective.where(one)["detector"].sum() == (one.rows["document"] > 0).sum()


def test_samples_follow_the_softmax_and_do_not_depend_on_the_batch():
    logits_V = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5])
    draws = Draws(0, "main.generator", torch.zeros(2000, dtype=torch.int64), torch.arange(2000))
    place_BK = torch.arange(10).expand(2000, 10)
    drawn_BK = sample(logits_V.expand(2000, 10, 5), place_BK, draws)
    observed_V, expected_V = torch.bincount(drawn_BK.flatten(), minlength=5), 20_000 * logits_V.softmax(0)
    assert ((observed_V - expected_V) ** 2 / expected_V).sum() < 18.5  # chi-square, 4 degrees of freedom, 0.1 %
    few = Draws(0, "main.generator", torch.zeros(3, dtype=torch.int64), torch.arange(7, 10))
    assert torch.equal(sample(logits_V.expand(3, 10, 5), place_BK[7:10], few), drawn_BK[7:10])


@pytest.mark.parametrize("objective", [MaskedLM(), Electra(sharing="tied", **PAPER)], ids=["mlm", "electra"])
def test_flops_are_those_of_a_step(objective, model, tokenizer, batch):
    recipe = model("electra" if isinstance(objective, Electra) else "modernbert", "eager")
    assert counted_share(built(objective, recipe, tokenizer), batch()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("objective", [MaskedLM(), Electra(sharing="tied", **PAPER)], ids=["mlm", "electra"])
def test_a_batch_without_masks_has_finite_losses_that_count_nothing(objective, model, tokenizer, batch):
    one = batch(rate=0.0)
    built(objective, model("electra"), tokenizer)
    terms, where = objective.terms(one), objective.where(one)
    assert all(torch.isfinite(value).all() for value in terms.values())
    for name in ("mlm", "generator"):
        assert name not in where or where[name].sum() == 0


def test_a_wrong_network_is_refused_in_one_sentence(model):
    with pytest.raises(RecipeError) as refused:
        Electra.check("electra", "llama_tiny", model("llama"))
    assert (
        str(refused.value)
        == "objective=electra needs an encoder; model=llama_tiny is a decoder; try model=electra_tiny."
    )
    with pytest.raises(
        RecipeError, match="objective=clm needs a decoder; model=bert_tiny is an encoder; try model=llama_tiny"
    ):
        CausalLM.check("clm", "bert_tiny", model("bert"))


def test_what_has_no_ruler_says_why(model, tokenizer):
    electra = built(Electra(sharing="tied", **PAPER), model("electra"), tokenizer)
    assert "no distribution over tokens" in electra.ruled()["ruler"]
    assert electra.ruled()["generator/ruler"] is electra.generator
    assert isinstance(built(CausalLM(), model("llama"), tokenizer).ruled()["ruler"], str)


@pytest.mark.parametrize("choice", ["table", "by_stratum", "pos", "term_weight"])
def test_the_loss_is_the_mean_weighted_by_chosen_terms(choice, compose, small_text, tmp_path):
    """Masks are those without a weight. The loss is that of transformers at each place, weighted by hand."""
    (tmp_path / "weights.json").write_text(json.dumps({"the": 3.0, ",": 0.0}))
    (tmp_path / "terms.txt").write_text("The\n")
    rows = []
    for text in small_text.read_text().split("\n\n"):
        found = re.finditer(r"\bthe\b", text, re.IGNORECASE)
        tags = [{"start": match.start(), "end": match.end(), "type": "DET"} for match in found]
        rows.append(json.dumps({"text": text, "tags": tags}))
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    corpus = [f"data.files={tmp_path / 'rows.jsonl'}", "data.columns=[tags]", "data.document=file"]
    needs = {"table": [f"loss_weight.file={tmp_path / 'weights.json'}"], "term_weight": [],
             "by_stratum": [f"loss_weight.column.strata.terms={tmp_path / 'terms.txt'}"],
             "pos": ["loss_weight.column.column=tags", "+loss_weight.weights.DET=5.0"]}[choice]  # fmt: skip
    made = []
    for weighted in ([], [f"loss_weight={choice}", *needs]):
        cfg, chosen = compose("model=bert_tiny", "rate.value=0.4", f"cache={tmp_path}", *corpus, *weighted)
        recipe = assemble(cfg, chosen)
        prepared = recipe.prepare(cfg)
        views = recipe.bind(prepared, 0)
        rows = prepared.train.take(np.arange(32))
        rows["visit"] = torch.zeros_like(rows["sample"])
        made.append(Batch(rows, 0, 0.0, views=views(rows, 0.0)))
    plain, one = made[0].views["main"], made[1]
    view = one.views["main"]
    assert torch.equal(plain.ids_BM, view.ids_BM) and torch.equal(plain.counts_BK, view.counts_BK)
    words = np.array(prepared.tokenizer.convert_ids_to_tokens(view.target_BK.flatten().tolist()))
    the_BK, comma_BK = (torch.tensor(words == word).view(view.target_BK.shape) for word in ("the", ","))
    if choice == "term_weight":
        weight_BK = one.rows["term_weight"].gather(1, view.source_BK).clamp(min=1e-3)
        assert weight_BK.std() > 0.1
    else:
        the, other = {"table": (3.0, 1.0), "by_stratum": (2.0, 1.0), "pos": (5.0, 0.2)}[choice]
        weight_BK = torch.full(view.target_BK.shape, other)
        weight_BK[the_BK] = the
        weight_BK[comma_BK] = 0.0 if choice == "table" else other
    weight_BK = weight_BK * view.counts_BK
    assert (the_BK & view.counts_BK).sum() > 10
    objective = recipe.objective
    torch.manual_seed(0)
    objective.build(recipe.model, prepared.tokenizer, recipe.layout(prepared, views), 64)
    objective.eval()
    logits_BLV = objective.network.hf(input_ids=view.ids_BM, attention_mask=view.valid_BM.long()).logits
    loss_BK = -logits_BLV.log_softmax(-1).gather(2, view.clean_BL[:, :, None])[:, :, 0].gather(1, view.place_BK)
    by_hand = (loss_BK * weight_BK).sum() / weight_BK.sum()
    assert mean(objective, one, "mlm").item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert abs(by_hand.item() - mean(objective, made[0], "mlm").item()) > 1e-4
