"""From a composed config to the parts of a run, with every check that needs no data: wrong recipes are refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from maskwright.data import Corpus, Packing
from maskwright.data.prepare import ANNOTATIONS, Prepared, TokenizerRecipe, prepare
from maskwright.errors import RecipeError
from maskwright.masking import ViewRecipe, Views, Vocabulary
from maskwright.models import ModelRecipe
from maskwright.objectives import Objective, RowLayout
from maskwright.tracking.loggers import LoggerRecipe
from maskwright.training.hardware import Hardware
from maskwright.training.optimizers import OptimizerRecipe
from maskwright.training.schedules import Schedule


@dataclass
class Recipe:
    """Everything that the config names, built but not yet fed with data."""

    name: str
    choices: Mapping[str, str]  # which option of each group was chosen
    corpus: Corpus
    tokenizer: TokenizerRecipe
    packing: Packing
    model: ModelRecipe
    objective: Objective
    views: list[ViewRecipe]
    optimizer: OptimizerRecipe
    schedule: Schedule
    hardware: Hardware
    logger: LoggerRecipe

    @property
    def annotations(self) -> tuple[str, ...]:
        """Columns that the views read."""
        return tuple(sorted({column for view in self.views for column in view.columns}))

    @property
    def sentence(self) -> str:
        """The recipe in words: `mlm, span 30% 80/10/10, on sotu`."""
        masks = "; ".join(
            f"{view.name}: {view.describe()}" if len(self.views) > 1 else view.describe() for view in self.views
        )
        return ", ".join(part for part in (self.choices.get("objective", ""), masks, f"on {self.corpus.name}") if part)

    def prepare(self, cfg: DictConfig) -> Prepared:
        """The data, from the cache where it is there."""
        return prepare(self.corpus, self.tokenizer, self.packing, cfg.ruler.length, self.annotations, cfg.cache)

    def bind(self, prepared: Prepared, seed: int) -> Views:
        """The views, for this tokenizer and these rows."""
        vocabulary = Vocabulary.of(prepared.tokenizer)
        for view in self.views:
            view.masking.bind(prepared.tokenizer)
        longest = {
            name: max(prepared.train.longest[name], prepared.heldout.longest[name]) for name in prepared.train.longest
        }
        return Views(self.views, vocabulary, seed, self.packing.length, longest)

    def layout(self, prepared: Prepared) -> RowLayout:
        """How rows look to the networks: statically, so that no step asks whether there is padding."""
        # Of a concatenated corpus only the last row can be short; it is left out unless it is all there is.
        full = (
            self.packing.kind == "concatenate"
            and min(prepared.train.tokens, prepared.heldout.tokens) >= self.packing.length
        )
        return RowLayout(self.packing.length, padded=not full, blocks=self.packing.blocks)


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
        model=model,
        objective=objective,
        views=_views(cfg, objective),
        optimizer=build(cfg, "optimizer"),
        schedule=build(cfg, "schedule"),
        hardware=build(cfg, "hardware"),
        logger=build(cfg, "logger"),
    )
    unknown = [name for name in recipe.annotations if name not in ANNOTATIONS]
    if unknown:
        raise RecipeError(f"masking={choices.get('masking')} reads the column {unknown[0]}, which no annotation makes.")
    if recipe.packing.blocks:
        model.require("attention_mask", "packing=segment")
    _check_numbers(cfg)
    return recipe


def build(cfg: DictConfig, group: str, node: Any = None) -> Any:
    """Instantiate one group. Raises RecipeError with the constructor's own sentence, or one about an unknown key."""
    node = cfg[group] if node is None else node
    try:
        return instantiate(node, _convert_="all")
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


def _views(cfg: DictConfig, objective: Objective) -> list[ViewRecipe]:
    """The views that the objective reads; each has the masking, rate and corruption groups unless it says otherwise."""
    shared = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("masking", "rate", "corruption")}
    recipes = []
    for name in objective.needs.views:
        if name not in cfg.views:
            raise RecipeError(f"The objective reads a view named {name}; add views.{name} to the recipe.")
        own = OmegaConf.to_container(cfg.views[name], resolve=True)
        assert isinstance(own, dict)
        unknown = sorted(own.keys() - shared.keys() - {"relation", "to"})
        if unknown:
            raise RecipeError(
                f"views.{name}.{unknown[0]} is unknown; a view has masking, rate, corruption, relation and to."
            )
        parts = {group: _merged(shared[group], own.get(group)) for group in shared}
        built = {group: build(cfg, group, OmegaConf.create(part)) for group, part in parts.items()}
        recipes.append(ViewRecipe(name, **built, relation=own.get("relation", "independent"), to=own.get("to")))
    return recipes


def _merged(shared: Any, own: Any) -> Any:
    """A view's own part over the shared one; another `_target_` starts afresh."""
    if not own:
        return shared
    if own.get("_target_", shared["_target_"]) != shared["_target_"]:
        return own
    return OmegaConf.to_container(OmegaConf.merge(shared, own))


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


def rows_per_step(cfg: DictConfig) -> int:
    """Rows of one optimizer step over all devices."""
    return cfg.batch.tokens // cfg.packing.length if cfg.batch.tokens is not None else cfg.batch.rows


def planned_steps(cfg: DictConfig, rows: int) -> int:
    """Optimizer steps of the whole run on a corpus of `rows` rows."""
    if cfg.trainer.max_epochs is None:
        return cfg.trainer.max_steps
    return max(1, round(cfg.trainer.max_epochs * rows / rows_per_step(cfg)))
