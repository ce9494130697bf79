"""From a composed config to the parts of a run, with every check that needs no data: wrong recipes are refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from maskwright.config.build import build, parameters, plain
from maskwright.config.names import hint
from maskwright.config.settings import Recipe as Settings
from maskwright.config.settings import check_settings
from maskwright.config.values import check, fits
from maskwright.data import Corpus, Packing
from maskwright.data.annotate import Annotator
from maskwright.data.cleaning import Cleaning
from maskwright.data.prepare import Prepared, TokenizerRecipe, prepare
from maskwright.data.segments import tell_segments
from maskwright.data.words import Segmenter
from maskwright.errors import RecipeError
from maskwright.masking import ViewRecipe, Views, Vocabulary
from maskwright.models import ModelRecipe
from maskwright.models.checkpoint import longest_row
from maskwright.objectives import Objective, RowLayout
from maskwright.tracking.loggers import LoggerRecipe
from maskwright.training.hardware import Hardware, physical_cores
from maskwright.training.optimizers import OptimizerRecipe
from maskwright.training.phases import Asked, asked, describe
from maskwright.training.schedules import Schedule

OmegaConf.register_new_resolver("rows_that_fit", longest_row, replace=True)  # where no entry has done it


@dataclass
class Recipe:
    """Everything that the config names, built but not yet fed with data."""

    name: str
    choices: Mapping[str, str]  # which option of each group was chosen
    corpus: Corpus
    tokenizer: TokenizerRecipe
    packing: Packing
    phases: list[Asked]
    words: Segmenter
    cleaning: Cleaning | None
    model: ModelRecipe
    objective: Objective
    views: list[ViewRecipe]
    optimizer: OptimizerRecipe
    schedule: Schedule
    hardware: Hardware
    logger: LoggerRecipe

    @property
    def columns(self) -> list[str | Annotator]:
        """Annotations that the views and the objective read."""
        parts: list[ViewRecipe | Objective] = [*self.views, self.objective]
        return [column for part in parts for column in part.columns]  # type: ignore[misc]

    @property
    def markers(self) -> tuple[str, ...]:
        """Tokens beside the vocabulary that are never masked: written by the cleaning, or shown by a corruption."""
        return (*(self.cleaning.markers if self.cleaning else ()), *_of_corruptions(self.views))

    @property
    def sentence(self) -> str:
        """The recipe in words: `mlm, span 30% 80/10/10, on sotu`."""
        masks = "; ".join(
            f"{view.name}: {view.describe()}" if len(self.views) > 1 else view.describe() for view in self.views
        )
        parts = (self.choices.get("objective", ""), masks, describe(self.phases), f"on {self.corpus.name}")
        return ", ".join(part for part in parts if part)

    def prepare(self, cfg: DictConfig) -> Prepared:
        """The data, from the cache where it is there."""
        prepared = prepare(
            self.corpus,
            self.tokenizer,
            self.packing,
            cfg.ruler.length,
            self.columns,
            cfg.cache,
            words=self.words,
            cleaning=self.cleaning,
            markers=_of_corruptions(self.views),
            processes=physical_cores(),
            lengths=[phase.length for phase in self.phases],
        )
        if self.packing.kind == "pairs" and "segments" in self.model.can:
            tell_segments(prepared.tokenizer)
        return prepared

    def vocabulary(self, prepared: Prepared) -> Vocabulary:
        """The tokenizer's ids by their use in masking."""
        return Vocabulary.of(prepared.tokenizer, self.markers)

    def bind(self, prepared: Prepared, seed: int) -> Views:
        """The views, for this tokenizer and the rows of the first phase."""
        for view in self.views:
            view.bind(prepared.tokenizer)
        return self.views_at(prepared, seed, self.packing.length)

    def views_at(self, prepared: Prepared, seed: int, length: int) -> Views:
        """The views for rows of a phase, once `bind` was called; what training moves in them is shared by all."""
        longest = dict(prepared.at[length].longest)
        if length == self.packing.length:  # held-out rows are those of the first phase
            longest = {name: max(most, prepared.heldout.longest[name]) for name, most in longest.items()}
        return Views(self.views, self.vocabulary(prepared), seed, length, longest)

    def layout(self, prepared: Prepared, views: Views) -> RowLayout:
        """How rows of the first phase look to the networks: statically, so that no step asks whether there is
        padding, which there is in all phases if in one."""
        # Of a concatenated corpus only the last row can be short; it is left out unless it is all there is.
        full = (
            self.packing.kind == "concatenate"
            and not prepared.groups
            and prepared.heldout.tokens >= self.packing.length
            and all(rows.tokens >= length for length, rows in prepared.at.items())
            and all(view.corruption.keeps_places for view in self.views)
        )
        return RowLayout(
            self.packing.length,
            padded=not full,
            blocks=self.packing.blocks,
            pairs=self.packing.kind == "pairs",
            shown=max(views.width.values(), default=self.packing.length),
            copies=max((view.copies for view in self.views), default=1),
        )


def _of_corruptions(views: list[ViewRecipe]) -> tuple[str, ...]:
    return tuple(marker for view in views for marker in view.corruption.markers)


def assemble(cfg: DictConfig, choices: Mapping[str, str]) -> Recipe:
    """The parts of a recipe. Raises RecipeError for impossible values and for parts that do not fit each other."""
    recipe = assembled(cfg, choices)
    check_views(recipe)
    return recipe


def assembled(cfg: DictConfig, choices: Mapping[str, str], schema: type = Settings) -> Recipe:
    """The same where nobody asked yet whether the objective can use the views (`check_views`).

    schema: the plain settings, of `maskwright.config.settings`.
    """
    check_settings(cfg, schema)
    model, objective = build(cfg, "model", kind=ModelRecipe), build(cfg, "objective", kind=Objective)
    type(objective).check(choices.get("objective", cfg.objective._target_), choices.get("model", model.family), model)
    recipe = Recipe(
        name=cfg.name or "_".join(choices[group] for group in ("objective", "masking") if group in choices) or "run",
        choices=choices,
        corpus=build(cfg, "data", kind=Corpus),
        tokenizer=build(cfg, "tokenizer", kind=TokenizerRecipe),
        packing=build(cfg, "packing", kind=Packing),
        phases=asked(cfg),
        words=build(cfg, "words", kind=Segmenter),
        cleaning=build(cfg, "cleaning", kind=Cleaning) if OmegaConf.select(cfg, "cleaning") else None,
        model=model,
        objective=objective,
        views=_views(cfg, objective),
        optimizer=build(cfg, "optimizer", kind=OptimizerRecipe),
        schedule=build(cfg, "schedule", kind=Schedule),
        hardware=build(cfg, "hardware", kind=Hardware),
        logger=build(cfg, "logger", kind=LoggerRecipe),
    )
    if recipe.packing.blocks:
        model.require("attention_mask", "packing=segment")
    if cfg.batch.tokens is not None and cfg.batch.tokens < recipe.packing.length:
        raise RecipeError(
            f"batch.tokens is {cfg.batch.tokens} and a row has {recipe.packing.length} tokens; "
            "a batch holds at least one row."
        )
    return recipe


_VIEW_PARTS = ("masking", "rate", "corruption", "prediction", "loss_weight")


def _views(cfg: DictConfig, objective: Objective) -> list[ViewRecipe]:
    """The views that the objective reads; each has the groups' masking, rate ... unless it says otherwise."""
    # a group whose choice is null has no key
    shared = {name: plain(OmegaConf.select(cfg, name, throw_on_missing=False), name) for name in _VIEW_PARTS}
    takes, _ = parameters(ViewRecipe)
    read = objective.needs.views
    for name in cfg.views:
        if name not in read and (name != "main" or cfg.views.main):
            raise RecipeError(f"views.{name} is read by no part of this objective; {hint(str(name), read, 'views.')}")
    recipes = []
    for name in read:
        if name not in cfg.views:
            raise RecipeError(f"The objective reads a view named {name}; add views.{name} to the recipe.")
        where = f"views.{name}"
        own = plain(cfg.views[name], where) or {}
        for key in own.keys() - shared.keys() - {"relation", "to"}:
            raise RecipeError(f"{where}.{key} is unknown; a view has {', '.join(_VIEW_PARTS)}, relation and to.")
        parts: dict[str, Any] = {}
        for group in shared:
            part, path = _merged(shared[group], own.get(group, {})), f"{where}.{group}" if group in own else group
            kind = takes[group][0]
            given = part is not None or not fits(None, kind)
            parts[group] = build(cfg, path, OmegaConf.create(part), kind) if given else None
        for key in own.keys() - shared.keys():
            check(f"{where}.{key}", own[key], takes[key][0])
        recipes.append(ViewRecipe(name, **parts, relation=own.get("relation", "independent"), to=own.get("to")))
    return recipes


def check_views(recipe: Recipe) -> None:
    """Raises RecipeError where views and objective do not fit each other, by what both declare."""
    objective, needs = recipe.choices.get("objective", "this one"), recipe.objective.needs
    for group in ("prediction", "loss_weight"):  # an objective without views knows of them by the choice alone
        asked = any(getattr(view, group) for view in recipe.views) or recipe.choices.get(group) not in (None, "null")
        if asked and not needs.losses:
            raise RecipeError(
                f"{group} says which masked tokens count in the loss, and how much; objective={objective} has no loss "
                "at each of them: leave it out, or use objective=mlm."
            )
    for view in recipe.views:
        corruption = view.corruption.describe() or "mask"
        if needs.predicts and not view.corruption.predictable:
            raise RecipeError(
                f"objective={objective} predicts tokens at their places, and the corruption ({corruption}) leaves "
                "none; choose one that does, such as corruption=mask."
            )
        if needs.in_place and not view.corruption.keeps_places:
            raise RecipeError(
                f"objective={objective} needs every token in its place, and the corruption ({corruption}) moves them; "
                "choose one that does not, such as corruption=mask."
            )
        if view.copies > 1 and not needs.copies:
            raise RecipeError(
                f"objective={objective} reads one copy of each row, and prediction.value asks for {view.copies}; "
                "lower it to the masking rate, or use objective=mlm."
            )
        weight = view.masking.weight
        if weight is not None and weight.given and "given" not in needs.gives:
            raise RecipeError(
                f"masking.weight is given by a network inside the step, and objective={objective} gives none; choose "
                "another masking/weight."
            )
        if getattr(weight, "follows_loss", False) and (view.name not in needs.losses or view.copies > 1):
            raise RecipeError(
                f"masking.weight ({weight.describe()}) follows the loss at each place of view {view.name}, which "  # type: ignore[union-attr]
                f"objective={objective} does not state; use objective=mlm without further copies of the rows."
            )
    if needs.packing is not None and recipe.packing.kind != needs.packing:
        raise RecipeError(
            f"objective={objective} reads rows of packing={needs.packing}; packing={recipe.packing.kind} has others."
        )


def _merged(shared: Any, own: Any) -> Any:
    """A view's own part: a whole one as it is, single settings over the shared one, null for none."""
    if not isinstance(own, dict) or not isinstance(shared, dict) or "_target_" in own:
        return own or (shared if own == {} else own)
    return OmegaConf.to_container(OmegaConf.merge(shared, own)) if own else shared
