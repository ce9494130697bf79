"""Weights that start from a saved model (`model.init_from`): a folder, a run of maskwright, or a hub name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError

if TYPE_CHECKING:
    from .families import Family
    from .recipe import ModelRecipe


def located(init_from: str) -> str:
    """The folder that holds config.json, or the hub name unchanged."""
    folder = Path(init_from).expanduser()
    if not folder.exists():
        if init_from.count("/") > 1 or init_from.startswith((".", "~")):
            raise RecipeError(f"model.init_from is {init_from}, which does not exist; give a folder or a hub name.")
        return init_from
    if folder.is_file():
        raise RecipeError(f"model.init_from is the file {init_from}; give the folder that holds config.json.")
    candidates = (folder, folder / "export")
    for candidate in candidates:
        if (candidate / "config.json").is_file():
            return str(candidate)
    for candidate in candidates:
        inner = sorted(path.parent for path in candidate.glob("*/config.json"))
        if inner:
            names = " or ".join(f"model.init_from={path}" for path in inner)
            raise RecipeError(f"model.init_from={init_from} holds several models; choose {names}.")
    raise RecipeError(
        f"model.init_from={init_from} holds no config.json; give a saved model or a finished run's folder."
    )


def numbers(init_from: str, model_type: str, family: str) -> dict[str, Any]:
    """The config numbers of a checkpoint, refused when it is of another family."""
    config = _config(init_from)
    if config.model_type != model_type:
        raise RecipeError(
            f"model.init_from={init_from} is a {config.model_type}, and model.family is {family}; "
            f"choose a model=... of the family {config.model_type.replace('-', '_')}."
        )
    return {key: value for key, value in config.to_dict().items() if value is not None}


def load(recipe: ModelRecipe, family: Family, tokenizer: Any, length: int, head: str) -> Any:
    """The transformers model with the checkpoint's weights, in float32.

    A head that the checkpoint lacks is drawn anew. Raises RecipeError when the checkpoint belongs to another
    vocabulary, has too few positions, or lacks weights of the body.
    """
    import transformers

    from .recipe import special_ids

    assert recipe.init_from is not None
    place = located(recipe.init_from)
    config = _config(recipe.init_from)
    _same_vocabulary(recipe.init_from, place, config, tokenizer)
    needed = family.table_length(length, int(tokenizer.pad_token_id))
    if config.max_position_embeddings < needed:
        most = length - (needed - config.max_position_embeddings)
        raise RecipeError(
            f"model.init_from={recipe.init_from} has {most} positions, and the rows have {length}; "
            f"choose rows of at most {most}."
        )
    for key, value in special_ids(tokenizer).items():
        if hasattr(config, key):
            setattr(config, key, value)
    for key, value in recipe.config.items():
        if "dropout" in key:
            setattr(config, key, value)
    if head == "detect":
        config.num_labels = 1
    cls = getattr(transformers, family.heads[head])
    hf, info = _pretrained(cls, place, config, recipe)
    if any(key.startswith("lm_predictions.") for key in info["unexpected_keys"]) and head == "mlm":
        config.legacy = False  # Microsoft's own DeBERTa checkpoints carry this head
        hf, info = _pretrained(cls, place, config, recipe)
    lost = [key for key in info["missing_keys"] if key.startswith(family.body_name + ".")]
    if lost:
        raise RecipeError(
            f"model.init_from={recipe.init_from} lacks {len(lost)} weights of the network, {lost[0]} among them; "
            "give a folder written by save_pretrained."
        )
    return hf


def _pretrained(cls: Any, place: str, config: Any, recipe: ModelRecipe) -> tuple[Any, dict[str, Any]]:
    import pickle

    import torch
    from safetensors import SafetensorError

    try:
        return cls.from_pretrained(
            place,
            config=config,
            dtype=torch.float32,
            attn_implementation=recipe.attention,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise RecipeError(f"model.init_from={recipe.init_from} cannot be loaded: {_first_line(error)}") from error


def _config(init_from: str) -> Any:
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(located(init_from))
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"model.init_from={init_from} cannot be read: {_first_line(error)}") from error


def _same_vocabulary(init_from: str, place: str, config: Any, tokenizer: Any) -> None:
    cure = f"choose tokenizer=saved tokenizer.path={place}"
    if len(tokenizer) > config.vocab_size:
        raise RecipeError(
            f"model.init_from={init_from} has {config.vocab_size} tokens, "
            f"and the tokenizer has {len(tokenizer)}; {cure}."
        )
    theirs = _vocabulary(place)
    if theirs is not None:
        if theirs != tokenizer.get_vocab():
            raise RecipeError(f"model.init_from={init_from} was trained with another vocabulary; {cure}.")
    elif config.vocab_size - len(tokenizer) >= 128:  # tables are padded to multiples of at most 128
        raise RecipeError(
            f"model.init_from={init_from} has {config.vocab_size} tokens, "
            f"and the tokenizer only {len(tokenizer)}; {cure}."
        )


def _vocabulary(place: str) -> dict[str, int] | None:
    """The vocabulary saved beside a checkpoint, or None where there is none."""
    import transformers

    names = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "tokenizer_config.json")
    if Path(place).exists() and not any((Path(place) / name).is_file() for name in names):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(place).get_vocab()
    except (OSError, ValueError, KeyError, ImportError):
        return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
