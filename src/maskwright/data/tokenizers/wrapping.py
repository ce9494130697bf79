"""A tokenizer as everything else uses it: its special tokens by role, markers, and a fingerprint of what it does."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from maskwright.errors import RecipeError
from maskwright.tokenids import unknown_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_OTHERS = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}  # as RoBERTa and ALBERT write
_SPACE = "Ġ▁ "  # how a piece says that a space stands before it
_CARRIES = ('"ByteLevel"', '"Metaspace"')  # the pre-tokenizers that write it


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """As transformers uses it; special tokens are those that the vocabulary has under their usual names."""
    from transformers import PreTrainedTokenizerFast

    special = {
        f"{role}_token": next((name for name in (SPECIAL[role], _OTHERS[role]) if _has(tokenizer, name)), None)
        for role in SPECIAL
    }
    return mended(PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special))


def mended(tokenizer: Any) -> Any:
    """The tokenizer with what saved files often leave out: the unknown token that its model writes is declared, and the
    mask token takes the space before it where the pieces of words do.

    Byte-level BPE and Unigram write `the cold harbour` as the, Ġcold, Ġharbour, and a masked Ġcold leaves the, [MASK],
    Ġharbour. Without this `the cold [MASK] harbour` would have a lone Ġ before the mask, which no training row has.
    """
    from tokenizers import AddedToken

    if not getattr(tokenizer, "is_fast", False):
        return tokenizer
    unknown = unknown_id(tokenizer)
    if tokenizer.unk_token_id is None and unknown is not None:
        tokenizer.unk_token = tokenizer.convert_ids_to_tokens(unknown)
    backend, mask = tokenizer.backend_tokenizer, tokenizer.mask_token
    if mask is None or not _carries_space(backend):
        return tokenizer
    known = backend.get_added_tokens_decoder().get(tokenizer.mask_token_id)
    if known is None or not known.lstrip:
        backend.add_special_tokens([AddedToken(mask, lstrip=True, normalized=False, special=True)])
    return tokenizer


def marked(tokenizer: PreTrainedTokenizerFast, markers: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """The tokenizer with `markers` as tokens of their own, which no masking selects and no replacement draws."""
    from tokenizers import AddedToken

    # Not "special" to the library: written in a text they are the markers, while a written [MASK] stays text. They take
    # the space before them, so that what stands before a marker has the same tokens as without one.
    tokenizer.add_tokens([AddedToken(marker, normalized=False, special=False, lstrip=True) for marker in markers])
    return tokenizer


def fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """sha256 of what the tokenizer does to text, and of the ids of its roles.

    Padding and truncation, which callers set, do not count, nor does the white space around special tokens: a text
    never holds them.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str()) | {"padding": None, "truncation": None}
    for token in content["added_tokens"]:
        if token["special"]:
            token |= {"lstrip": False, "rstrip": False}
    content["roles"] = {role: getattr(tokenizer, f"{role}_token_id") for role in SPECIAL}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_shared(tokenizer: Any, what: str) -> None:
    """Raises RecipeError where the padding or the mask token has a second role.

    Networks tell padding, and RoBERTa's positions too, by the id alone, and a mask that also ends a text would be
    predicted there. What ends a text may also begin it, and may be the unknown token of a tokenizer that never
    writes one.
    """
    ids = {role: getattr(tokenizer, f"{role}_token_id") for role in SPECIAL}
    for role in ("pad", "mask"):
        twin = next((other for other in SPECIAL if other != role and ids[other] == ids[role] is not None), None)
        if twin is not None:
            raise RecipeError(
                f"{what} has one token, {tokenizer.convert_ids_to_tokens(ids[role])}, as its {role} and its {twin} "
                f"token; give the {role} token an entry of its own (tokenizer.add_special_tokens, then save it again)."
            )


def _carries_space(backend: Tokenizer) -> bool:
    """Whether the pieces that begin a word carry the space before it."""
    before = json.dumps(json.loads(backend.to_str())["pre_tokenizer"])
    if any(kind in before for kind in _CARRIES):
        return True
    return any(token[:1] in _SPACE and token[1:2].isalnum() for token in backend.get_vocab() if token)


def _has(tokenizer: Tokenizer, token: str) -> bool:
    return tokenizer.token_to_id(token) is not None
