"""What is exported is what was trained, for plain transformers and for a run that goes on from it."""

from __future__ import annotations

import pytest
import torch
import transformers

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe
from maskwright.models.export import export
from maskwright.models.sharing import share

HEADS = [("bert", "mlm"), ("roberta", "mlm"), ("electra", "mlm"), ("deberta_v2", "mlm"), ("deberta_v3", "mlm"), ("modernbert", "mlm"),
         ("electra", "detect"), ("bert", "detect"), ("modernbert", "detect"), ("deberta_v3", "detect"), ("llama", "causal")]  # fmt: skip
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
