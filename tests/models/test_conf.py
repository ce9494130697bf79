"""conf/model: every file composes and builds; published sizes have the published number of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from maskwright.models.families import FAMILIES

FOLDER = Path(__file__).parents[2] / "conf" / "model"
FILES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "checkpoint")  # which has no size of its own

# vocabulary, parameters published in millions, where
PUBLISHED = {
    "bert_tiny": (30_522, 4.4, "arXiv 1908.08962, table 1"),
    "bert_small": (30_522, 29.1, "arXiv 1908.08962, table 1"),
    "bert_base": (30_522, 110, "arXiv 1810.04805, section 3"),
    "bert_large": (30_522, 340, "arXiv 1810.04805, section 3"),
    "roberta_base": (50_265, 125, "model card of roberta-base"),
    "roberta_large": (50_265, 355, "arXiv 1907.11692, section 5"),
    "xlm_roberta_base": (250_002, 278, "model card of xlm-roberta-base"),
    "xlm_roberta_large": (250_002, 560, "model card of xlm-roberta-large"),
    "xlm_roberta_xl": (250_002, 3_500, "arXiv 2105.00572"),
    "xlm_roberta_xxl": (250_002, 10_700, "arXiv 2105.00572"),
    "distilbert_base": (30_522, 66, "arXiv 1910.01108"),
    "camembert_base": (32_005, 110, "arXiv 1911.03894, section 5"),
    "camembert_large": (32_005, 335, "arXiv 1911.03894, section 5"),
    "longformer_base": (50_265, 149, "model card of allenai/longformer-base-4096"),
    "longformer_large": (50_265, 435, "model card of allenai/longformer-large-4096"),
    "albert_base": (30_000, 12, "arXiv 1909.11942, table 1"),
    "albert_large": (30_000, 18, "arXiv 1909.11942, table 1"),
    "albert_xlarge": (30_000, 58, "model card of albert-xlarge-v2"),
    "albert_xxlarge": (30_000, 223, "model card of albert-xxlarge-v2"),
    "mpnet_base": (30_527, 110, "arXiv 2004.09297, section 4.1"),
    "electra_small": (30_522, 14, "arXiv 2003.10555, table 1"),
    "electra_base": (30_522, 110, "arXiv 2003.10555, table 1"),
    "electra_large": (30_522, 335, "arXiv 2003.10555, table 2"),
    "deberta_v2_xlarge": (128_100, 900, "model card of microsoft/deberta-v2-xlarge"),
    "deberta_v3_xsmall": (128_100, 22 + 48, "model card of microsoft/deberta-v3-xsmall"),
    "deberta_v3_small": (128_100, 44 + 98, "model card of microsoft/deberta-v3-small"),
    "deberta_v3_base": (128_100, 86 + 98, "model card of microsoft/deberta-v3-base"),
    "deberta_v3_large": (128_100, 304 + 131, "model card of microsoft/deberta-v3-large"),
    "modernbert_base": (50_368, 149, "arXiv 2412.13663, section 2"),
    "modernbert_large": (50_368, 395, "arXiv 2412.13663, section 2"),
    "llama_base": (49_152, 135, "model card of HuggingFaceTB/SmolLM-135M"),
    "llama_large": (49_152, 362, "model card of HuggingFaceTB/SmolLM-360M"),
}


class Vocabulary:
    """As much of a tokenizer as a network is built from."""

    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4
    all_special_ids = (0, 1, 2, 3, 4)

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def get_vocab(self) -> dict[str, int]:
        return {str(id_): id_ for id_ in range(self.size)}


def recipe(name: str):
    return instantiate(OmegaConf.load(FOLDER / f"{name}.yaml"))


SIZES = {
    "distilbert": {"distilbert_tiny", "distilbert_base"},
    "xlm_roberta": {"xlm_roberta_tiny", "xlm_roberta_base", "xlm_roberta_large"},
    "xlm_roberta_xl": {"xlm_roberta_xl_tiny", "xlm_roberta_xl", "xlm_roberta_xxl"},
    "camembert": {"camembert_tiny", "camembert_base", "camembert_large"},
    "longformer": {"longformer_tiny", "longformer_base", "longformer_large"},
    "albert": {"albert_tiny", "albert_base", "albert_large", "albert_xlarge", "albert_xxlarge"},
    "mpnet": {"mpnet_tiny", "mpnet_base"},
    "ltg_bert": {"ltg_bert_tiny", "ltg_bert_small", "ltg_bert_base"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_sizes(family):
    sizes = SIZES.get(family) or {f"{family}_{size}" for size in ("tiny", "small", "base", "large")}
    assert sizes <= set(FILES)
    assert {recipe(name).family for name in sizes} == {family}


@pytest.mark.parametrize("name", FILES)
def test_every_file_builds_every_head(name):
    made = recipe(name)
    with torch.device("meta"):
        for head in made.heads:
            net = made.build(Vocabulary(4096), 128, head)
            assert net.word_embeddings.weight.shape == (4096, made.embedding_size)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    vocabulary, millions, _ = PUBLISHED[name]
    made = recipe(name)
    with torch.device("meta"):
        head = (
            "classify" if made.family == "albert" else made.heads[0]
        )  # its layers weigh so little that the pooler shows
        count = made.build(Vocabulary(vocabulary), 128, head).parameter_count
    # within 2 %, or within the rounding of a published whole number
    assert abs(count - millions * 1e6) <= max(0.02 * millions * 1e6, 0.5e6 if millions == int(millions) else 0)


@pytest.mark.parametrize(("name", "billions"), [("xlm_roberta_xl", 3.5), ("xlm_roberta_xxl", 10.7)])
def test_a_composed_recipe_of_billions_builds_on_the_meta_device(name, billions, compose):
    cfg, _ = compose(f"model={name}", small=False)
    with torch.device("meta"):
        net = instantiate(cfg.model, _convert_="all").build(Vocabulary(250_002), 512)
    assert net.parameter_count == pytest.approx(billions * 1e9, rel=0.02)
    assert {parameter.device.type for parameter in net.parameters()} == {"meta"}


@pytest.mark.parametrize("name", FILES)
def test_every_number_reaches_the_network(name):
    raw = OmegaConf.load(FOLDER / f"{name}.yaml")
    made = recipe(name)
    with torch.device("meta"):
        config = made.build(Vocabulary(4096), 128, made.heads[0]).config
    for key, value in OmegaConf.to_container(raw.config).items():
        if key == "global_attn_every_n_layers":
            kinds = ["sliding_attention" if i % value else "full_attention" for i in range(config.num_hidden_layers)]
            assert config.layer_types == kinds
        elif key == "attention_window":
            assert config.attention_window == [value] * config.num_hidden_layers
        elif key.endswith("rope_theta"):
            kind = {"global_rope_theta": "full_attention", "local_rope_theta": "sliding_attention"}.get(key)
            angles = config.rope_parameters[kind] if kind else config.rope_parameters
            assert angles["rope_theta"] == value
        else:
            assert getattr(config, FAMILIES[made.family].own_names.get(key, key)) == value


@pytest.mark.parametrize("name", FILES)
def test_every_key_is_explained_on_its_line(name):
    for line in (FOLDER / f"{name}.yaml").read_text().splitlines():
        assert line.startswith(("#", "_target_")) or "  # " in line
        assert len(line) <= 120


def test_tiny_networks_are_tiny():
    for name in (name for name in FILES if name.endswith("_tiny")):
        net = recipe(name).build(Vocabulary(4096), 64, "causal" if name.startswith("llama") else "mlm")
        assert net.config.hidden_size == 128 and net.config.num_hidden_layers == 2
        assert 0.8e6 < net.parameter_count < 1.2e6
