"""Change of use by a network: vectors of a word's uses in two periods, clustered together (LMLM, arXiv 2210.17127;
read in its repository, zhaochen0110/LMLM).

Shapes: B passages, L tokens of a passage, V words, U uses of one word, E width of the vectors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.annotation.divergence import jensen_shannon
from maskwright.annotation.ngrams import numbered
from maskwright.annotation.passes import over_documents
from maskwright.annotation.pieces import mixed
from maskwright.annotation.tablefiles import sha_of
from maskwright.data.corpus import digest
from maskwright.data.document import Side, Source
from maskwright.data.progress import progress
from maskwright.errors import RecipeError

_PASSAGE = 80  # words that the network sees around a use: the piece of the document that it lies in
_TOGETHER = 32  # passages that the network sees at once
_CLUSTERS = range(2, 11)
_FILES = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "vocab.txt", "spm.model")


@dataclass(frozen=True)
class _Uses:
    """Chosen uses, one entry each, sorted by document and place."""

    row: np.ndarray  # int64, the word
    period: np.ndarray  # int64, 0 or 1
    noise: np.ndarray  # uint64, a hash of the passage
    document: np.ndarray  # int64
    place: np.ndarray  # int64, the word's number in its document

    def part(self, chosen: np.ndarray) -> _Uses:
        return _Uses(**{name: values[chosen] for name, values in vars(self).items()})


class UsageModel:
    """A network that turns uses of words into vectors. occurrences: uses of each word in each period at most."""

    def __init__(self, model: str, occurrences: int) -> None:
        self.model, self.occurrences = model, occurrences

    @cached_property
    def place(self) -> str:
        """The folder of the network, or its name on the hub."""
        from maskwright.models.checkpoint import located

        try:
            return located(self.model)
        except RecipeError as error:
            raise RecipeError(str(error).replace("model.init_from", "model of the pivots")) from None

    @cached_property
    def key(self) -> str:
        """Names the network: the content of its files, or its name on the hub."""
        files = sorted(path for pattern in _FILES for path in Path(self.place).glob(pattern))
        return digest([(path.name, sha_of(str(path), "model of the pivots")) for path in files] or self.place)

    def drift(self, source: Source, words: list[str], later_D: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clusters (int64 [V]), the divergence of the two periods' clusters (float64 [V], nats), and that divided by
        their number. Not a number for a word with fewer than 3 uses."""
        from joblib import Parallel, delayed

        uses = _chosen(source, words, later_D, self.occurrences)
        with tempfile.TemporaryDirectory(prefix=".usages-", dir=source.cache) as folder:
            file = Path(folder) / "vectors.npy"
            self._write(file, source.train, uses)
            order = np.argsort(uses.row, kind="stable")
            parts = np.split(order, np.searchsorted(uses.row[order], np.arange(1, len(words))))
            tasks = (delayed(_of_word)(file, part, uses.period[part]) for part in parts)
            found = []
            with progress("cluster uses", len(words)) as advance:
                # Fresh processes: forked ones may hang in OpenMP once the network has used it.
                for one in Parallel(n_jobs=source.processes, return_as="generator")(tasks):
                    found.append(one)
                    advance(1)
        clusters_V, divergence_V = (np.array(column) for column in zip(*found))
        return clusters_V, divergence_V, divergence_V / np.maximum(clusters_V, 1)

    def _write(self, file: Path, side: Side, uses: _Uses) -> None:
        """The vectors float32 [U, E] of all uses: the sum over all layers behind the embeddings, the mean over the
        pieces of the word."""
        import torch

        network, tokenizer = self._loaded()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.to(device).eval()
        vectors = np.lib.format.open_memmap(file, "w+", np.float32, (len(uses.row), network.config.hidden_size))
        with progress("read uses", len(uses.row)) as advance, torch.no_grad():
            for texts, wanted in _passages(side, uses):
                # A longer passage than the network reads loses its end, and uses there keep the vector 0.
                encoded = tokenizer(
                    texts, truncation=True, padding=True, return_offsets_mapping=True, return_tensors="pt"
                )
                offsets_BL2 = encoded.pop("offset_mapping")
                states = network(**encoded.to(device), output_hidden_states=True).hidden_states
                summed_BLE = torch.stack(states[1:]).sum(0).float().cpu()
                start_BL, end_BL = offsets_BL2.unbind(2)
                for use, passage, start, end in wanted:
                    own_L = (start_BL[passage] < end) & (end_BL[passage] > start)
                    if own_L.any():
                        vectors[use] = summed_BLE[passage, own_L].mean(0).numpy()
                advance(len(wanted))
        vectors.flush()

    def _loaded(self) -> tuple[Any, Any]:
        import torch
        import transformers

        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.place)
            network = transformers.AutoModel.from_pretrained(self.place, dtype=torch.float32)
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RecipeError(f"model of the pivots={self.model} cannot be loaded: {first}") from None
        if network.config.is_encoder_decoder or not tokenizer.is_fast:
            raise RecipeError(
                f"model of the pivots={self.model} is an encoder-decoder or has no tokenizer.json; name an encoder."
            )
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        positions = getattr(network.config, "max_position_embeddings", None) or _LONGEST
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions, _LONGEST)
        return network, tokenizer


_LONGEST = 256  # tokens of a passage


def best_clusters(vector_UE: np.ndarray) -> np.ndarray:
    """The cluster of each vector, int64 [U]: k-means of the standardised vectors with the number of clusters in 2..10
    that has the highest silhouette, the smallest of equals."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    scaled_UE = StandardScaler().fit_transform(vector_UE)
    distinct = len(np.unique(scaled_UE, axis=0))
    best_U, best = np.zeros(len(vector_UE), np.int64), -np.inf
    for number in _CLUSTERS:
        if number >= len(vector_UE) or number > distinct:
            break
        cluster_U = KMeans(number, random_state=0, n_init="auto").fit_predict(scaled_UE)
        score = silhouette_score(scaled_UE, cluster_U)
        if score > best:
            best_U, best = cluster_U.astype(np.int64), score
    return best_U


def _of_word(file: Path, use_U: np.ndarray, period_U: np.ndarray) -> tuple[int, float]:
    """Clusters of one word's uses and the divergence of the two periods'."""
    from threadpoolctl import threadpool_limits

    vector_UE = np.load(file, mmap_mode="r")[use_U]
    there_U = (vector_UE != 0).any(1)
    vector_UE, period_U = vector_UE[there_U], period_U[there_U]
    if len(vector_UE) < 3 or len(np.unique(period_U)) < 2:
        return 0, float("nan")
    with threadpool_limits(1):  # words are the parallel part
        cluster_U = best_clusters(vector_UE)
    counts = [np.bincount(cluster_U[period_U == period], minlength=cluster_U.max() + 1)[None] for period in (0, 1)]
    return int(cluster_U.max() + 1), float(jensen_shannon(*counts)[0])


def _chosen(source: Source, words: list[str], later_D: np.ndarray, most: int) -> _Uses:
    """Up to `most` uses of each word in each period: those in the passages that come first in a random order, so that
    many uses are read together."""
    number_of = {word: row for row, word in enumerate(words)}
    work = partial(_uses, number_of=number_of, later_D=later_D, most=most)
    kept = _Uses(*(np.zeros(0, kind) for kind in (np.int64, np.int64, np.uint64, np.int64, np.int64)))
    for found in over_documents(source.train, work, "find uses", source.processes):
        both = _Uses(*(np.concatenate(pair) for pair in zip(vars(kept).values(), vars(found).values())))
        kept = _fewest(both, most)
    return kept.part(np.lexsort((kept.place, kept.document)))


def _uses(side: Side, first: int, last: int, number_of: dict[str, int], later_D: np.ndarray, most: int) -> _Uses:
    """Those of documents first..last - 1 that may be chosen."""
    rows, documents, places = [], [], []
    for number in range(first, last):
        if later_D[number] < 0:
            continue
        row_W = numbered(side[number], number_of, lowercase=True, other=-1)
        place = np.flatnonzero(row_W >= 0)
        rows.append(row_W[place].astype(np.int64))
        places.append(place)
        documents.append(np.full(len(place), number))
    row, document, place = (
        np.concatenate(part) if part else np.zeros(0, np.int64) for part in (rows, documents, places)
    )
    noise = mixed(document.astype(np.uint64) << np.uint64(32) | (place // _PASSAGE).astype(np.uint64))
    return _fewest(_Uses(row, later_D[document], noise, document, place), most)


def _fewest(uses: _Uses, most: int) -> _Uses:
    """The `most` uses of each word and period with the smallest noise, the earlier of equals."""
    order = np.lexsort((uses.place, uses.document, uses.noise, uses.period, uses.row))
    group = uses.row[order] * 2 + uses.period[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(group)) - np.repeat(first, np.diff(first, append=len(group)))
    return uses.part(order[rank < most])


def _passages(side: Side, uses: _Uses) -> Iterator[tuple[list[str], list[tuple[int, int, int, int]]]]:
    """Passages of up to 80 words that hold chosen uses, some together, and of each use its number, its passage, and its
    first and last character in it."""
    texts: list[str] = []
    wanted: list[tuple[int, int, int, int]] = []
    for number in np.unique(uses.document):
        document = side[int(number)]
        first_W = np.flatnonzero(document.begins_T)
        start_W = document.start_T[first_W].astype(np.int64)
        end_W = document.end_T[np.append(first_W[1:], len(document)) - 1].astype(np.int64)
        own = slice(*np.searchsorted(uses.document, (number, number + 1)))
        passage_U = uses.place[own] // _PASSAGE
        for passage in np.unique(passage_U):
            begin = int(start_W[passage * _PASSAGE])
            end = int(end_W[min((passage + 1) * _PASSAGE, len(end_W)) - 1])
            text = document.text[begin:end]
            for use in own.start + np.flatnonzero(passage_U == passage):
                word = int(uses.place[use])
                solid = int(start_W[word])
                solid += len(document.text[solid : end_W[word]]) - len(document.text[solid : end_W[word]].lstrip())
                wanted.append((int(use), len(texts), solid - begin, int(end_W[word]) - begin))
            texts.append(text)
            if len(texts) == _TOGETHER:
                yield texts, wanted
                texts, wanted = [], []
    if texts:
        yield texts, wanted
