"""Replaced-token detection (ELECTRA, arXiv 2003.10555; gradient-disentangled sharing from DeBERTaV3, arXiv 2111.09543).

Shapes: B rows, L positions, K masked positions, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.masking.draws import Draws
from maskwright.objectives.base import Needs, Objective, RowLayout
from maskwright.objectives.losses import hits, token_loss

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from maskwright.models import ModelRecipe, Network

SHARING = ("none", "tied", "gdes")


class Electra(Objective):
    """A small generator fills the masked positions; the discriminator says of every token whether it was replaced.

    The generator is trained as a masked language model and its samples carry no gradient. A token counts as replaced
    when its id changed, not when its position was selected. sharing: of the embedding tables; `none`, `tied` (one
    table, ELECTRA) or `gdes` (the discriminator adds a learned difference to the generator's, which it cannot move).
    generator_from: a checkpoint for the generator; None: the one beside the discriminator's, where that is a run of
    this objective, else random weights.
    """

    needs = Needs(network="encoder", in_place=True, losses=MappingProxyType({"main": "generator"}))
    example = "electra_tiny"

    def __init__(
        self,
        generator_width: float,
        generator_depth: float,
        sharing: str,
        temperature: float,
        generator_weight: float,
        detector_weight: float,
        generator_from: str | None = None,
    ) -> None:
        super().__init__()
        if sharing not in SHARING:
            raise RecipeError(f"objective.sharing is {sharing}; choose one of {', '.join(SHARING)}.")
        for name, value in (("width", generator_width), ("depth", generator_depth)):
            if not 0 < value <= 1:
                raise RecipeError(
                    f"objective.generator_{name} is {value}; it is a share of the discriminator's in (0, 1]."
                )
        if temperature <= 0:
            raise RecipeError(f"objective.temperature is {temperature}; a sampling temperature is above 0.")
        self.generator_width, self.generator_depth = generator_width, generator_depth
        self.sharing, self.temperature, self.generator_from = sharing, temperature, generator_from
        self.weights = {
            "generator": generator_weight,
            "detector": detector_weight,
            "accuracy/generator": 0.0,
            "accuracy/detector": 0.0,
        }

    def build(self, model: ModelRecipe, tokenizer: PreTrainedTokenizerBase, layout: RowLayout, positions: int) -> None:
        from maskwright.models.sharing import share

        self.layout = layout
        other = model.started_from(self.generator_from) if self.generator_from else model.beside("generator")
        smaller = other or model.smaller(self.generator_width, self.generator_depth)
        self.detector: Network = model.build(tokenizer, positions, "detect")
        self.generator: Network = smaller.build(tokenizer, positions, "mlm")
        share(self.generator, self.detector, self.sharing)

    def where(self, batch: Batch) -> dict[str, Tensor]:
        view = batch.views["main"]
        return {
            "generator": view.weight_BK,
            "accuracy/generator": view.counts_BK,
            "detector": view.valid_BM,  # every real token, special ones too, as in the reference
            "accuracy/detector": view.valid_BM,
        }

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        view = batch.views["main"]
        hidden_BKD = self.encode(self.generator, view.ids_BM, view.document_BM, place_BK=view.place_BK)
        logits_BKV = self.generator.predict(hidden_BKD)
        guessed_BKV = self.generator.guessable(logits_BKV.detach())
        sampled_BK = sample(guessed_BKV / self.temperature, view.place_BK, batch.draws("main.generator"))
        filled_BK = torch.where(view.counts_BK, sampled_BK, view.target_BK)
        shown_BL = view.clean_BL.scatter(1, view.place_BK, filled_BK)
        replaced_BL = (shown_BL != view.clean_BL).float()
        detected_BL = self.detector.detect(self.encode(self.detector, shown_BL, view.document_BM)).float()
        return {
            "generator": token_loss(logits_BKV, view.target_BK),
            "accuracy/generator": hits(guessed_BKV, view.target_BK),
            "detector": functional.binary_cross_entropy_with_logits(detected_BL, replaced_BL, reduction="none"),
            "accuracy/detector": ((detected_BL > 0) == (replaced_BL > 0)).float(),
        }

    def ruled(self) -> dict[str, Network | str]:
        return {
            "ruler": "an ELECTRA discriminator has no distribution over tokens; the generator's is generator/ruler",
            "generator/ruler": self.generator,
        }

    def exports(self) -> dict[str, Network]:
        return {"": self.detector, "generator": self.generator}

    def starts(self) -> dict[str, str]:
        return {"generator": self.generator.start, "discriminator": self.detector.start}

    def flops(self, rows: int, predicted: Mapping[str, int]) -> float:
        from maskwright.models.flops import training_flops

        width, masked = self.layout.width, rows * predicted["main"]
        filling = training_flops(self.generator, rows * width, masked, width, picked=masked)
        return filling + training_flops(self.detector, rows * width, rows * width, width)


def sample(logits_BKV: Tensor, place_BK: Tensor, draws: Draws) -> Tensor:
    """One token id [B, K] for each place, from softmax(logits), by inverse CDF with counter-based noise."""
    cumulative_BKV = logits_BKV.float().softmax(-1).cumsum(-1)
    u_BK1 = draws.at("sample", place_BK)[..., None].float() * cumulative_BKV[..., -1:]
    return torch.searchsorted(cumulative_BKV, u_BK1).squeeze(-1).clamp(max=logits_BKV.shape[-1] - 1)
