"""Refuses optimizer settings that cannot work, before any training starts."""

from __future__ import annotations

from collections.abc import Sequence

from maskwright.errors import RecipeError


def at_least_zero(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value < float("inf"):
            raise RecipeError(f"optimizer.{name} is {value}; it must be a number not below 0.")


def above_zero(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 < value < float("inf"):
            raise RecipeError(f"optimizer.{name} is {value}; it must be a number above 0.")


def below_one(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise RecipeError(f"optimizer.{name} is {value}; it lies between 0 and 1, 1 excluded.")


def which_tables(decay_embeddings: bool | str) -> bool | str:
    if not isinstance(decay_embeddings, bool) and decay_embeddings != "words":
        raise RecipeError(f"optimizer.decay_embeddings is {decay_embeddings}; choose true, false or words.")
    return decay_embeddings


def two_betas(betas: Sequence[float]) -> tuple[float, float]:
    if len(betas) != 2:
        raise RecipeError(f"optimizer.betas is {list(betas)}; give two numbers, as [0.9, 0.98].")
    below_one(betas=betas[0])
    below_one(betas=betas[1])
    return float(betas[0]), float(betas[1])
