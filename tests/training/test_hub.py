"""Names of the hub without a network: what the hub's own cache holds is used, what it lacks is one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.conftest import SMALL

from maskwright.errors import RecipeError

MODEL = ("model=bert_tiny", "model.config.hidden_size=16", "model.config.num_hidden_layers=1")
DROPOUT = "model.config.hidden_dropout_prob=0.1"


@pytest.fixture(scope="module")
def cached(compose, tmp_path_factory) -> dict[str, float]:
    """The final figures of a run whose export lies in the hub's cache under the name someone/small."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from maskwright.training.run import pretrain

    folder = tmp_path_factory.mktemp("hub") / "run"
    metrics = pretrain(*compose(*MODEL), folder)
    place = Path(HF_HUB_CACHE) / "models--someone--small"
    shutil.copytree(folder / "export", place / "snapshots" / ("0" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    return metrics


@pytest.fixture
def other_options(small_options) -> list[str]:
    """A small run with a tokenizer that is not trained."""
    return [word for word in small_options if not word.startswith("tokenizer.")]


def test_weights_start_from_a_name_of_the_hub(cached, pretrain, other_options, tmp_path):
    named = (
        *other_options,
        "model=bert_tiny",
        "model.init_from=someone/small",
        "tokenizer=saved",
        "tokenizer.path=someone/small",
    )
    still = ("optimizer=adamw", "optimizer.lr=1e-12", "trainer.max_steps=1")
    begun = pretrain(*named, *still, folder=tmp_path / "begun", small=False)
    assert begun["ruler/loss"] == pytest.approx(cached["ruler/loss"], abs=1e-6)
    assert json.loads((tmp_path / "begun" / "run.json").read_text())["parameters"] > 0
    # what dropout hides differs with its seed: the network trains, and does not stay in from_pretrained's eval mode
    losses = {
        seed: pretrain(
            *named, DROPOUT, f"seeds.dropout={seed}", "trainer.max_steps=2", folder=tmp_path / str(seed), small=False
        )
        for seed in (1, 2)
    }
    assert losses[1]["ruler/loss"] != losses[2]["ruler/loss"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model.init_from=someone/absent", "model=bert_tiny"), "model.init_from=someone/absent cannot be read: "),
        (("tokenizer=saved", "tokenizer.path=someone/absent"), "tokenizer.path=someone/absent is neither a local"),
        (("data=hub", "data.path=someone/absent"), "data.path=someone/absent: the dataset cannot be loaded (offline"),
    ],
)
def test_what_is_not_there_is_one_sentence(overrides, said, pretrain, other_options, tmp_path):
    with pytest.raises(RecipeError) as caught:
        pretrain(*([] if "data=hub" in overrides else other_options), *overrides, folder=tmp_path, small=False)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_a_name_of_the_hub_is_continued_and_named_as_the_base(cached, pretrain, small_text, tmp_path):
    small = [word for word in SMALL if not word.startswith("tokenizer.")]
    figures = pretrain(
        "experiment=domain_adaptation", *small, f"data.files={small_text}", "data.document=blank_line",
        "data.heldout=0.2", "model.init_from=someone/small", folder=tmp_path, small=False,
    )  # fmt: skip
    assert figures["before/ruler/loss"] == cached["ruler/loss"]
    assert json.loads((tmp_path / "run.json").read_text())["starts"] == {"network": "the weights of someone/small"}
    card = (tmp_path / "export" / "README.md").read_text()
    assert "\nbase_model: someone/small\n---" in card and "from the weights of someone/small." in card
    with pytest.raises(RecipeError, match="^model.init_from=someone/absent cannot be read: "):
        pretrain(
            "experiment=domain_adaptation", f"data.files={small_text}", "model.init_from=someone/absent", small=False
        )
