"""A model recipe: a family, its config numbers, and where the weights start. conf/model/*.yaml hold them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from ..errors import RecipeError
from ..tokenids import table_rows
from . import checkpoint
from .families import FAMILIES, Family
from .kinds import checked, kinds
from .network import RANDOM, Network
from .tables import float32, missing

# Numbers that the tokenizer, the rows or the head decide.
_DECIDED = {
    "add_cross_attention", "bos_token_id", "cls_token_id", "eos_token_id", "is_decoder",
    "num_labels", "pad_token_id", "sep_token_id", "vocab_size",
}  # fmt: skip
_MAY_BE_ZERO = {"conv_kernel_size", "type_vocab_size"}
_MAY_BE_NEGATIVE = {"max_relative_positions", "position_buckets", "sparse_pred_ignore_index"}


class ModelRecipe:
    """What to build. Nothing is built or downloaded before `build`, except that `init_from` is read for its numbers.

    family: see `maskwright.models.families.FAMILIES`; "auto": that of the checkpoint.
    config: numbers of the family's transformers config; what is absent has the config class's default.
    init_from: None (random weights), a folder with a saved model, a run folder of maskwright, or a hub name. The
        checkpoint's own shape then replaces `config`, of which only the dropouts still apply.
    attention: None (the family's fastest), "sdpa" or "eager".
    transplant: with `init_from` and a tokenizer that is not the checkpoint's, carry the vocabulary over: a token that
        both have keeps its row, another takes the mean of its pieces' rows (RuBERT, arXiv 1905.07213).
    Raises RecipeError when the family, a key or a combination of numbers is impossible.
    """

    def __init__(
        self,
        family: str,
        config: Mapping[str, Any] | None = None,
        init_from: str | None = None,
        attention: str | None = None,
        transplant: bool = False,
    ) -> None:
        self.init_from = str(init_from) if init_from else None
        if family == checkpoint.AUTO:
            if self.init_from is None:
                raise RecipeError(
                    "model=checkpoint takes everything from a saved model; set model.init_from to a folder, a run's "
                    "folder or a hub name."
                )
            family = checkpoint.family_of(self.init_from)
        if family not in FAMILIES:
            raise RecipeError(
                f"model.family is {family}; choose one of {', '.join(FAMILIES)}, or {checkpoint.AUTO} with "
                "model.init_from."
            )
        self.family = family
        if not isinstance(transplant, bool):
            raise RecipeError(f"model.transplant is {transplant}; give true or false.")
        if transplant and self.init_from is None:
            raise RecipeError("model.transplant is true without a checkpoint to take rows from; set model.init_from.")
        self.transplant = transplant
        self._family = FAMILIES[family]
        self._given = self._family.usual(_plain(config or {}))
        if attention is not None and attention not in self._family.attentions:
            allowed = " or ".join(self._family.attentions)
            raise RecipeError(f"model.attention is {attention}; {family} runs with {allowed}.")
        self.attention = attention or self._family.attentions[0]
        self._check_keys()
        self._read: dict[str, Any] | None = None
        if self.init_from is None:
            self._check_shape(self._given)

    @property
    def kind(self) -> str:
        """ "encoder" or "decoder"."""
        return self._family.kind

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the family can carry: "mlm", "detect", "classify", "causal"."""
        return tuple(self._family.heads)

    @property
    def config(self) -> dict[str, Any]:
        """The numbers in force: those given, or the checkpoint's where `init_from` names one."""
        if self.init_from is None:
            return self._given
        if self._read is None:
            self._read = checkpoint.numbers(self.init_from, self._family, self.family)
            self._read.update({key: value for key, value in self._given.items() if "dropout" in key})
        return self._read

    @property
    def can(self) -> frozenset[str]:
        """What the network honours; a test proves every claim by perturbation.

        positions: other position ids give other hidden states, and only through them.
        attention_mask: any query-by-key mask holds exactly, so documents in one row can be kept apart.
        embeddings_in: embeddings may be given in place of ids.
        segments: tokens may be told apart by segment, as those of two sentences.
        narrow_embeddings: the embedding table may be narrower than the network.
        """
        return self._family.can(self.config)

    @property
    def embedding_size(self) -> int:
        """Width of the embedding table."""
        return int(self._full("embedding_size") if self._family.narrow else self._full("hidden_size"))

    def require(self, claim: str, wanted: str) -> None:
        """Raise RecipeError unless the network can `claim`; `wanted` names what asked for it."""
        if claim not in self.can:
            raise RecipeError(
                f"model.family={self.family} with these settings cannot honour {wanted}; {self._family.cure(claim)}."
            )

    def build(self, tokenizer: Any, length: int, head: str = "mlm", labels: Sequence[str] = ()) -> Network:
        """A network in train mode with float32 weights.

        tokenizer: gives the vocabulary size and the special ids. length: positions of a row. head: "mlm", "detect",
        "classify" (rows, into the classes `labels`) or "causal". All draws come from torch's global generator: seed it
        before.
        Raises RecipeError when the head, the length or the checkpoint does not fit.
        """
        family = self._family
        if head not in family.heads:
            raise RecipeError(
                f"model.family={self.family} is {_article(self.kind)} without the head {head}; "
                f"choose {'model=bert_tiny or another encoder' if self.kind == 'decoder' else 'model=llama_tiny'}."
            )
        if length < 3:
            raise RecipeError(f"The rows have {length} positions; a row needs at least 3.")
        self._check_special_row(tokenizer)
        if self.init_from is not None:
            self._check_shape(self.config)
            hf, start = checkpoint.load(self, family, tokenizer, length, head, labels)
        else:
            hf, start = self._fresh(family, tokenizer, length, head, labels), RANDOM
        hf.train()  # from_pretrained leaves eval mode on, and Lightning keeps it: no dropout
        return Network(family.made(hf), self, family, head, length, start, missing(tokenizer, hf.config.vocab_size))

    def beside(self, name: str) -> ModelRecipe | None:
        """The recipe of a further network, such as `generator`, where `init_from` is a run that has it."""
        if self.init_from is None or (place := checkpoint.beside(self.init_from, name)) is None:
            return None
        return self.started_from(place)

    def started_from(self, place: str) -> ModelRecipe:
        """The recipe of another network that starts from `place`, whatever family that is of; this one's dropouts and
        `transplant` hold for it too."""
        other = ModelRecipe(checkpoint.AUTO, init_from=place, transplant=self.transplant)
        known = other._fields()
        other._given = {key: value for key, value in self._given.items() if "dropout" in key and key in known}
        return other

    def smaller(self, width: float = 1.0, depth: float = 1.0) -> ModelRecipe:
        """The recipe of a smaller network, such as ELECTRA's generator (arXiv 2003.10555): always from random weights.

        width: factor in 0..1 for hidden width, heads and feed-forward width; the embedding table keeps its width where
        the family allows it. depth: factor in 0..1 for the number of layers.
        """
        for name, factor in (("width", width), ("depth", depth)):
            if not 0 < factor <= 1:
                raise RecipeError(f"generator.{name} is {factor}; it is a share of the other network in 0..1.")
        numbers = {key: value for key, value in self.config.items() if key in self._settings()}
        heads = max(1, round(self._full("num_attention_heads") * width))
        if width != 1:
            unit = 8 * heads
            if self._family.narrow:
                numbers["embedding_size"] = self.embedding_size
            numbers["hidden_size"] = max(unit, round(self._full("hidden_size") * width / unit) * unit)
            numbers["num_attention_heads"] = heads
            numbers["intermediate_size"] = max(8, round(self._full("intermediate_size") * width / 8) * 8)
            for key in ("head_dim", "attention_head_size", "pooler_hidden_size"):
                numbers.pop(key, None)
            if self._full("num_key_value_heads"):
                shared = self._full("num_attention_heads") // self._full("num_key_value_heads")
                numbers["num_key_value_heads"] = heads // shared if heads % shared == 0 else heads
        if depth != 1:
            numbers = self._family.shallower(numbers, max(1, round(self._full("num_hidden_layers") * depth)))
        return ModelRecipe(self.family, numbers, attention=self.attention)

    def _fresh(self, family: Family, tokenizer: Any, length: int, head: str, labels: Sequence[str]) -> Any:
        numbers = dict(self.config)
        pad_id = int(tokenizer.pad_token_id)
        needed = family.table_length(length, pad_id)
        numbers["max_position_embeddings"] = max(int(self._full("max_position_embeddings")), needed)
        numbers.update(special_ids(tokenizer), vocab_size=table_rows(tokenizer))
        config = self._config_class(**family.own(numbers))
        label(config, head, labels)
        config._attn_implementation = self.attention
        with float32():
            return family.get(family.heads[head])(config)

    @property
    def _config_class(self) -> Any:
        return self._family.get(self._family.config_class)

    def _full(self, key: str) -> Any:
        """A number in force, or the config class's default."""
        if self.config.get(key) is not None:
            return self.config[key]
        default = getattr(self._config_class, self._family.own_names.get(key, key), None)
        return self._full("hidden_size") if key == "embedding_size" and default is None else default

    def _settings(self) -> set[str]:
        """The config keys that describe a network: not what the tokenizer decides, nor a checkpoint's bookkeeping."""
        import transformers

        common = transformers.PreTrainedConfig.__dataclass_fields__
        return ((self._fields() - set(common)) | {"tie_word_embeddings"}) - _DECIDED

    def _fields(self) -> set[str]:
        """The config keys that the family takes, under their usual names."""
        fields = dict.fromkeys(self._config_class.__dataclass_fields__)
        return set(self._family.usual(fields)) | set(self._family.extra_keys)

    def _check_keys(self) -> None:
        if self.init_from is None and not self._given:
            return
        known = self._fields()
        for key in self._given:
            if key in _DECIDED:
                raise RecipeError(f"model.config.{key} is set by the tokenizer and the objective; remove it.")
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"see transformers' {self._family.config_class}."
                raise RecipeError(f"model.config.{key} is no setting of {self.family}; {hint}")
        named = self._family.usual(kinds(self._config_class)) | dict(self._family.extra_keys)
        self._given = checked(self._given, named)

    def _check_shape(self, numbers: dict[str, Any]) -> None:
        settings = self._settings()
        for key, value in numbers.items():
            if key not in settings:
                continue
            if "dropout" in key and isinstance(value, (int, float)) and not 0 <= value < 1:
                raise RecipeError(f"model.config.{key} is {value}; a dropout lies in 0..1, 1 excluded.")
            least = 0 if key in _MAY_BE_ZERO and (key != "type_vocab_size" or self._family.typeless) else 1
            counts = type(value) is int and "dropout" not in key and key not in _MAY_BE_NEGATIVE
            if counts and value < least:
                raise RecipeError(f"model.config.{key} is {value}; it must be at least {least}.")
            if isinstance(value, float) and "dropout" not in key and value < 0:
                raise RecipeError(f"model.config.{key} is {value}; it must be at least 0.")
        self._check_heads(numbers)
        shared, heads = self._full("num_key_value_heads"), self._full("num_attention_heads")
        if shared and heads % shared:
            raise RecipeError(f"model.config.num_key_value_heads is {shared}; it must divide the {heads} heads.")
        if objection := self._family.objection(self._full):
            raise RecipeError(objection)
        if numbers is self._given:
            self._check_class(numbers)

    def _check_class(self, numbers: dict[str, Any]) -> None:
        """What the config class itself refuses."""
        try:
            self._config_class(**self._family.own(numbers))
        except (ValueError, TypeError, KeyError, AttributeError, StrictDataclassError) as error:
            said = str(error).strip().splitlines()
            why = said[-1].strip() if said else type(error).__name__
            raise RecipeError(f"model.config does not fit {self._family.config_class}: {why}") from error

    def _check_special_row(self, tokenizer: Any) -> None:
        row = self._family.special_row
        if row is None or row in tokenizer.all_special_ids or row not in tokenizer.get_vocab().values():
            return
        token = tokenizer.convert_ids_to_tokens(row)
        raise RecipeError(
            f"model.family={self.family} takes the id {row} for padding, and {token} has it; choose a tokenizer in "
            f"which a special token has the id {row}, or another model."
        )

    def _check_heads(self, numbers: dict[str, Any]) -> None:
        hidden, heads = self._full("hidden_size"), self._full("num_attention_heads")
        own = numbers.get("attention_head_size") or numbers.get("head_dim")
        unit = heads * (2 if self._family.rotary else 1)
        cure = f"try hidden_size={math.ceil(hidden / unit) * unit}."
        if own is None and hidden % heads:
            raise RecipeError(f"model.config.hidden_size is {hidden}, which {heads} heads cannot share equally; {cure}")
        if self._family.rotary and own is None and hidden % unit:
            raise RecipeError(
                f"model.config.hidden_size / num_attention_heads is {hidden // heads}; "
                f"rotary positions need an even number, {cure}"
            )
        if self._family.rotary and own is not None and own % 2:
            raise RecipeError(f"model.config.head_dim is {own}; rotary positions need an even number.")


def label(config: Any, head: str, labels: Sequence[str]) -> None:
    """Tell a config how many outputs its head has, and what they stand for."""
    if head == "detect":
        config.num_labels = 1
    elif head == "classify":
        config.id2label = dict(enumerate(labels))  # which also sets num_labels
        config.label2id = {name: number for number, name in enumerate(labels)}


def special_ids(tokenizer: Any) -> dict[str, int | None]:
    """The special ids as transformers configs name them."""
    if tokenizer.pad_token_id is None:
        raise RecipeError("The tokenizer has no padding token; add one ([PAD]) or choose tokenizer=wordpiece.")
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    return {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": first,
        "eos_token_id": last,
        "cls_token_id": first,
        "sep_token_id": last,
    }


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "encoder" else f"a {kind}"


def _plain(value: Any) -> Any:
    """Plain dicts and lists out of Hydra's containers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) or type(value).__name__ == "ListConfig":
        return [_plain(item) for item in value]
    return value
