"""Lengths of spans against their laws."""

from __future__ import annotations

import math

import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.masking.lengths import Fixed, Geometric, GeometricModulo, Listed, Poisson
from maskwright.masking.noise import uniform

DRAWS = 200_000
LAWS = {
    "spanbert": (Geometric(0.2, 10), [0, *(0.2 * 0.8**k for k in range(10))], 3.797),
    "ltg": (
        GeometricModulo(1 / 3, 10),
        [sum((1 / 3) * (2 / 3) ** (n - 1) for n in range(r or 10, 400, 10)) for r in range(10)],
        2.74,
    ),
    "poisson": (Poisson(3.0, 20), [math.exp(-3) * 3**n / math.factorial(n) for n in range(21)], 3.0),
    "fixed": (Fixed(3), [0, 0, 0, 1], 3.0),
    "macbert": (Listed([0.4, 0.3, 0.2, 0.1]), [0, 0.4, 0.3, 0.2, 0.1], 2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", LAWS)
def test_lengths_follow_their_law(name):
    lengths, law, mean = LAWS[name]
    drawn = lengths(uniform((0, 1, torch.arange(1)), DRAWS)[0])
    law = torch.tensor(law, dtype=torch.float64)
    law, seen = law / law.sum(), torch.bincount(drawn, minlength=len(law)).double()
    assert seen[law == 0].sum() == 0
    wanted = DRAWS * law[law > 1e-4]
    chi_square = ((seen[law > 1e-4] - wanted) ** 2 / wanted).sum()
    assert chi_square < len(wanted) + 4.5 * (2 * len(wanted)) ** 0.5
    assert drawn.double().mean().item() == pytest.approx(mean, abs=0.02)
    assert lengths.mean == pytest.approx(float((law * torch.arange(len(law))).sum()))
    assert lengths.survival == pytest.approx([float(law[k + 1 :].sum()) for k in range(lengths.longest)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Geometric(1.0, 10),
        lambda: Geometric(0.2, 0),
        lambda: GeometricModulo(0.5, 1),
        lambda: Poisson(0.0, 5),
        lambda: Fixed(0),
        lambda: Listed([]),
        lambda: Listed([0.5, 0.0]),
        lambda: Fixed(1000),
    ],
)
def test_impossible_lengths_are_refused(make):
    with pytest.raises(RecipeError, match="masking.unit.lengths"):
        make()
