"""Loading: what `run=` may name, what its head is, how long its texts may be, and every refusal."""

from __future__ import annotations

import shutil

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from maskwright.errors import RecipeError
from maskwright.evaluation.loading import load
from maskwright.evaluation.places import results_folder, run_folder
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.subject import Foreign
from maskwright.models import Network
from maskwright.models.export import export


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "deberta_v3", "modernbert", "llama"])
def test_an_export_gives_the_network_back(family, subject, tmp_path, sentences):
    one = subject(family)
    export(one.network, one.tokenizer, tmp_path / "export")
    for place in (tmp_path, tmp_path / "export"):
        loaded = load(str(place))
        assert isinstance(loaded.network, Network) and loaded.head == one.head and loaded.length == 96
        assert not loaded.network.training
        scores = [Scorer(which)([(0, sentences[0])])[0].sum for which in (one, loaded)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_a_discriminator_names_its_generator(subject, tmp_path):
    detector, generator = subject("electra", head="detect"), subject("electra")
    export(detector.network, detector.tokenizer, tmp_path / "export")
    with pytest.raises(RecipeError, match="no text can be scored with it; name a model that was exported with one"):
        Scorer(load(str(tmp_path)))
    export(generator.network, generator.tokenizer, tmp_path / "export" / "generator")
    with pytest.raises(RecipeError, match=f"use run={tmp_path}/export/generator"):
        Scorer(load(str(tmp_path)))
    assert load(str(tmp_path / "export" / "generator")).head == "mlm"


def test_bert_as_a_detector_too(subject, tmp_path):
    one = subject("bert", head="detect")
    export(one.network, one.tokenizer, tmp_path)
    assert load(str(tmp_path)).head == "detect"


def test_a_body_alone_has_no_head(subject, tmp_path):
    bert = subject("bert")
    BertModel(BertConfig(vocab_size=len(bert.tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
                         intermediate_size=16, max_position_embeddings=40)).save_pretrained(tmp_path)  # fmt: skip
    bert.tokenizer.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    assert loaded.head is None and loaded.length == 40
    with pytest.raises(RecipeError, match="has no language-model head, so no text can be scored with it"):
        Scorer(loaded)


def test_a_family_without_an_adapter_is_run_whole(subject, tmp_path, sentences):
    tokenizer = subject("bert").tokenizer
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=50)
    ).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    assert isinstance(loaded.network, Foreign) and loaded.head == "causal" and loaded.length == 50
    scores = Scorer(loaded)((text, text) for text in sentences[:3])
    for text in sentences[:3]:
        ids = torch.tensor(tokenizer(text)["input_ids"])
        with torch.no_grad():
            logp = model(ids[None]).logits[0].double().log_softmax(-1)
        assert scores[text].logp_T == pytest.approx(logp[:-2].gather(1, ids[1:-1, None])[:, 0].numpy(), abs=1e-4)
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(tmp_path).eval()(ids[None]).last_hidden_state
        assert torch.allclose(loaded.network.encode(ids[None], padded=False), hidden, atol=1e-5)


def test_a_foreign_masked_model_is_scored_and_probed(tmp_path, subject, sentences):
    from transformers import MegatronBertConfig, MegatronBertForMaskedLM

    tokenizer = subject("bert").tokenizer
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 16, "max_position_embeddings": 64}  # fmt: skip
    model = MegatronBertForMaskedLM(MegatronBertConfig(vocab_size=len(tokenizer), **shape)).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    score = Scorer(loaded, plan="original")([(0, sentences[0])])[0]
    ids = torch.tensor(tokenizer(sentences[0])["input_ids"])
    for number, place in enumerate(range(1, len(ids) - 1)):
        shown = ids.clone()
        shown[place] = tokenizer.mask_token_id
        with torch.no_grad():
            expected = model(shown[None]).logits[0, place].double().log_softmax(-1)[ids[place]]
        assert score.logp_T[number] == pytest.approx(expected.item(), abs=1e-4)


def test_refusals(subject, tmp_path):
    with pytest.raises(RecipeError, match=r"run is \./none, which does not exist; give a folder or a hub name"):
        load("./none")
    with pytest.raises(RecipeError, match="run=.* holds no config.json"):
        load(str(tmp_path))
    one = subject("bert")
    export(one.network, one.tokenizer, tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "model" / name).unlink()
    with pytest.raises(RecipeError, match="has no tokenizer; save the one that it was trained with"):
        Scorer(load(str(tmp_path / "model")))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    with pytest.raises(RecipeError, match="is neither a folder with a model nor a model that the hub gave"):
        load(str(tmp_path / "broken"))


def test_where_results_go(tmp_path):
    run = tmp_path / "run"
    (run / "export" / "generator").mkdir(parents=True)
    (run / "exports" / "step-00000008").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert results_folder(str(run), "blimp", "fresh") == str(run / "evaluation" / "blimp")
    assert results_folder(str(run / "export"), "blimp", "fresh") == str(run / "evaluation" / "blimp")
    assert results_folder(f"{run}/export/generator", "x", "fresh") == str(run / "evaluation" / "generator" / "x")
    assert results_folder(f"{run}/exports/step-00000008", "x", "f") == str(run / "evaluation/exports/step-00000008/x")
    assert results_folder("bert-base-uncased", "x", "fresh") == "fresh" == results_folder(str(tmp_path), "x", "fresh")
    assert results_folder("", "x", "fresh") == "fresh" and run_folder(None) is None
    shutil.rmtree(run)
