"""Our own networks and transformers' Auto classes, in processes that import them in either order."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from maskwright.models import export


@pytest.fixture(scope="module")
def saved(tokenizer, recipes, tmp_path_factory):
    from maskwright.models import ModelRecipe

    torch.manual_seed(0)
    net = ModelRecipe(**recipes["ltg_bert"]).build(tokenizer, 24).eval()
    return net, export(net, tokenizer, tmp_path_factory.mktemp("ltg") / "export")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)


LOAD = """
model, tokenizer = AutoModelForMaskedLM.from_pretrained({folder!r}), AutoTokenizer.from_pretrained({folder!r})
print(model(**tokenizer("w1 w2 w3", return_tensors="pt")).logits[0].sum().item())
"""
TRANSFORMERS = "from transformers import AutoModelForMaskedLM, AutoTokenizer"


@pytest.mark.parametrize("first", ["import maskwright", TRANSFORMERS])
def test_an_export_loads_once_maskwright_is_imported(saved, tokenizer, first):
    net, folder = saved
    out = python(f"{first}\nimport maskwright\n{TRANSFORMERS}\n{LOAD.format(folder=str(folder))}")
    with torch.no_grad():
        wanted = net.hf(torch.tensor([tokenizer("w1 w2 w3")["input_ids"]])).logits.sum().item()
    assert float(out.stdout) == pytest.approx(wanted, rel=1e-5), out.stderr
    assert "import maskwright  #" in (folder / "README.md").read_text()


def test_without_maskwright_transformers_does_not_know_the_network(saved):
    out = python(f"{TRANSFORMERS}\n{LOAD.format(folder=str(saved[1]))}")
    assert out.returncode == 1 and "ltg_bert" in out.stderr


def test_importing_maskwright_imports_nothing_heavy():
    out = python("import maskwright, sys; print([m for m in ('torch', 'transformers') if m in sys.modules])")
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["modeling_layers", "modeling_utils", "models.auto.tokenization_auto", "masking_utils"]
)
def test_the_order_of_transformers_own_imports_does_not_matter(module):
    out = python(
        f"import maskwright, transformers.{module}\nfrom transformers import AutoConfig, AutoModel\n"
        "print(type(AutoModel.from_config(AutoConfig.for_model('ltg_bert', num_hidden_layers=1))).__name__)"
    )
    assert out.stdout.strip() == "LtgBertModel", out.stderr
