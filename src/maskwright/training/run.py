"""One run from recipe to export: the order of things, and nothing else."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from maskwright.data.batch import Batch
from maskwright.data.kept import KeptTokenizer
from maskwright.data.module import DataModule, refuse_other_data, usable
from maskwright.data.order import Slice, SliceDataset, permutation
from maskwright.data.phases import number_at, stretches
from maskwright.data.prepare import Prepared
from maskwright.evaluation.ruler import ruler_views
from maskwright.masking.noise import mixed_seed, stream_id
from maskwright.pasting import command
from maskwright.tracking import console as screen
from maskwright.tracking.bar import progress
from maskwright.tracking.meter import Meter
from maskwright.tracking.run import Record, record
from maskwright.training import opening
from maskwright.training.before import measure, wanted
from maskwright.training.begun import Begun
from maskwright.training.callbacks import ExportAtPowers, Validated
from maskwright.training.checkpoints import AtomicCheckpointIO, StepCheckpoint
from maskwright.training.ema import WeightAverage
from maskwright.training.ending import Best, Ending, budget, check_figures, watchers
from maskwright.training.evaluating import Evaluating, evaluating
from maskwright.training.finish import figures, leave
from maskwright.training.folder import RunFolder, checkpoint_to_resume, step_of
from maskwright.training.hardware import Chosen, matmul_peak_flops
from maskwright.training.health import StopWhenBroken, full_disk_explained
from maskwright.training.module import Pretraining
from maskwright.training.moved import refuse_other_files
from maskwright.training.optimizers.layers import frozen_share
from maskwright.training.phases import flops_per_token, planned, rows_per_step
from maskwright.training.preemption import EndedAtOnce, Preemption, ignore_in_worker
from maskwright.training.recipe import Recipe, assemble
from maskwright.training.rehearsal import rehearse, update_seconds


class Preempted(SystemExit):
    """The run was asked to stop, saved its step, and can be resumed; exit status 0 (SIGTERM: it did as asked) or 130
    (Ctrl-C)."""

    def __init__(self, interrupted: bool) -> None:
        self.interrupted = interrupted
        super().__init__(130 if interrupted else 0)


def pretrain(
    cfg: DictConfig,
    choices: Mapping[str, str],
    folder: Path,
    group: str | None = None,
    lengthening: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Train as `cfg` says, leave everything in `folder`, and return the final figures (metrics.json).

    choices: which option of each config group was chosen. group: the multirun that this run belongs to, or None.
    lengthening: called where a run that had come to its end gets more steps.
    Raises RecipeError for whatever the user can mend.
    """
    with full_disk_explained(folder), RunFolder(folder).held() if _first_process() else nullcontext():
        return _pretrain(cfg, choices, folder, group, lengthening)


def _pretrain(
    cfg: DictConfig, choices: Mapping[str, str], folder: Path, group: str | None, lengthening: Callable[[], None]
) -> dict[str, Any]:
    """Everything up to the first step."""
    began = time.perf_counter()
    quiet()
    run = RunFolder(folder)
    known = run.recorded() if cfg.resume else None
    choices = run.choices() if cfg.resume else dict(choices)
    checkpoint = checkpoint_to_resume(run) if cfg.resume else None
    recipe = assemble(run.own_start(cfg) if checkpoint else cfg, choices)
    if known and KeptTokenizer.there(folder):
        recipe.tokenizer = KeptTokenizer(folder, known["fingerprints"]["tokenizer"])
    chosen = _hardware(recipe, known)
    budget(cfg.trainer)  # says before the data is read that a time is none
    for phase in recipe.phases:
        chosen.check(rows_per_step(cfg, phase), averaged=cfg.trainer.ema is not None)
    chosen.apply()
    if _first_process():
        run.clear() if cfg.resume else run.begin(cfg, choices)

    console = Console(highlight=False)
    if _first_process():
        console.print(escape(opening.folder_line(run, group)), soft_wrap=True)
    prepared = recipe.prepare(cfg)
    chosen.keep_freed_memory()
    if known:
        refuse_other_data(known["fingerprints"], prepared.fingerprints)
        refuse_other_files(known.get("files", {}), cfg)
    data = _data_module(cfg, recipe, prepared, chosen)
    torch.manual_seed(mixed_seed(cfg.seeds.init, stream_id("init")))
    layout = recipe.layout(prepared, data.masks)
    positions = max(cfg.ruler.length, *(opening.shown(data, number) for number in range(len(data.phases))))
    recipe.objective.build(recipe.model, prepared.tokenizer, layout, positions)
    if checkpoint:
        run.recall_starts(recipe.objective)
    elif _first_process():
        run.describe(recipe.objective, prepared.tokenizer)
    parameters = sum(parameter.numel() for parameter in recipe.objective.parameters())
    starts, first = recipe.objective.starts(), wanted(cfg.trainer.validate_first, recipe.objective)
    recipe.optimizer.layers.freeze(recipe.objective)
    frozen = frozen_share(recipe.objective)

    device = _device(chosen)
    peak = (
        known["peak_flops"]
        if known
        else matmul_peak_flops(device, torch.bfloat16 if chosen.precision == "bf16" else torch.float32)
    )
    chosen, data, per_token = _rehearsed(cfg, recipe, data, chosen, known, device)
    step = None if not cfg.resume else (step_of(checkpoint) if checkpoint else 0)
    begun = Begun(cfg, recipe, prepared, data, chosen, run, console, began, checkpoint, first)
    facts = opening.facts(begun, known, parameters, starts, peak, step)
    if _first_process():
        said: list[str] = []
        if known and checkpoint:
            if run.lengthens(cfg, known, data.steps):
                lengthening()
            more, said = run.go_on(cfg, known, step_of(checkpoint), data.steps)
            facts |= more
        run.record(facts)
        changed = opening.changes(known, chosen) if known else []
        opening.say(begun, facts, per_token * opening.tokens(data, step or 0), frozen, device)
        opening.say_resumed(begun, step, said, changed)
    name = cfg.name or opening.run_name(recipe, choices, cfg.seed)
    plain = {str(key): value for key, value in OmegaConf.to_container(cfg, resolve=True).items()}  # type: ignore[union-attr]
    with record(recipe.logger, folder, name, plain, facts, step, group, _rank()) as log:
        return _train(begun, log, facts["peak_flops"])


def _train(begun: Begun, log: Record, peak_flops: float) -> dict[str, Any]:
    """Fit, validate, export, and show what came of it."""
    cfg, data, chosen, objective = begun.cfg, begun.data, begun.chosen, begun.recipe.objective
    check_figures(cfg, objective, begun.prepared.groups)
    for _, number in stretches(data.phases):
        begun.recipe.schedule.check(number)
    module = _module(begun)
    if chosen.compile:
        objective.compile_networks()
    if begun.checkpoint is None and begun.validate_first:
        measure(module, data, chosen, log, begun.prepared.tokenizer)
        if _first_process():
            begun.console.print(f"[dim]before the first step: {screen.measured(module.before)}[/dim]", soft_wrap=True)
    per_token = [
        flops_per_token(objective, phase.length, opening.shown(data, number), masks.most)
        for number, (phase, masks) in enumerate(zip(data.phases, data.phase_masks, strict=True))
    ]
    meter = Meter(lambda step: per_token[number_at(data.phases, step)], peak_flops * chosen.processes)
    saver = StepCheckpoint(begun.folder.checkpoints, cfg.checkpoint.every, cfg.checkpoint.keep)
    average = WeightAverage(cfg.trainer.ema) if cfg.trainer.ema is not None else None
    preemption, ending = Preemption(saver), Ending(watchers(cfg, budget(cfg.trainer)), saver, meter)
    best = Best(cfg.checkpoint.best, saver) if cfg.checkpoint.best is not None else None
    suites = evaluating(cfg, begun.recipe, begun.prepared, log, meter, average)
    callbacks: list[Any] = [Validated(log, begun.prepared.tokenizer), *([average] if average else []), meter]
    callbacks += [progress(meter, begun.console), StopWhenBroken(), *suites, *ending.watchers]
    callbacks += [ending, *([best] if best else []), saver, preemption]
    if cfg.export.at_powers_of is not None:
        exports = begun.folder.path / "exports"
        callbacks.append(ExportAtPowers(exports, begun.prepared.tokenizer, cfg.export.at_powers_of, average))
    trainer = L.Trainer(
        max_steps=data.steps,
        max_epochs=-1,
        val_check_interval=min(cfg.trainer.validate_every, data.steps),
        check_val_every_n_epoch=None,
        log_every_n_steps=cfg.trainer.log_every_n_steps,
        num_sanity_val_steps=0,
        logger=log.loggers or False,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=True,
        enable_model_summary=False,
        default_root_dir=begun.folder.path,
        **chosen.trainer_arguments(),
    )
    try:
        resumed = begun.checkpoint is not None
        trainer.fit(module, datamodule=data, ckpt_path=begun.checkpoint, weights_only=True if resumed else None)
    except EndedAtOnce:
        raise KeyboardInterrupt from None
    if preemption.stopped:
        if trainer.is_global_zero:
            stopped = f"stopped after step {trainer.global_step:,} and saved; go on with: "
            begun.console.print(stopped + escape(command("train.py", resume=begun.folder.path)), soft_wrap=True)
        raise Preempted(preemption.interrupted)
    if module.validated_at != trainer.global_step:
        trainer.validate(module, datamodule=data, verbose=False)
    return _finish(begun, log, trainer, module, meter, average, ending, best, suites)


def _module(begun: Begun) -> Pretraining:
    cfg, data, recipe = begun.cfg, begun.data, begun.recipe
    return Pretraining(
        recipe.objective,
        recipe.optimizer,
        recipe.schedule,
        steps=data.steps,
        micro_rows=begun.chosen.micro_rows or data.rows,
        dropout_seed=cfg.seeds.dropout,
        clip=cfg.trainer.clip,
        live=data.masks.live(),
        groups=begun.prepared.groups,
        stretches=stretches(data.phases),
        longest=max(phase.length for phase in data.phases),
    )


def _finish(
    begun: Begun,
    log: Record,
    trainer: L.Trainer,
    module: Pretraining,
    meter: Meter,
    average: WeightAverage | None,
    ending: Ending,
    best: Best | None,
    suites: list[Evaluating],
) -> dict[str, Any]:
    """Measure and export the weights that count: the last, or those of the best checkpoint."""
    step, measured = trainer.global_step, module.validation
    if best and best.step not in (None, step):
        best.restore(module, average)
        measured = best.figures
    if trainer.is_global_zero and (measured is not module.validation or ending.reason):
        for suite in suites:
            suite.evaluate(module, best.step if best and best.step else step)
    seconds = time.perf_counter() - begun.began
    metrics = figures(begun.recipe.objective, measured, meter, seconds, module.before) | begun.prepared.figures
    metrics |= {"best/step": best.step} if best else {}
    if trainer.is_global_zero:
        for line in screen.ended(step, begun.data.steps, ending.reason, best.of if best else None):
            begun.console.print(line, soft_wrap=True)
    with average.averaged(module) if average else nullcontext():
        whole = module.whole()
        if trainer.is_global_zero and whole is not None:
            leave(whole, begun.recipe, begun.prepared, begun.folder, log, metrics, begun.console)
    trainer.strategy.barrier()
    return metrics


def _data_module(cfg: DictConfig, recipe: Recipe, prepared: Prepared, chosen: Chosen) -> DataModule:
    views = recipe.bind(prepared, cfg.seeds.masks)
    padded = recipe.layout(prepared, views).padded
    first, *later = planned(cfg, lambda length: usable(prepared.at[length], padded))
    return DataModule(
        prepared,
        views,
        ruler_views(recipe.vocabulary(prepared), cfg.ruler.length),
        rows=first.rows,
        steps=first.steps + sum(phase.steps for phase in later),
        padded=padded,
        order_seed=cfg.seeds.order,
        workers=chosen.workers,
        heldout_rows=cfg.heldout_rows,
        ruler_rows=cfg.ruler.rows,
        balance=recipe.corpus.balance,
        arrange=recipe.objective.arrange,
        later={phase: recipe.views_at(prepared, cfg.seeds.masks, phase.length) for phase in later},
        worker_init=ignore_in_worker,
    )


def largest_batch(data: DataModule, ranks: int = 1) -> Batch:
    """Rows of the longest phase for rank 0, as many as hold the tokens of the largest batch; without views."""
    phase = max(data.phases, key=lambda part: part.length)
    rows = max(-(-part.rows * part.length // phase.length) for part in data.phases)
    sample = permutation(data.there(phase.length), data.order_seed, 0)
    sample = sample[torch.arange(0, rows, ranks).remainder(len(sample)).numpy()]
    there = SliceDataset(data.prepared.at[phase.length])
    return data.as_batch(there[Slice(phase.first, sample, 0 * sample)], "train")


def _rehearsed(
    cfg: DictConfig,
    recipe: Recipe,
    data: DataModule,
    chosen: Chosen,
    known: Mapping[str, Any] | None,
    device: torch.device,
) -> tuple[Chosen, DataModule, float]:
    """One step is tried: the hardware with its micro-batches, the data with the steps that fit into trainer.max_time,
    and seconds per token."""
    batch = largest_batch(data, chosen.processes).to(device)
    began = time.perf_counter()
    batch.views = data.views(batch)
    masking = time.perf_counter() - began
    micro_rows, seconds = rehearse(recipe.objective, batch, chosen, device)
    per_token = seconds / batch.rows["ids"].numel() / chosen.processes
    time_budget = budget(cfg.trainer)
    if time_budget is not None:
        if known:
            cfg.trainer.max_steps = known["steps"]
        else:
            beside = masking + update_seconds(recipe.objective, recipe.optimizer)
            cfg.trainer.max_steps = _steps_within(time_budget, per_token, beside, data, cfg.trainer.validate_every)
        data = _data_module(cfg, recipe, data.prepared, chosen)
    return chosen.with_micro_rows(micro_rows), data, per_token


def _steps_within(seconds: float, per_token: float, beside: float, data: DataModule, validate_every: int) -> int:
    """As many steps as fit into nine tenths of a time, by how long a rehearsed step took.

    beside: seconds of a step that do not grow with its tokens. A validation reads its tokens in a third of the time.
    """
    step = per_token * opening.tokens(data, 0) / data.steps + beside
    prepared = data.prepared
    read = min(data.heldout_rows, len(prepared.heldout)) * prepared.heldout.length
    read += min(data.ruler_rows, len(prepared.ruler)) * prepared.ruler.length
    return max(1, int(0.9 * seconds / (step + per_token / 3 * read / validate_every)))


def _hardware(recipe: Recipe, known: Mapping[str, Any] | None) -> Chosen:
    """What this machine offers; for a resumed run what the run chose then, or a refusal."""
    now = recipe.hardware.resolve()
    if known is None:
        return now
    now = now.as_recorded(known["hardware"])
    now.refuse_other(known["hardware"])
    return now


def _device(chosen: Chosen) -> torch.device:
    """Where this process computes."""
    import os

    return torch.device(
        f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if chosen.accelerator == "cuda" else chosen.accelerator
    )


def _rank() -> int:
    """This process's rank before the trainer exists."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0) or 0)


def _first_process() -> bool:
    return _rank() == 0


def quiet() -> None:
    """Silence what our own arrangement makes untrue: hints about loaders, loggers and checkpoints of Lightning's
    own."""
    import logging

    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*checkpoint directory.*exists.*",
        ".*mid-epoch.*",
        ".*isn't being saved.*",
        ".*smaller than the logging interval.*",
        ".*LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message)
