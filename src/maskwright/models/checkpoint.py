"""Weights that start from a saved model (`model.init_from`): a folder, a run of maskwright, or a hub name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError
from ..pasting import override
from ..tokenids import table_rows
from . import unfinished
from .tables import rebuilt
from .transplant import grown, sources

if TYPE_CHECKING:
    from .families import Family
    from .recipe import ModelRecipe

AUTO = "auto"  # the family that takes everything from the checkpoint


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
    if (start := unfinished.start_of(folder)) is not None:
        return str(start)
    for candidate in candidates:
        inner = sorted(path.parent for path in candidate.glob("*/config.json"))
        if inner:
            names = " or ".join(override("model.init_from", path) for path in inner)
            raise RecipeError(f"model.init_from={init_from} holds several models; choose {names}.")
    raise RecipeError(
        f"model.init_from={init_from} holds no config.json; give a saved model, or the folder of a run that has a "
        "checkpoint."
    )


def hub_name(init_from: str | None) -> str | None:
    """`init_from` where it is a name on the hub, and not a place on this machine."""
    if init_from is None or Path(init_from).expanduser().exists():
        return None
    return init_from


def beside(init_from: str, name: str) -> str | None:
    """The folder of a further network of the run, such as `generator`; None where the checkpoint is one network."""
    folder = Path(located(init_from)) / name
    return str(folder) if (folder / "config.json").is_file() else None


def family_of(init_from: str) -> str:
    """The name of the family that a checkpoint belongs to. Raises RecipeError when there is none."""
    from .families import FAMILIES

    kind = _config(init_from).model_type
    fitting = next((name for name, family in FAMILIES.items() if family.model_type == kind), None)
    if fitting is None:
        known = ", ".join(dict.fromkeys(family.model_type for family in FAMILIES.values()))
        raise RecipeError(f"model.init_from={init_from} is a {kind}, which no family knows; choose one of {known}.")
    return fitting


def longest_row(init_from: str | None, most: int) -> int:
    """`most`, or fewer tokens where the checkpoint has positions for fewer; `most` where it cannot be read (building
    the model then says why)."""
    from .families import FAMILIES

    if not init_from:
        return most
    try:
        family, config = FAMILIES[family_of(init_from)], _config(init_from)
    except RecipeError:
        return most
    return min(most, config.max_position_embeddings - family.first_position(config.pad_token_id or 0))


def numbers(init_from: str, family: Family, name: str) -> dict[str, Any]:
    """The config numbers of a checkpoint, refused when it is not of the family that `name` names."""
    from .families import FAMILIES

    config = _config(init_from)
    if config.model_type != family.model_type:
        fitting = [other for other, known in FAMILIES.items() if known.model_type == config.model_type]
        cure = f"choose a model=... of the family {' or '.join(fitting)}" if fitting else "choose another checkpoint"
        raise RecipeError(f"model.init_from={init_from} is a {config.model_type}, and model.family is {name}; {cure}.")
    return family.usual({key: value for key, value in config.to_dict().items() if value is not None})


def load(
    recipe: ModelRecipe, family: Family, tokenizer: Any, length: int, head: str, labels: Sequence[str] = ()
) -> tuple[Any, str]:
    """The transformers model with the checkpoint's weights, in float32, and a sentence on where they come from.

    A head that the checkpoint lacks is drawn anew. Tokens added to the checkpoint's own tokenizer get rows drawn from
    the table's mean and spread; for another tokenizer the table is transplanted if the recipe says so. Raises
    RecipeError when the checkpoint belongs to another vocabulary, has too few positions, or lacks weights of the body.
    """
    from .recipe import label, special_ids

    assert recipe.init_from is not None
    place = located(recipe.init_from)
    config = _config(recipe.init_from)
    named = Path(place) == Path(recipe.init_from).expanduser()
    if head == "mlm" and not named and (other := beside(place, "generator")):
        raise RecipeError(
            f"model.init_from={recipe.init_from} holds a discriminator and a generator; choose "
            f"model.init_from={other}, which predicts tokens, or model.init_from={place} for the discriminator's "
            "layers under a new head."
        )
    sources, transplanted = _sources(recipe, place, config, tokenizer)
    pad_id = config.pad_token_id if sources and config.pad_token_id is not None else tokenizer.pad_token_id
    needed = family.table_length(length, int(pad_id))
    if config.max_position_embeddings < needed:
        most = length - (needed - config.max_position_embeddings)
        raise RecipeError(
            f"model.init_from={recipe.init_from} has {most} positions, and the rows have {length}; "
            f"choose rows of at most {most} (packing.length, ruler.length)."
        )
    special = special_ids(tokenizer)
    for key, value in special.items():
        if hasattr(config, key) and sources is None:
            setattr(config, key, value)
    for key, value in family.own(recipe.config).items():
        if "dropout" in key:
            setattr(config, key, value)
    label(config, head, labels)
    hf, headless = _whole(family, place, config, recipe, head)
    start = f"the weights of {place}" + (f" under a new head ({head}), which it lacks" if headless else "")
    if sources is None:
        return hf, start
    size = len(sources) if transplanted else max(len(sources), config.vocab_size)
    hf = rebuilt(hf, family, sources, size, special, spread=not transplanted)
    return hf, f"{start}; {_counted(sources, transplanted)}"


def _whole(family: Family, place: str, config: Any, recipe: ModelRecipe, head: str) -> tuple[Any, bool]:
    """The model, refused when weights of its body are missing, and whether its head is a new one."""
    cls = family.get(family.heads[head])
    hf, info = _pretrained(cls, place, config, recipe)
    if any(key.startswith("lm_predictions.") for key in info["unexpected_keys"]) and head == "mlm":
        config.legacy = False  # Microsoft's own DeBERTa checkpoints carry this head
        hf, info = _pretrained(cls, place, config, recipe)
    inside = {key for key in info["missing_keys"] if key.startswith(family.body_name + ".")}
    lost = sorted(key for key in inside if ".pooler." not in key)
    if lost:
        raise RecipeError(
            f"model.init_from={recipe.init_from} lacks {len(lost)} weights of the network, {lost[0]} among them; "
            "give a folder written by save_pretrained."
        )
    return hf, bool(set(info["missing_keys"]) - inside)


def _counted(sources: list[list[int]], transplanted: bool) -> str:
    """How many tokens have an old row, a mean of several, a new one."""
    counts = [sum(len(ids) == 1 for ids in sources), sum(len(ids) > 1 for ids in sources), sources.count([])]
    if not transplanted:
        return f"{counts[2]:,} added tokens have new rows"
    return (
        f"of {len(sources):,} tokens {counts[0]:,} have an old token's row, {counts[1]:,} the mean of their pieces' "
        f"rows and {counts[2]:,} a new one"
    )


def _pretrained(cls: Any, place: str, config: Any, recipe: ModelRecipe) -> tuple[Any, dict[str, Any]]:
    import pickle

    import torch
    from safetensors import SafetensorError

    saved = unfinished.weights(place)
    try:
        with _untold():
            return cls.from_pretrained(
                place if saved is None else None,
                config=config,
                state_dict=saved,
                dtype=torch.float32,
                attn_implementation=recipe.attention,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise RecipeError(f"model.init_from={recipe.init_from} cannot be loaded: {_first_line(error)}") from error


@contextmanager
def _untold() -> Iterator[None]:
    """transformers prints no table of missing weights inside: those of the body are refused, a new head is named."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _config(init_from: str) -> Any:
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(located(init_from))
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"model.init_from={init_from} cannot be read: {_first_line(error)}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise RecipeError(
            f"model.init_from={init_from} is a {config.model_type}, an encoder with a decoder; name a model that is an "
            "encoder alone, such as a BERT or a RoBERTa."
        )
    return config


def _sources(recipe: ModelRecipe, place: str, config: Any, tokenizer: Any) -> tuple[list[list[int]] | None, bool]:
    """The old rows that each token's row is made of (None: all stay as they are), and whether they are a transplant.

    Raises RecipeError for a tokenizer that the checkpoint does not fit.
    """
    cure = f"choose tokenizer=saved {override('tokenizer.path', place)}"
    theirs = _tokenizer(place)
    if theirs is not None:
        if (last := max(theirs.get_vocab().values())) >= config.vocab_size:
            raise RecipeError(
                f"model.init_from={recipe.init_from} has a table of {config.vocab_size} rows, and the tokenizer beside "
                f"it has the id {last}; save the tokenizer that it was trained with beside its config.json."
            )
        if theirs.get_vocab() == tokenizer.get_vocab():
            return None, False
        if (found := grown(tokenizer, theirs)) is not None:
            return found, False
        if recipe.transplant:
            return sources(tokenizer, theirs), True
        raise RecipeError(
            f"model.init_from={recipe.init_from} was trained with another vocabulary ({len(theirs):,} tokens, and the "
            f"tokenizer has {len(tokenizer):,}); {cure}, or model.transplant=true to carry it over."
        )
    if recipe.transplant:
        raise RecipeError(
            f"model.transplant is true, but model.init_from={recipe.init_from} holds no tokenizer; "
            "save the tokenizer that it was trained with beside its config.json."
        )
    if not 0 <= config.vocab_size - table_rows(tokenizer) < 128:  # tables are padded to multiples of at most 128
        raise RecipeError(
            f"model.init_from={recipe.init_from} has {config.vocab_size} tokens, "
            f"and the tokenizer has {table_rows(tokenizer)}; {cure}."
        )
    return None, False


def _tokenizer(place: str) -> Any:
    """The tokenizer saved beside a checkpoint, or None where there is none."""
    import transformers

    from ..data.tokenizers import saved_in

    if Path(place).exists() and not saved_in(Path(place)):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError, ImportError):
        return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
