"""The kinds of tokenizers that can be trained: what they fold, how they part words, how their pieces are learned.

Nothing here damages a script: combining marks (Thai, Hindi, Arabic, Japanese), joiners (Persian, Indic scripts, emoji)
and compatibility forms stay. Text is put into Unicode's composed form (NFC), in which nothing that a reader tells
apart is merged; NFKC would write x² as x2 and ﷺ as four words.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from maskwright.data.tokenizers.wrapping import SPECIAL

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer

_LONGEST = 100  # characters of a word that are taken at once
_PARTING, _UNSEEN = r"[\p{Cc}\x{200B}]", r"[\x{00AD}\x{FEFF}]"  # see `_clean`
_ACCENT = r"(?<=[\p{Latin}\p{Greek}])\p{Mn}+"  # of letters that are the same letter without it; й or が is another one


class Settings(Protocol):
    """What `TrainedTokenizer` was given."""

    vocabulary: int
    lowercase: bool
    strip_accents: bool
    min_frequency: int


def wordpiece(settings: Settings) -> tuple[Tokenizer, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    # A word beyond the model's limit would be one [UNK]; parts never reach it.
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL["unk"], max_input_chars_per_word=10 * _LONGEST))
    han = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )  # spaces around every Han character
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), _clean(), han, *_folds(settings)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), _parts()])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, trainers.WordPieceTrainer(min_frequency=settings.min_frequency, **_common(settings, spaces=False))


def bpe(settings: Settings) -> tuple[Tokenizer, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if folds := _folds(settings):
        tokenizer.normalizer = normalizers.Sequence(folds)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_parts(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    common = _common(settings, spaces=True)
    return tokenizer, trainers.BpeTrainer(initial_alphabet=alphabet, min_frequency=settings.min_frequency, **common)


def unigram(settings: Settings) -> tuple[Tokenizer, Any]:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), _clean(), *_folds(settings), spaces])
    # Digits and punctuation apart: with Metaspace alone the trainer's likelihood became NaN on ordinary text. A space
    # is written before the text alone, not behind a mask: what follows one without a space has none in training.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="first"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(),
            _parts(),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, trainers.UnigramTrainer(unk_token=SPECIAL["unk"], **_common(settings, spaces=True))


def _folds(settings: Settings) -> list[Normalizer]:
    from tokenizers import Regex, normalizers

    case = [normalizers.Replace("İ", "i"), normalizers.Lowercase()]  # Lowercase alone makes an i and a dot above of İ
    accents = [normalizers.NFD(), normalizers.Replace(Regex(_ACCENT), ""), normalizers.NFC()]
    return [*(case if settings.lowercase else []), *(accents if settings.strip_accents else [])]


def _clean() -> Normalizer:
    """Controls and the zero-width space part words, as in maskwright.data.words; soft hyphens and byte order marks,
    which nobody sees, go."""
    from tokenizers import Regex, normalizers

    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(_PARTING), " "),
            normalizers.Replace(Regex(_UNSEEN), ""),
        ]
    )


def _parts() -> PreTokenizer:
    """Words of more than `_LONGEST` characters (DNA, base64, scripts that write no spaces) in parts.

    A part ends behind the marks of its last letter. Without parts WordPiece takes time with the square of a word's
    length, and BPE learns from a word of 100,000 letters for 20 s.
    """
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(rf" ?\S{{{_LONGEST}}}\p{{M}}{{0,{_LONGEST}}}"), "isolated")


def _common(settings: Settings, spaces: bool) -> dict[str, Any]:
    """Of all trainers. spaces: whether pieces carry the space before them; the mask then takes it, as they do (see
    `wrapping.mended`)."""
    from tokenizers import AddedToken

    mask = AddedToken(SPECIAL["mask"], lstrip=spaces, normalized=False, special=True)
    return {
        "vocab_size": settings.vocabulary,
        "special_tokens": [mask if role == "mask" else token for role, token in SPECIAL.items()],
        "show_progress": sys.stderr.isatty(),
    }


KINDS = {"wordpiece": wordpiece, "bpe": bpe, "unigram": unigram}
