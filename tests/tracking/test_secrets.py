"""No secret is written down, and nothing else is lost."""

from __future__ import annotations

import pytest

from maskwright.tracking.secrets import without_places, without_secrets


def test_secrets_go_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "q" * 30)
    config = {
        "data": {"path": "https://me:pass@host/x", "hf_token": "short", "files": ["a", "key=0123456789abcdef0123"]},
        "logger": {"api_key": "k"},
        "note": "Bearer hf_" + "z" * 34,
    }
    clean = without_secrets(config)
    text = str(clean)
    for secret in ("0123456789abcdef0123", "qqqq", "zzzz", "me:pass", "short", "'k'"):
        assert secret not in text
    assert clean["data"]["path"] == "https://***@host/x"
    assert config["logger"]["api_key"] == "k"  # the argument is left alone


@pytest.mark.parametrize(
    "config",
    [
        {"tokenizer": "wordpiece", "tokens": 12, "mask_token": "[MASK]", "token": "x", "rate": {"of": "token"}},
        {"seed": 0, "keys": ["a"], "files": ["/data/a.txt"], "none": None, "flag": True},
    ],
)
def test_ordinary_words_stay(config):
    assert without_secrets(config) == config


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/someone/models/bert", ".../bert"),
        ("~/models/bert", ".../bert"),
        (r"C:\Users\someone\bert", ".../bert"),
        ("/data/runs/12-00-00/export/generator", ".../12-00-00/export/generator"),
        ("the weights of /data/12-00-00/export under a head", "the weights of .../12-00-00/export under a head"),
        ("/data/novels/*.txt", ".../*.txt"),
        ("outputs/2026-01-31/12-00-00", "outputs/2026-01-31/12-00-00"),
        ("someone/bert-base", "someone/bert-base"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("80/10/10", "80/10/10"),
        ("a / b", "a / b"),
        ("/", "/"),
    ],
)
def test_absolute_paths_are_shortened(text, shown):
    assert without_places(text) == shown
    assert without_places({"a": [text, 1, None]}) == {"a": [shown, 1, None]}
