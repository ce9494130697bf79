"""Word vectors and who is near whom: from the corpus by pointwise mutual information, or from a file.

Shapes: V words, C context words, D dimensions, K neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskwright.errors import RecipeError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_BLOCK = 1024  # words looked at together
_SMOOTHING = 0.75  # exponent of the context words' frequencies (Levy, Goldberg and Dagan 2015)


def pmi_vectors(counts_VC: np.ndarray, dimensions: int) -> np.ndarray:
    """Unit vectors float32 [V, D] of words from counts of their neighbours: the largest singular vectors of the
    positive pointwise mutual information, weighted by the root of their values (Levy, Goldberg and Dagan 2015)."""
    from sklearn.utils.extmath import randomized_svd

    dimensions = min(dimensions, min(counts_VC.shape))
    left_VD, value_D, _ = randomized_svd(ppmi(counts_VC), dimensions, n_iter=_PASSES, random_state=0)
    return normalised((left_VD * np.sqrt(value_D)).astype(np.float32))


_PASSES = 4  # of the randomised decomposition over the matrix, forth and back


def ppmi(counts_VC: np.ndarray) -> csr_matrix:
    """max(0, log P(word, context) / (P(word) P(context)^0.75 / sum)), sparse float32 [V, C]."""
    from scipy import sparse

    context_C = counts_VC.sum(0, dtype=np.float64) ** _SMOOTHING
    context_C /= max(context_C.sum(), 1e-300)
    blocks = []
    for first in range(0, len(counts_VC), _BLOCK):
        found = sparse.coo_matrix(counts_VC[first : first + _BLOCK])
        word_V = counts_VC[first : first + _BLOCK].sum(1, dtype=np.float64)
        pmi = np.log(found.data / (word_V[found.row] * context_C[found.col]))
        found.data = np.maximum(pmi, 0).astype(np.float32)
        blocks.append(found.tocsr())
    matrix = sparse.vstack(blocks, format="csr")
    matrix.eliminate_zeros()
    return matrix


def normalised(vector_VD: np.ndarray) -> np.ndarray:
    """Vectors of length 1; those of length 0 stay."""
    length_V = np.linalg.norm(vector_VD, axis=1, keepdims=True)
    return vector_VD / np.where(length_V > 0, length_V, 1)


def file_vectors(file: str, rows: Mapping[str, int], setting: str) -> np.ndarray:
    """Unit vectors float32 [V, D] from a text file in the format of word2vec (`word number number ...` a line, with or
    without the first line that counts them); 0 for words that it lacks.

    Of words that differ in their capitals alone, the first in the file counts. Memory: the words asked for. Raises
    RecipeError when the file is none, or has none of the words.
    """
    path = Path(file).expanduser()
    vector_VD: np.ndarray | None = None
    known: set[int] = set()
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                word, _, rest = line.rstrip().partition(" ")
                row = rows.get(word.lower())
                if row is None or row in known or (number == 1 and rest.isdecimal()):
                    continue
                values_D = np.array(rest.split(), dtype=np.float32)
                vector_VD = np.zeros((len(rows), len(values_D)), np.float32) if vector_VD is None else vector_VD
                vector_VD[row] = values_D
                known.add(row)
    except OSError as error:
        raise RecipeError(f"{setting}={file} cannot be read ({error.strerror}); name a file of word vectors.") from None
    except ValueError:
        raise RecipeError(
            f"{setting}={file}: line {number} is not a word and as many numbers as other lines have; give word2vec's "
            "text format."
        ) from None
    if vector_VD is None:
        raise RecipeError(f"{setting}={file} has a vector for none of the corpus' words; give one for its language.")
    return normalised(vector_VD)


def nearest(vector_VD: np.ndarray, kind_V: np.ndarray, number: int, least: float) -> list[list[tuple[int, float]]]:
    """For each word, up to `number` words of the same kind (int64 [V]; below 0: none) with a cosine of `least` or more,
    the nearest first, with their cosines. vector_VD: unit vectors; words with none have no neighbours."""
    import torch

    found: list[list[tuple[int, float]]] = [[] for _ in range(len(vector_VD))]
    there_V = (kind_V >= 0) & (vector_VD != 0).any(1)
    for kind in np.unique(kind_V[there_V]).tolist():
        among = np.flatnonzero(there_V & (kind_V == kind))
        vectors = torch.from_numpy(vector_VD[among])
        for first in range(0, len(among), _BLOCK):
            cosine = vectors[first : first + _BLOCK] @ vectors.T
            cosine[torch.arange(len(cosine)), first + torch.arange(len(cosine))] = -torch.inf
            value_BK, place_BK = cosine.topk(min(number, len(among)), dim=1)
            for row, values, places in zip(among[first:], value_BK.tolist(), place_BK.tolist()):
                pairs = zip(among[places].tolist(), values)
                found[row] = [(other, round(value, 4)) for other, value in pairs if value >= least and value > -1.5]
    return found
