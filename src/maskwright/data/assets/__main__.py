"""Train the quick start's tokenizer again: `python -m maskwright.data.assets`.

`bundled.json` says for which settings and text each file stands. WordPiece training is not reproducible: another run
gives another vocabulary, as good as this one.
"""

from __future__ import annotations

import json
from pathlib import Path

from maskwright.data.corpus import Sotu, cache_root
from maskwright.data.prepare import texts_of
from maskwright.data.sample import training_sample
from maskwright.data.tokenizers import TrainedTokenizer

folder, key = texts_of(Sotu(), cache_root())
recipe = TrainedTokenizer()
path = Path(__file__).parent / f"sotu-{recipe.kind}-{recipe.vocabulary}.json"
recipe.train(training_sample(folder)).save(str(path), pretty=False)
(path.parent / "bundled.json").write_text(json.dumps({recipe.key(key): path.name}, indent=1) + "\n", encoding="utf-8")
print(path)
