"""A trained network writes words into the holes of texts, for the cleaning `recover` (arXiv 2309.08628).

Shapes: R rows, L positions, P holes, V vocabulary, K candidates.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from maskwright.data.encode import encoded
from maskwright.data.words import word_spans
from maskwright.errors import RecipeError
from maskwright.evaluation.heads import logits_at
from maskwright.evaluation.tools import Tools, reading
from maskwright.masking.noise import stream_id, uniform_at
from maskwright.tokenids import is_token_V

if TYPE_CHECKING:
    from maskwright.data.cleaning.recover import Hole

_FILES = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model")


class Filler:
    """Writes the most likely word, or one drawn among the `top` most likely.

    run: a run's folder, an export, or a name on the hub, of a masked language model. top: 1, or how many words to draw
    from, all alike; draws are a pure function of the seed, the document's id and the hole. Candidates are the tokens
    that are a whole word behind a space. Holes that stand side by side are filled from left to right, each seen by the
    next; others at once. Texts longer than the model's rows are read in parts.
    """

    def __init__(self, run: str | None, top: int = 1, seed: int = 0) -> None:
        if not run:
            raise RecipeError(
                "cleaning.filler.run is not set; name a run's folder, an export, or a masked language model of the hub."
            )
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise RecipeError(f"cleaning.filler.top is {top}; it is a number of words from 1 up.")
        self.run, self.top, self.seed = run, top, seed
        self._content: str | None = None
        self._writer: _Writer | None = None

    def settings(self) -> dict[str, Any]:
        self._content = self._content or _content(self.run)
        return {"filler": 1, "model": self._content, "top": self.top, "seed": self.seed if self.top > 1 else None}

    def __call__(
        self,
        texts: Sequence[str],
        holes: Sequence[Sequence[Hole]],
        names: Sequence[str],
        safe: Callable[[str], bool],
        banned: Sequence[set[str]],
    ) -> list[list[str]]:
        """One word for each hole: `safe` (the same at every call), and none of those banned from its text."""
        if self._writer is None:
            self._writer = _Writer(self.run, safe)
        draws = [stream_id(name) for name in names]
        return self._writer.fill(texts, holes, banned, draws, self.top, self.seed)

    def rest(self) -> None:
        self._writer = None


@dataclass
class _Text:
    """A text as ids, with the mask in each of its holes."""

    ids_T: np.ndarray  # int64
    place_P: np.ndarray  # int64, where the holes are
    rank_P: np.ndarray  # int64, holes between this one and the last token before it that is none
    banned: list[int]  # ids that may not be written
    number: int


class _Writer:
    """The network, and the tokens that it may write."""

    def __init__(self, run: str, safe: Callable[[str], bool]) -> None:
        from maskwright.evaluation.loading import load

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        subject = load(run, device)
        if subject.head != "mlm":
            raise RecipeError(f"cleaning.filler.run={run} fills no masks; name a masked language model.")
        self.network, self.tokenizer, self.device = subject.network, subject.tokenizer, device
        self.mask, self.room, self.pad = subject.mask, subject.length - 2, subject.pad
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        self.frame = [self.tokenizer.bos_token_id if first is None else first,
                      self.tokenizer.eos_token_id if last is None else last]  # fmt: skip
        self.positions = Tools(device).batch_positions
        self.backend = type(self.tokenizer.backend_tokenizer).from_str(self.tokenizer.backend_tokenizer.to_str())
        self.backend.no_padding()
        self.backend.no_truncation()
        self.backend.encode_special_tokens = True  # a "[MASK]" written in the text is text
        self.word: dict[int, str] = {}
        self.ids: dict[str, list[int]] = {}
        for token, word in self._words():
            if safe(word):
                self.word[token] = word
                self.ids.setdefault(word.casefold(), []).append(token)
        if not self.word:
            raise RecipeError(
                f"cleaning.filler.run={run} has no token that is an unprotected word; protect fewer words, or name "
                "another model."
            )
        self.never_V = torch.full((subject.network.config.vocab_size,), -torch.inf, device=device)
        self.never_V[list(self.word)] = 0.0

    def fill(
        self,
        texts: Sequence[str],
        holes: Sequence[Sequence[Hole]],
        banned: Sequence[set[str]],
        draw: list[int],
        top: int,
        seed: int,
    ) -> list[list[str]]:
        """See `Filler`; draw: a number for each text, from which its draws follow."""
        read = self._read(texts, holes, banned)
        for rank in range(1 + max((int(text.rank_P.max(initial=-1)) for text in read), default=-1)):
            due = [(text, np.flatnonzero(text.rank_P == rank)) for text in read]
            for rows, wanted in self._batches([pair for pair in due if len(pair[1])]):
                chosen_P = self._chosen(rows, wanted, draw, top, seed)
                for (text, hole, _, _), token in zip(wanted, chosen_P, strict=True):
                    text.ids_T[text.place_P[hole]] = token
        written: list[list[str]] = [[] for _ in texts]
        for text in read:
            written[text.number] = [self.word[token] for token in text.ids_T[text.place_P].tolist()]
        return written

    def _read(self, texts: Sequence[str], holes: Sequence[Sequence[Hole]], banned: Sequence[set[str]]) -> list[_Text]:
        """The texts that have holes."""
        numbers = [number for number, own in enumerate(holes) if own]
        read = []
        for number, (id_T, start_T, end_T) in zip(numbers, encoded([texts[n] for n in numbers], self.backend)):
            first_P = np.searchsorted(end_T, [hole[0] for hole in holes[number]], side="right")
            # a word brings its own space: none is left before its mask where the word that stands there has it apart
            before_P = np.maximum(first_P - 1, 0)
            lone = [texts[number][start:end] == " " for start, end in zip(start_T[before_P], end_T[before_P])]
            first_P = first_P - ((first_P > 0) & np.array(lone))
            behind_P = np.searchsorted(start_T, [hole[1] for hole in holes[number]], side="left")
            parts: list[np.ndarray] = []
            place, at, length = [], 0, 0
            for first, behind in zip(first_P.tolist(), behind_P.tolist()):
                parts += [id_T[at : max(at, first)].astype(np.int64), np.array([self.mask])]
                length += len(parts[-2])
                place.append(length)
                at, length = max(at, first, behind), length + 1
            ids_T = np.concatenate([*parts, id_T[at:].astype(np.int64)])
            place_P = np.array(place)
            opens_P = np.diff(place_P, prepend=-2) != 1
            nth_P = np.arange(len(place_P))
            rank_P = nth_P - np.maximum.accumulate(np.where(opens_P, nth_P, 0))
            never = sorted(token for word in banned[number] for token in self.ids.get(word, ()))
            if len(never) == len(self.word):
                raise RecipeError("every word that may be written is protected in one text; protect fewer words.")
            read.append(_Text(ids_T, place_P, rank_P, never, number))
        return read

    def _batches(
        self, due: list[tuple[_Text, np.ndarray]]
    ) -> Iterator[tuple[list[np.ndarray], list[tuple[_Text, int, int, int]]]]:
        """Rows of similar length, and the holes to fill in them as (text, hole, row, place)."""
        windows = []
        for text, hole_P in due:
            for window in np.unique(text.place_P[hole_P] // self.room).tolist():
                own = hole_P[text.place_P[hole_P] // self.room == window]
                windows.append((text, window * self.room, min(self.room, len(text.ids_T) - window * self.room), own))
        windows.sort(key=lambda window: -window[2])
        while windows:
            count = max(1, self.positions // (windows[0][2] + 2))
            batch, windows = windows[:count], windows[count:]
            rows = [text.ids_T[first : first + length] for text, first, length, _ in batch]
            wanted = [(text, hole, row, int(text.place_P[hole]) - first + 1)
                      for row, (text, first, _, own) in enumerate(batch) for hole in own.tolist()]  # fmt: skip
            yield rows, wanted

    @torch.no_grad()
    def _chosen(
        self, rows: list[np.ndarray], wanted: list[tuple[_Text, int, int, int]], draw: list[int], top: int, seed: int
    ) -> list[int]:
        """The token for each of the wanted holes."""
        ids_RL = torch.full((len(rows), max(map(len, rows)) + 2), self.pad)
        for row, ids in enumerate(rows):
            ids_RL[row, : len(ids) + 2] = torch.tensor([self.frame[0], *ids.tolist(), self.frame[1]])
        ids_RL = ids_RL.to(self.device)
        length_R = torch.tensor([len(row) + 2 for row in rows], device=self.device)
        valid_RL = torch.arange(ids_RL.shape[1], device=self.device) < length_R[:, None]
        row_P = torch.tensor([row for _, _, row, _ in wanted], device=self.device)
        place_P = torch.tensor([place for _, _, _, place in wanted], device=self.device)
        chosen: list[int] = []
        with reading(self.network):
            for part, logits_KV in logits_at(self.network, ids_RL, valid_RL, row_P, place_P):
                own = wanted[part]
                logits_KV = logits_KV.float() + self.never_V
                for number, (text, *_) in enumerate(own):
                    logits_KV[number, text.banned] = -torch.inf
                found = logits_KV.topk(min(top, logits_KV.shape[1]))
                there_K = found.values.isfinite().sum(1)
                keys = torch.tensor([draw[text.number] for text, *_ in own])
                holes = torch.tensor([[hole] for _, hole, *_ in own])
                u_K = uniform_at((seed, stream_id("fill"), keys), holes)[:, 0].to(self.device)
                chosen += found.indices.gather(1, (u_K * there_K).long()[:, None])[:, 0].tolist()
        return chosen

    def _words(self) -> Iterator[tuple[int, str]]:
        """The tokens that are a whole word behind a space, with the word."""
        special = set(self.tokenizer.all_special_ids)
        tokens = [token for token in np.flatnonzero(is_token_V(self.tokenizer)).tolist() if token not in special]
        words = [word.strip() for word in self.tokenizer.batch_decode([[token] for token in tokens])]
        before = self.backend.encode("a", add_special_tokens=False).ids
        pairs = [(token, word) for token, word in zip(tokens, words)
                 if word_spans(word) == [(0, len(word))] and any(map(str.isalnum, word))]  # fmt: skip
        behind = self.backend.encode_batch([f"a {word}" for _, word in pairs], add_special_tokens=False)
        for (token, word), encoding in zip(pairs, behind, strict=True):
            if encoding.ids == [*before, token]:
                yield token, word


def _content(run: str) -> str:
    """The hash of a model's files."""
    from maskwright.models.checkpoint import located

    try:
        place = Path(located(run))
    except RecipeError as error:
        raise RecipeError(str(error).replace("model.init_from", "cleaning.filler.run")) from None
    if not place.is_dir():
        place = _of_hub(str(place))
    content = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in place.glob(pattern)}):
        content.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    return content.hexdigest()


def _of_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except Exception as error:  # no network, no such name: each library raises its own
        offline = " while HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
        raise RecipeError(
            f"cleaning.filler.run={name} is neither a local model nor one that the hub gave{offline}; check the name "
            "and the network."
        ) from error
