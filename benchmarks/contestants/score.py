"""The ruler for any saved model: held-out rows of the bundled text under maskwright's fixed masks, in float32."""

from __future__ import annotations

import json
from pathlib import Path

from maskwright.data import Packing, Prepared, Sotu, TrainedTokenizer, prepare
from maskwright.data.module import DataModule
from maskwright.evaluation.ruler import Tally, ruler_views
from maskwright.masking import Vocabulary
from maskwright.models import ModelRecipe

LENGTH, ROWS = 128, 768  # ruler.length and ruler.rows of conf/train.yaml


def bundled_text(length: int) -> Prepared:
    """The bundled text with the tokenizer of the quick start, in rows of `length`."""
    return prepare(Sotu(), TrainedTokenizer(), Packing("concatenate", length), LENGTH)


def score(folder: Path) -> dict[str, float]:
    """loss (nats per masked token), accuracy and bits_per_byte of the masked-language model saved in `folder`."""
    prepared = bundled_text(LENGTH)
    family = json.loads((folder / "config.json").read_text())["model_type"]
    network = ModelRecipe(family, init_from=str(folder)).build(prepared.tokenizer, LENGTH, "mlm").eval()
    views = ruler_views(Vocabulary.of(prepared.tokenizer), LENGTH)
    rows = DataModule(
        prepared,
        views,
        views,
        rows=64,
        steps=1,
        padded=True,
        order_seed=0,
        workers=0,
        heldout_rows=1,
        ruler_rows=ROWS,
    ).val_dataloader()[1]
    tally = Tally(network)
    for batch in rows:
        batch.views = views(batch.rows, 0.0)
        tally.add(batch)
    return dict(tally.result(tally.sums_4))
