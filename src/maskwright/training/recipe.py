"""From a composed config to the parts of a run, with every check that needs no data: wrong recipes are refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

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

OmegaConf.register_new_resolver("rows_that_fit", longest_row, replace=True)  # for presets that start from a checkpoint


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
    model, objective = build(cfg, "model"), build(cfg, "objective")
    type(objective).check(choices.get("objective", cfg.objective._target_), choices.get("model", model.family), model)
    recipe = Recipe(
        name=cfg.name or "_".join(choices[group] for group in ("objective", "masking") if group in choices) or "run",
        choices=choices,
        corpus=build(cfg, "data"),
        tokenizer=build(cfg, "tokenizer"),
        packing=build(cfg, "packing"),
        phases=asked(cfg),
        words=build(cfg, "words"),
        cleaning=build(cfg, "cleaning") if OmegaConf.select(cfg, "cleaning") else None,
        model=model,
        objective=objective,
        views=_views(cfg, objective),
        optimizer=build(cfg, "optimizer"),
        schedule=build(cfg, "schedule"),
        hardware=build(cfg, "hardware"),
        logger=build(cfg, "logger"),
    )
    check_views(recipe)
    if recipe.packing.blocks:
        model.require("attention_mask", "packing=segment")
    _check_numbers(cfg)
    return recipe


def build(cfg: DictConfig, group: str, node: Any = None) -> Any:
    """Instantiate one group. Raises RecipeError with the constructor's own sentence, or one about an unknown key."""
    node = cfg[group] if node is None else node
    try:
        return instantiate(node, _convert_="all")
    except InterpolationResolutionError as error:
        raise _lacking(group, error) from None
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None:
            if isinstance(cause, RecipeError):
                raise cause from None
            if isinstance(cause, TypeError):
                raise RecipeError(
                    f"{group} has a setting that {node._target_.rsplit('.', 1)[-1]} does not take: {cause}."
                ) from None
            cause = cause.__cause__
        raise


def _lacking(group: str, error: Exception) -> RecipeError:
    return RecipeError(
        f"{group} reads a setting of another group that this recipe lacks ({str(error).splitlines()[0]}); "
        "the file of the option in conf/ says what it goes with."
    )


_VIEW_PARTS = ("masking", "rate", "corruption", "prediction", "loss_weight")


def _views(cfg: DictConfig, objective: Objective) -> list[ViewRecipe]:
    """The views that the objective reads; each has the groups' masking, rate ... unless it says otherwise."""
    shared = {}
    for name in _VIEW_PARTS:  # a group whose choice is null has no key
        node = OmegaConf.select(cfg, name)
        try:
            shared[name] = OmegaConf.to_container(node, resolve=True) if node else None
        except InterpolationResolutionError as error:
            raise _lacking(name, error) from None
    recipes = []
    for name in objective.needs.views:
        if name not in cfg.views:
            raise RecipeError(f"The objective reads a view named {name}; add views.{name} to the recipe.")
        own = OmegaConf.to_container(cfg.views[name], resolve=True)
        assert isinstance(own, dict)
        unknown = sorted(own.keys() - shared.keys() - {"relation", "to"})
        if unknown:
            raise RecipeError(
                f"views.{name}.{unknown[0]} is unknown; a view has {', '.join(_VIEW_PARTS)}, relation and to."
            )
        parts = {group: _merged(shared[group], own.get(group, {})) for group in shared}
        built: dict[str, Any] = {
            group: build(cfg, group, OmegaConf.create(part)) if part else None for group, part in parts.items()
        }
        recipes.append(ViewRecipe(name, **built, relation=own.get("relation", "independent"), to=own.get("to")))
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
    if own is None or shared is None or "_target_" in own:
        return own
    return OmegaConf.to_container(OmegaConf.merge(shared, own)) if own else shared


def _check_numbers(cfg: DictConfig) -> None:
    """Plain numbers of recipe.yaml, each with its bounds."""
    least_values = {
        "trainer.max_steps": 1, "trainer.log_every_n_steps": 1, "trainer.validate_every": 1, "batch.rows": 1,
        "ruler.rows": 1, "ruler.length": 8, "heldout_rows": 1,
    }  # fmt: skip
    for key, least in least_values.items():
        value = OmegaConf.select(cfg, key)
        if value is None or isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RecipeError(f"{key} is {value}; give a whole number from {least} up.")
    for key in ("trainer.clip", "trainer.max_epochs", "batch.tokens"):
        value = OmegaConf.select(cfg, key)
        if value is not None and (isinstance(value, str) or not value > 0):
            raise RecipeError(f"{key} is {value}; give a number above 0, or null.")
    if cfg.batch.tokens is not None and cfg.batch.tokens < cfg.packing.length:
        raise RecipeError(
            f"batch.tokens is {cfg.batch.tokens} and a row has {cfg.packing.length} tokens; "
            "a batch holds at least one row."
        )
