"""Verbalizers: the tokens that stand for each class at the mask, given as words or found by label search.

Shapes: N prompts, C classes, V vocabulary, E width of the output embeddings.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax

from maskwright.errors import RecipeError


def given(
    labels: Mapping[str, Sequence[str]], classes: Sequence[str], backend: Any, space: str, unknown: int | None
) -> list[list[int]]:
    """The tokens of each class's words. space: what stands before a word in the slot.

    Raises RecipeError for classes without words, for words of several tokens, and for a token of two classes.
    """
    if set(labels) != set(classes):
        raise RecipeError(
            f"evaluation.labels has words for {', '.join(labels)}, and the data has the classes "
            f"{', '.join(classes[:8])}; name words for exactly those."
        )
    found = []
    owner: dict[int, str] = {}
    for name in classes:
        tokens = []
        for word in labels[name]:
            ids = backend.encode(space + word, add_special_tokens=False).ids
            if len(ids) != 1 or ids[0] == unknown:
                raise RecipeError(f"evaluation.labels.{name}: {word!r} is not a single token here; give another word.")
            if owner.setdefault(ids[0], name) != name:
                raise RecipeError(
                    f"evaluation.labels: {word!r} stands for {owner[ids[0]]} and for {name}; give each class its own."
                )
            tokens.append(ids[0])
        found.append(list(dict.fromkeys(tokens)))
    return found


def searched(
    states_NE: np.ndarray, target_N: np.ndarray, output_VE: np.ndarray, allowed_V: np.ndarray, most: int
) -> list[list[int]]:
    """Label search (AutoPrompt, arXiv 2010.15980): the tokens that a linear classifier would take for each class.

    A logistic regression learns the class (0 .. C - 1, each of them there) from what the output embeddings are
    multiplied with at the slot; then the output embeddings take the place of those states. Tokens are ranked by the
    softmax over classes of class weight . output embedding, and belong to their best class alone.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weight_CE = LogisticRegression(max_iter=1000).fit(states_NE, target_N).coef_
    if len(weight_CE) == 1:  # of two classes sklearn keeps the difference
        weight_CE = np.concatenate([-weight_CE, weight_CE]) / 2
    logp_CV = log_softmax(weight_CE @ output_VE.T.astype(np.float64), axis=0)
    best_V = logp_CV.argmax(0)
    found = []
    for number, logp_V in enumerate(logp_CV):
        own = np.flatnonzero(allowed_V & (best_V == number))
        found.append(own[np.argsort(-logp_V[own], kind="stable")][:most].tolist())
    if not all(found):
        raise RecipeError("label search finds no token for one of the classes; give words in evaluation.labels.")
    return found
