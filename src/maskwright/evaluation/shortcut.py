"""Shortcut: how much of a network's last layer is a linear map of an earlier one? (Jump to Conclusions, 2303.09435)

Shapes: N texts, K layers with what enters the first one as layer 0, D hidden width, V vocabulary, M maps (see MAPS).
The space: every layer is looked at where the head reads, after the network's final norm where it has one (ModernBERT)
and as the layer leaves it where it has none (BERT). So the head reproduces the model on the last layer, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskwright.data.order import permutation
from maskwright.errors import RecipeError
from maskwright.evaluation.intervals import clustered
from maskwright.evaluation.represent import batches, tapped
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.running_text import RunningText
from maskwright.evaluation.source import Source
from maskwright.evaluation.subject import Foreign, Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.texts import Encoded, Encoder
from maskwright.evaluation.tools import Tools, reading
from maskwright.masking.noise import stream_id, uniform
from maskwright.objectives.losses import most_likely

MAPS = ("shortcut", "identity")
_LOGITS = 1 << 25  # numbers in one block of logits
_SHOWN = ("precision@1", "r2", "surprisal")
_EXIT = ("saved", "agreement")


class Shortcut(Suite):
    """What the head reads from a layer's state h_l at a masked token, through A_l h_l and, as a baseline, through h_l.

    A_l minimises sum ||A h_l - h_L||^2 (+ ridge ||A||^2), without intercept, over the pieces of the texts to fit on;
    figures are of other texts. r2: of h_L, the mean over coordinates. precision@k: how often the model's first token
    is among the first k (of n tokens as likely as it, those that fit count by their share). surprisal: nats that the
    model's own distribution gives the map's first token. Without a layer in their name they are means over all layers
    below the last. Early exit: a piece stops at the first layer from 1 up where the first token leads the second by
    more than 0.9 x + 0.1 exp(-4 place / tokens), x in exit_at; saved is the share of layers not run, agreement how
    often the first token is the whole model's.
    source, text, piece, most: see `RunningText`. test_share: of the texts. seed: of that choice and of the one
    token of each piece that is hidden.
    """

    name = "shortcut"

    def __init__(
        self,
        source: Source | None = None,
        text: str = "text",
        piece: int | None = 48,
        most: int | None = 12_000,
        test_share: float = 0.25,
        seed: int = 0,
        ridge: float = 0.0,
        k: Sequence[int] = (5, 10),
        exit_at: Sequence[float] = (0.2, 0.5, 0.8),
    ) -> None:
        self.running = RunningText(source, text, piece, most)
        if not 0 < test_share < 1:
            raise RecipeError(f"evaluation.test_share is {test_share}; give a share of the texts between 0 and 1.")
        if not 0 <= ridge < math.inf:
            raise RecipeError(f"evaluation.ridge is {ridge}; give a number from 0 up, 0 for plain least squares.")
        if any(one < 1 for one in k):
            raise RecipeError(f"evaluation.k is {list(k)}; give numbers of tokens from 1 up.")
        if not all(math.isfinite(one) for one in exit_at):
            raise RecipeError(f"evaluation.exit_at is {list(exit_at)}; give numbers, above 10 / 9 for never.")
        self.test_share, self.seed, self.ridge = test_share, seed, ridge
        self.k, self.exit_at = sorted({1, *k}), list(exit_at)
        self.reads_heldout = source is None

    def check(self, subject: Subject) -> None:
        subject.require_masked(self.name)
        if isinstance(subject.network, Foreign):
            raise RecipeError(
                f"evaluation=shortcut reads single layers and the head by itself, and maskwright knows neither of "
                f"{subject.name} ({subject.network.config.model_type}); name a model of another architecture."
            )
        self.running.check(subject, self.name)

    def run(self, subject: Subject, tools: Tools) -> Result:
        self.check(subject)
        texts, corpus = self.running.read(subject, tools)
        requests = self.running.requests(texts)
        encoded, truncated = Encoder(subject.tokenizer)(requests).cut(subject.length)
        id_N2 = np.array([request.id for request in requests], dtype=np.int64).reshape(-1, 2)
        place_N = hidden_places(encoded, id_N2, self.seed)
        there_N = place_N >= 0
        text_N = id_N2[there_N, 0]
        test_N = parted(text_N, self.test_share, self.seed)
        if min(test_N.sum(), (~test_N).sum()) < 2:
            raise RecipeError(
                f"evaluation=shortcut fits on some texts and tests on others, and {corpus} gives {len(set(text_N))} "
                f"texts with {len(text_N)} pieces in all; give more, or a smaller evaluation.piece."
            )
        encoded.ids_T[(encoded.first_N[:-1] + place_N)[there_N]] = subject.mask
        states_KND, norm = states(subject, encoded, place_N, tools)
        states_KND, share_N = states_KND[:, there_N], (place_N / encoded.length_N)[there_N]
        fit_KND, states_KND = states_KND[:, ~test_N], states_KND[:, test_N]
        maps_KDD, fit_r2_K = [], []
        with tools.progress("shortcut: fit", len(fit_KND)) as advance:
            for state_ND in fit_KND:
                maps_KDD.append(fitted(state_ND, fit_KND[-1], self.ridge))
                fit_r2_K.append(r2(state_ND @ maps_KDD[-1], fit_KND[-1]))
                advance(1)
        found = self._read(subject, tools, states_KND, maps_KDD)
        through_K = [state_ND @ map_DD for state_ND, map_DD in zip(states_KND, maps_KDD, strict=True)]
        found["r2"] = np.array(
            [[[r2(vector_ND, states_KND[-1])] for vector_ND in vectors] for vectors in (through_K, states_KND)]
        )
        figures, tables = self._summed(found, text_N[test_N], share_N[test_N])
        figures |= {f"by/layer/{layer}/fit/r2": value for layer, value in enumerate(fit_r2_K)}
        fit, width = fit_KND.shape[1:]
        note = f"{fit:,} pieces to fit maps of a width of {width:,} on are few; give more text, or set evaluation.ridge"
        facts = {
            "corpus": corpus,
            "texts": len(np.unique(text_N)),
            "pieces": {"fit": fit, "test": states_KND.shape[1]},
            "truncated": truncated,
            "skipped": {} if there_N.all() else {"no token to hide": int((~there_N).sum())},
            "space": "as the layers leave it" if isinstance(norm, nn.Identity) else "after the final norm",
            "notes": [note] * (self.ridge == 0 and fit < 2 * width),
        }
        return Result(figures, tables, facts)

    def _summed(
        self, found: dict[str, np.ndarray], text_N: np.ndarray, share_N: np.ndarray
    ) -> tuple[dict[str, Any], list[Table]]:
        """Figures and tables of what was found for each map, layer and text; share_N: where in its text a place is."""
        by_MK = {name: values.mean(2) for name, values in found.items() if name != "margin"}
        layers, texts = found["margin"].shape[1:]
        figures: dict[str, Any] = {}
        rows: list[list[Any]] = [[layer] for layer in range(layers)]
        stops: list[list[Any]] = [[exit_at] for exit_at in self.exit_at]
        for number, map_ in enumerate(MAPS):
            prefix = f"{map_}/" if number else ""
            right_KN = found["precision@1"][number]
            figures |= clustered(right_KN[:-1].mean(0), text_N).figures(f"{prefix}precision@1")
            for name, value_MK in by_MK.items():
                figures.setdefault(f"{prefix}{name}", float(value_MK[number, :-1].mean()))
                for layer, value in enumerate(value_MK[number].tolist()):
                    figures[f"by/layer/{layer}/{prefix}{name}"] = value
            for row in rows:
                row += [float(by_MK[name][number, row[0]]) for name in _SHOWN]
            for row in stops:
                layer_N = exits(found["margin"][number], 0.9 * row[0] + 0.1 * np.exp(-4 * share_N))
                agrees_N = np.where(layer_N == layers - 1, 1.0, right_KN[layer_N, np.arange(texts)])
                pair = [float(1 - layer_N.mean() / (layers - 1)), float(agrees_N.mean())]
                figures |= {f"by/exit/{row[0]}/{prefix}{name}": value for name, value in zip(_EXIT, pair)}
                row += pair
        title = f"what the head reads from each layer at {texts:,} hidden tokens; layer 0 enters the first one"
        tables = [Table(title, ("layer", *_SHOWN, *(f"identity {name}" for name in _SHOWN)), rows)]
        if stops:
            columns = ("exit at", *_EXIT, *(f"identity {name}" for name in _EXIT))
            tables.append(Table("early exit: share of layers saved", columns, stops))
        return figures, tables

    def _read(
        self, subject: Subject, tools: Tools, states_KND: np.ndarray, maps_KDD: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """float64 [M, K, N] each: precision@k, surprisal, and the margin of the first token over the second."""
        layers, texts, _ = states_KND.shape
        names = (*(f"precision@{k}" for k in self.k), "surprisal", "margin")
        out = {name: np.zeros((len(MAPS), layers, texts)) for name in names}
        size = max(1, _LOGITS // subject.network.config.vocab_size)

        def head(vector_ND: np.ndarray) -> Tensor:
            network = subject.network
            return network.guessable(network.predict(torch.from_numpy(vector_ND).float().to(tools.device)).float())

        bar = tools.progress("shortcut: head", layers * texts)
        with reading(subject.network), tools.autocast(), bar as advance:
            for first in range(0, texts, size):
                part = slice(first, first + size)
                final_NV = head(states_KND[-1, part])
                for layer, map_DD in enumerate(maps_KDD):
                    state_ND = states_KND[layer, part]
                    for number, vector_ND in enumerate((state_ND @ map_DD, state_ND)):
                        for name, value_N in compared(head(vector_ND), final_NV, self.k).items():
                            out[name][number, layer, part] = value_N.cpu().numpy()
                    advance(len(state_ND))
        return out


def hidden_places(encoded: Encoded, id_N2: np.ndarray, seed: int) -> np.ndarray:
    """The token to hide in each text, int64 [N]: each but special ones as likely; -1 where there is none.

    id_N2: number of the text and of the piece. The draw is a pure function of seed and id.
    """
    text_N, piece_N = torch.from_numpy(id_N2).unbind(1)
    u_N = uniform((seed, stream_id("shortcut.place"), text_N, piece_N), 1)[:, 0].tolist()
    place_N = np.full(len(u_N), -1)
    for number, (first, last) in enumerate(pairwise(encoded.first_N.tolist())):
        own = np.flatnonzero(encoded.word_T[first:last] >= 0)
        if len(own):
            place_N[number] = own[int(u_N[number] * len(own))]
    return place_N


def parted(text_N: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Bool [N]: the pieces of those texts that are for testing, a share of the texts but never all of them."""
    texts = np.unique(text_N)
    count = min(max(1, round(share * len(texts))), max(0, len(texts) - 1))
    return np.isin(text_N, texts[permutation(len(texts), seed, 0)[:count]])


def states(subject: Subject, encoded: Encoded, place_N: np.ndarray, tools: Tools) -> tuple[np.ndarray, nn.Module]:
    """float32 [K, N, D], each layer at the place of each text where the head reads; and the final norm.

    What stands at a place of -1 holds no meaning.
    """
    number = int((place_N >= 0).argmax())
    ids_T = encoded.ids_T[encoded.first_N[number] : encoded.first_N[number + 1]]
    with reading(subject.network):
        norm = final_norm(subject.network, torch.from_numpy(ids_T)[None].to(tools.device))
    out: np.ndarray | None = None
    for index_B, _, layers in batches(subject, encoded, tools, "shortcut: read"):
        place_B = torch.from_numpy(np.maximum(place_N[index_B], 0)).to(tools.device)
        row_B = torch.arange(len(index_B), device=tools.device)
        picked = [hidden_BLD[row_B, place_B] for hidden_BLD in layers]
        state_KBD = [*(norm(hidden_BD) for hidden_BD in picked[:-1]), picked[-1]]
        out = np.zeros((len(layers), len(place_N), picked[-1].shape[1]), np.float32) if out is None else out
        out[:, index_B] = torch.stack([hidden_BD.float() for hidden_BD in state_KBD]).cpu().numpy()
    assert out is not None
    return out, norm


def final_norm(network: Any, ids_BL: Tensor) -> nn.Module:
    """What stands between the last layer and the head: a module of the network, or nothing (nn.Identity).

    Found by what a forward pass hands on, not by name. Raises RecipeError when it is more than one module.
    """
    calls: list[tuple[nn.Module, Any, Any]] = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: calls.append((module, inputs, output)))
        for module in network.body.modules()
    ]
    try:
        with tapped(network) as layers:
            last_BLD = network.encode(ids_BL, padded=False)
    finally:
        for hook in hooks:
            hook.remove()
    if torch.equal(layers[-1][:, : last_BLD.shape[1]], last_BLD):  # some pad their rows inside
        return nn.Identity()
    for module, inputs, output in calls:
        if output is last_BLD and len(inputs) == 1 and inputs[0] is layers[-1]:
            return module
    raise RecipeError(
        f"evaluation=shortcut cannot tell what {network.config.model_type} does between its last layer and its head; "
        "name a model of another architecture."
    )


def fitted(state_ND: np.ndarray, final_ND: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """A [D, D], float64, that minimises ||H A - H_L||^2 + ridge ||A||^2, rows being texts."""
    width = state_ND.shape[1]
    penalty_DD = math.sqrt(ridge) * np.eye(width)  # a ridge is least squares with a row more for each coordinate
    given, wanted = np.concatenate([state_ND, penalty_DD]), np.concatenate([final_ND, np.zeros((width, width))])
    return np.linalg.lstsq(given, wanted, rcond=float(np.finfo(np.float32).eps))[0]  # below that it is rounding


def r2(found_ND: np.ndarray, final_ND: np.ndarray) -> float:
    """The share of variance explained, the mean over coordinates (the paper's, which is scikit-learn's)."""
    from sklearn.metrics import r2_score

    return float(r2_score(final_ND.astype(np.float64), found_ND))


def compared(logits_NV: Tensor, final_NV: Tensor, ks: Sequence[int]) -> dict[str, Tensor]:
    """What logits say beside the whole model's, [N] each: precision@k, surprisal in nats, margin."""
    own_N1, top_N1 = most_likely(logits_NV)[:, None], most_likely(final_NV)[:, None]
    there_N1 = logits_NV.gather(1, top_N1)
    better_N, tied_N = (logits_NV > there_N1).sum(1), (logits_NV == there_N1).sum(1)
    two_N2 = logits_NV.softmax(1).topk(2).values
    return {
        **{f"precision@{k}": ((k - better_N) / tied_N).clamp(0, 1) for k in ks},
        "surprisal": -final_NV.log_softmax(1).gather(1, own_N1)[:, 0],
        "margin": two_N2[:, 0] - two_N2[:, 1],
    }


def exits(margin_KN: np.ndarray, threshold_N: np.ndarray) -> np.ndarray:
    """The layer [N] at which each text stops: the first from 1 up whose margin is above its threshold, or the last."""
    stops_KN = margin_KN > threshold_N
    stops_KN[0], stops_KN[-1] = False, True
    return stops_KN.argmax(0)
