"""One run from recipe to export: the order of things, and nothing else."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

import maskwright
from maskwright.data.batch import Batch
from maskwright.data.module import DataModule, refuse_other_data, usable
from maskwright.data.order import Slice, SliceDataset, permutation
from maskwright.data.phases import number_at, stretches
from maskwright.data.prepare import Prepared
from maskwright.evaluation.ruler import ruler_views
from maskwright.masking.noise import mixed_seed, stream_id
from maskwright.models.checkpoint import hub_name
from maskwright.models.network import RANDOM
from maskwright.tracking import console as screen
from maskwright.tracking.bar import progress
from maskwright.tracking.meter import Meter
from maskwright.tracking.run import Record, git_commit, record
from maskwright.training.before import measure, wanted
from maskwright.training.callbacks import ExportAtPowers, Validated
from maskwright.training.checkpoints import AtomicCheckpointIO, StepCheckpoint
from maskwright.training.ema import WeightAverage
from maskwright.training.evaluating import evaluating
from maskwright.training.finish import figures, leave
from maskwright.training.folder import RunFolder, checkpoint_to_resume
from maskwright.training.hardware import Chosen, matmul_peak_flops
from maskwright.training.health import StopWhenBroken, full_disk_explained
from maskwright.training.module import Pretraining
from maskwright.training.optimizers.layers import frozen_share
from maskwright.training.phases import flops_per_token, planned, rows_per_step
from maskwright.training.preemption import Preemption, ignore_in_worker
from maskwright.training.recipe import Recipe, assemble
from maskwright.training.rehearsal import rehearse


class Preempted(SystemExit):
    """The run was asked to stop (SIGTERM), saved its step, and can be resumed; exit status 0, as it did as asked."""

    code = 0


def pretrain(cfg: DictConfig, choices: Mapping[str, str], folder: Path, group: str | None = None) -> dict[str, Any]:
    """Train as `cfg` says, leave everything in `folder`, and return the final figures (metrics.json).

    choices: which option of each config group was chosen. group: the multirun that this run belongs to, or None.
    Raises RecipeError for whatever the user can mend.
    """
    with full_disk_explained(folder), RunFolder(folder).held() if _first_process() else nullcontext():
        return _pretrain(cfg, choices, folder, group)


def _pretrain(cfg: DictConfig, choices: Mapping[str, str], folder: Path, group: str | None) -> dict[str, Any]:
    """Everything up to the first step."""
    began = time.perf_counter()
    quiet()
    run = RunFolder(folder)
    known = run.recorded() if cfg.resume else None
    choices = run.choices() if cfg.resume else dict(choices)
    recipe = assemble(cfg, choices)
    chosen = _hardware(recipe, known)
    for phase in recipe.phases:
        chosen.check(rows_per_step(cfg, phase), averaged=cfg.trainer.ema is not None)
    chosen.apply()
    if _first_process():
        run.clear() if cfg.resume else run.begin(cfg, choices)

    console = Console(highlight=False)
    prepared = recipe.prepare(cfg)
    if known:
        refuse_other_data(known["fingerprints"], prepared.fingerprints)
    data = _data_module(cfg, recipe, prepared, chosen)
    torch.manual_seed(mixed_seed(cfg.seeds.init, stream_id("init")))
    layout = recipe.layout(prepared, data.masks)
    positions = max(cfg.ruler.length, *(_shown(data, number) for number in range(len(data.phases))))
    recipe.objective.build(recipe.model, prepared.tokenizer, layout, positions)
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
    batch = largest_batch(data, chosen.processes).to(device)
    batch.views = data.views(batch)
    micro_rows, seconds = rehearse(recipe.objective, batch, chosen, device)
    per_token = seconds / batch.rows["ids"].numel() / chosen.processes
    chosen = chosen.with_micro_rows(micro_rows)
    code = {
        "maskwright": maskwright.__version__,
        "git_commit": git_commit(Path(__file__).parent),
        "versions": {name: version(name) for name in ("torch", "lightning", "transformers")},
    }
    facts = known or {
        **code,
        "choices": dict(choices),
        "sentence": recipe.sentence,
        "hardware": chosen.record(),
        "fingerprints": prepared.fingerprints,
        "data": prepared.report,
        "parameters": parameters,
        "starts": starts,
        "base_model": hub_name(recipe.model.init_from),
        "steps": data.steps,
        "peak_flops": peak,
    }
    checkpoint = checkpoint_to_resume(run) if cfg.resume else None
    step = None if not cfg.resume else (int(checkpoint.stem.removeprefix("step-")) if checkpoint else 0)
    changes: list[str] = []
    if known:
        changes = _changes(known, code, chosen)
        facts = known | {"resumed": [*known.get("resumed", ()), {"step": step, **code}]}
    if _first_process():
        run.record(facts)
        left = per_token * _tokens(data, step or 0)
        console.print(_line(recipe, cfg, prepared, chosen, parameters, data.steps, left), soft_wrap=True)
        console.print(f"[dim]{prepared.summary}[/dim]")
        if set(starts.values()) != {RANDOM}:
            for name, start in starts.items():
                who = f"{name} starts" if len(starts) > 1 else "starts"
                console.print(f"[dim]{who} from {escape(start)}[/dim]", soft_wrap=True)
        if frozen:
            console.print(f"[dim]{screen.percent(frozen)} of the weights are frozen[/dim]")
        if step is not None:
            console.print(f"resumed after step {step:,} in {folder}", soft_wrap=True)
            for change in changes:
                console.print(f"note: {change}; the run goes on, but perhaps no longer bit for bit", soft_wrap=True)
    name = screen.run_name(
        _model_name(recipe), choices.get("objective", ""), _masking(recipe), recipe.corpus.name, cfg.seed
    )
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    with record(
        recipe.logger, folder, cfg.name or name, {str(k): v for k, v in plain.items()}, facts, step, group, _rank()
    ) as log:
        return _train(cfg, recipe, prepared, data, chosen, facts, run, log, checkpoint, first, console, began)


def _train(
    cfg: DictConfig,
    recipe: Recipe,
    prepared: Prepared,
    data: DataModule,
    chosen: Chosen,
    facts: Mapping[str, Any],
    run: RunFolder,
    log: Record,
    checkpoint: Path | None,
    first: bool,
    console: Console,
    began: float,
) -> dict[str, Any]:
    """Fit, validate, export, and show what came of it."""
    objective, trainer_cfg = recipe.objective, cfg.trainer
    for _, number in stretches(data.phases):
        recipe.schedule.check(number)
    module = Pretraining(
        objective,
        recipe.optimizer,
        recipe.schedule,
        steps=data.steps,
        micro_rows=chosen.micro_rows or data.rows,
        dropout_seed=cfg.seeds.dropout,
        clip=trainer_cfg.clip,
        live=data.masks.live(),
        groups=prepared.groups,
        stretches=stretches(data.phases),
        longest=max(phase.length for phase in data.phases),
    )
    if chosen.compile:
        objective.compile_networks()
    if checkpoint is None and first:
        measure(module, data, chosen, log, prepared.tokenizer)
        if _first_process():
            console.print(f"[dim]before the first step: {screen.measured(module.before)}[/dim]", soft_wrap=True)
    per_token = [
        flops_per_token(objective, phase.length, _shown(data, number), masks.most)
        for number, (phase, masks) in enumerate(zip(data.phases, data.phase_masks, strict=True))
    ]
    meter = Meter(lambda step: per_token[number_at(data.phases, step)], facts["peak_flops"] * chosen.processes)
    saver = StepCheckpoint(run.checkpoints, cfg.checkpoint.every, cfg.checkpoint.keep)
    average = WeightAverage(trainer_cfg.ema) if trainer_cfg.ema is not None else None
    preemption = Preemption(saver)
    callbacks: list[Any] = [Validated(log, prepared.tokenizer), *([average] if average else []), meter]
    callbacks += [progress(meter, console), StopWhenBroken()]
    callbacks += [*evaluating(cfg, recipe, prepared, log, meter, average), saver, preemption]
    if cfg.export.at_powers_of is not None:
        callbacks.append(ExportAtPowers(run.path / "exports", prepared.tokenizer, cfg.export.at_powers_of, average))
    trainer = L.Trainer(
        max_steps=data.steps,
        max_epochs=-1,
        val_check_interval=min(trainer_cfg.validate_every, data.steps),
        check_val_every_n_epoch=None,
        log_every_n_steps=trainer_cfg.log_every_n_steps,
        num_sanity_val_steps=0,
        logger=log.loggers or False,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=True,
        enable_model_summary=False,
        default_root_dir=run.path,
        **chosen.trainer_arguments(),
    )
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    if preemption.stopped:
        if trainer.is_global_zero:
            console.print(
                f"stopped after step {trainer.global_step:,} and saved; go on with: python train.py resume={run.path}",
                soft_wrap=True,
            )
        raise Preempted
    if module.validated_at != data.steps:
        trainer.validate(module, datamodule=data, verbose=False)
    metrics = figures(objective, module.validation, meter, time.perf_counter() - began, module.before)
    with average.averaged(module) if average else nullcontext():
        whole = module.whole()
        if trainer.is_global_zero and whole is not None:
            leave(whole, recipe, prepared, run, log, metrics, console)
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


def _shown(data: DataModule, number: int) -> int:
    """Tokens that a network reads of a row in a phase."""
    return max(data.phase_masks[number].width.values(), default=data.phases[number].length)


def _tokens(data: DataModule, step: int) -> int:
    """Places in the rows of all steps from `step` on."""
    ends = [(phase, phase.first + phase.steps) for phase in data.phases]
    return sum(max(0, end - max(step, phase.first)) * phase.rows * phase.length for phase, end in ends)


def _hardware(recipe: Recipe, known: Mapping[str, Any] | None) -> Chosen:
    """What this machine offers; for a resumed run what the run chose then, or a refusal."""
    now = recipe.hardware.resolve()
    if known is None:
        return now
    now = now.as_recorded(known["hardware"])
    now.refuse_other(known["hardware"])
    return now


def _changes(facts: Mapping[str, Any], code: Mapping[str, Any], chosen: Chosen) -> list[str]:
    """What is not the same as when the run began, and may round differently."""
    then, now = (
        {**each["versions"], "maskwright": each["maskwright"], "its commit": each["git_commit"], "the device": device}
        for each, device in ((facts, facts["hardware"]["device"]), (code, chosen.device))
    )
    return [f"{name} was {then[name]} and is {now[name]}" for name in then if then[name] != now[name]]


def _line(
    recipe: Recipe, cfg: DictConfig, prepared: Prepared, chosen: Chosen, parameters: int, steps: int, seconds: float
) -> str:
    device = f"{chosen.processes} x {chosen.accelerator}" if chosen.processes > 1 else chosen.accelerator
    precision = {"32": "float32"}.get(chosen.precision, chosen.precision)
    return screen.recipe_line(
        _model_name(recipe), parameters, recipe.choices.get("objective", ""), _masking(recipe), recipe.corpus.name,
        prepared.report["tokens"]["train"], f"{device} {precision}", steps, seconds,
    )  # fmt: skip


def _model_name(recipe: Recipe) -> str:
    name = recipe.choices.get("model", recipe.model.family)
    return recipe.model.family if name == "checkpoint" else name


def _masking(recipe: Recipe) -> str:
    """The first view's masking; `+ 2 views` where there are more, which run.json spells out."""
    if not recipe.views:
        return ""
    more = len(recipe.views) - 1
    return recipe.views[0].describe() + (f" + {more} view{'s' * (more > 1)}" if more else "")


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
