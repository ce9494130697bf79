"""From the word after `run=` to a subject: a run's folder, an export, or a name on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from maskwright.data.tokenizers import saved_in
from maskwright.data.tokenizers.wrapping import mended
from maskwright.errors import RecipeError
from maskwright.evaluation.subject import Foreign, Subject
from maskwright.models import ModelRecipe
from maskwright.models.checkpoint import located
from maskwright.models.families import FAMILIES
from maskwright.models.tables import missing
from maskwright.pasting import override

_HEADS = {
    "ForMaskedLM": "mlm",
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
    "ForPreTraining": "mlm",  # BERT's; ELECTRA's is a discriminator
}
_AUTO = {"mlm": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM", None: "AutoModel"}
_LONGEST = 1 << 20  # a tokenizer without a limit names a much larger number


def load(run: str, device: torch.device | str = "cpu") -> Subject:
    """The subject that `run` names, in eval mode on `device`.

    It attends as its family does first (sdpa where it has it), whatever it was trained with: equal up to rounding.
    Raises RecipeError when there is no such model, or when it cannot be evaluated.
    """
    try:
        place = located(run)
        config = _config(place)
        tokenizer = _tokenizer(place, run)
        head = _head(config)
        other = place.rstrip("/") + "/generator"
        subject = Subject(
            network=None,
            tokenizer=tokenizer,
            head=head,
            length=_length(config, tokenizer),
            name=f"run={run}",
            other=override("run", other) if head == "detect" and Path(other, "config.json").exists() else None,
        )
        network = _network(place, config, subject)
    except RecipeError as error:
        raise RecipeError(str(error).replace("model.init_from", "run")) from error.__cause__
    subject.network = network.to(device).eval()
    return subject


def _network(place: str, config: Any, subject: Subject) -> Any:
    family = next((name for name, family in FAMILIES.items() if family.model_type == config.model_type), None)
    head = subject.head or ("mlm" if family and "mlm" in FAMILIES[family].heads else None)
    if family is None or head not in FAMILIES[family].heads:
        return _foreign(place, subject.head, subject.tokenizer)
    return ModelRecipe(family, init_from=place).build(subject.tokenizer, subject.length, head)


def _foreign(place: str, head: str | None, tokenizer: Any) -> Foreign:
    import transformers

    auto = getattr(transformers, _AUTO.get(head) or "AutoModel")
    try:
        hf = auto.from_pretrained(place, dtype=torch.float32)
        return Foreign(hf, missing(tokenizer, hf.config.vocab_size))
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise RecipeError(f"run={place} cannot be loaded: {_first_line(error)}") from error


def _config(place: str) -> Any:
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(place)
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(
            f"run={place} is neither a folder with a model nor a model that the hub gave; check the name and the "
            f"network. transformers says: {_first_line(error)}"
        ) from error


def _tokenizer(place: str, run: str) -> Any:
    import transformers

    if Path(place).is_dir() and not saved_in(Path(place)):
        raise RecipeError(f"run={run} has no tokenizer; save the one that it was trained with beside its config.json.")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise RecipeError(f"run={run} has no tokenizer that can be read; save one beside its config.json.") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return mended(tokenizer)


def _head(config: Any) -> str | None:
    """What the saved model can say, by the class that its config names."""
    name = (getattr(config, "architectures", None) or [""])[0]
    if name.startswith("Electra") and name.endswith("ForPreTraining"):
        return "detect"
    if name.endswith("ForTokenClassification") and config.num_labels == 1:
        return "detect"
    if name.endswith("ForConditionalGeneration"):
        raise RecipeError("run names an encoder-decoder model, which cannot be evaluated yet; name another one.")
    return next((head for ending, head in _HEADS.items() if name.endswith(ending)), None)


def _length(config: Any, tokenizer: Any) -> int:
    """Most tokens of a text, special ones included."""
    limits = [tokenizer.model_max_length]
    family = next((family for family in FAMILIES.values() if family.model_type == config.model_type), None)
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        limits.append(positions - (family.table_length(8, tokenizer.pad_token_id or 0) - 8 if family else 0))
    return min(min(limits), _LONGEST)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
