"""The ruler against a hand computation through plain transformers, and its masks, which nothing may move."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoModelForMaskedLM

from maskwright.evaluation.ruler import ruler_views
from maskwright.masking import Vocabulary


def test_the_masks_depend_on_the_row_alone(compose):
    from maskwright.training.recipe import assemble

    seen = []
    for overrides in (("seed=1",), ("seed=9", "masking=span", "rate.value=0.6", "packing.length=48", "batch.rows=3")):
        cfg, choices = compose(*overrides)
        prepared = assemble(cfg, choices).prepare(cfg)
        views = ruler_views(Vocabulary.of(prepared.tokenizer), cfg.ruler.length)
        rows = prepared.ruler.take(range(8))
        rows["visit"] = torch.zeros(8, dtype=torch.int64)
        together = views(rows, 0.3)["ruler"]
        alone = views({name: value[5:6] for name, value in rows.items()}, 0.9)["ruler"]
        assert torch.equal(together.ids_BM[5:6], alone.ids_BM)
        seen.append(together.ids_BM)
    assert torch.equal(*seen)


def test_the_figures_are_those_of_plain_transformers(pretrain, compose, tmp_path):
    figures = pretrain("model=bert_tiny", folder=tmp_path)
    from maskwright.training.recipe import assemble

    cfg, choices = compose("ruler.rows=100000")
    prepared = assemble(cfg, choices).prepare(cfg)
    whole = pretrain("model=bert_tiny", "ruler.rows=100000", folder=tmp_path / "all")
    rows = prepared.ruler.take(range(len(prepared.ruler)))
    rows["visit"] = torch.zeros(len(prepared.ruler), dtype=torch.int64)
    view = ruler_views(Vocabulary.of(prepared.tokenizer), 32)(rows, 0.0)["ruler"]
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "all" / "export").eval()
    with torch.no_grad():
        chance_BLV = model(view.ids_BM, attention_mask=view.valid_BM.long()).logits.log_softmax(-1)
    masked_BL = view.ids_BM != view.clean_BL
    nats = -chance_BLV.gather(-1, view.clean_BL[..., None])[..., 0][masked_BL]
    assert masked_BL.sum() == torch.floor(view.maskable_BL.sum(1) * 0.15 + 0.5 + 1e-6).clamp(min=1).sum()
    assert whole["ruler/loss"] == pytest.approx(nats.mean().item(), rel=1e-4)
    assert whole["ruler/accuracy"] == pytest.approx(
        (chance_BLV.argmax(-1) == view.clean_BL)[masked_BL].float().mean().item()
    )
    bits = nats.sum().item() / math.log(2) / rows["bytes"][masked_BL].sum().item()
    assert whole["ruler/bits_per_byte"] == pytest.approx(bits, rel=1e-4)
    assert figures["ruler/loss"] != whole["ruler/loss"]  # 16 rows were measured there
