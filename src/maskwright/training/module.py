"""The LightningModule: one loader batch is one optimizer step, whatever the hardware.

The batch is cut into micro-batches that fit the device. All views exist before the first forward pass, so each term's
denominator is known over all micro-batches and ranks, and the gradient does not depend on how the batch was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from maskwright.data.batch import Batch
from maskwright.evaluation.ruler import Tally
from maskwright.masking.columns import Column, named
from maskwright.masking.noise import mixed_seed
from maskwright.masking.weights import Live
from maskwright.objectives import Objective
from maskwright.training.health import refuse_broken
from maskwright.training.optimizers import OptimizerRecipe
from maskwright.training.schedules import Schedule
from maskwright.training.sharding import Sharded

LiveState = tuple[Live, str | Column]  # state that training moves, and the column that it looks at


class Pretraining(L.LightningModule):
    """Trains one objective. `training_step` returns what a step measured, as detached tensors and numbers:

    loss and loss/<term>; <name> for terms of weight 0; rate and achieved_rate of the first view, rate/<view> and
    achieved_rate/<view> of others; tokens (real, over all ranks); grad_norm; lr/<group>. A term that counts nowhere in
    the batch is NaN, and so is the loss where none of its terms counts: there is no such number.

    stretches: the runs of steps (first, number) over which the learning rate follows its schedule once; none: all.
    longest: tokens of the longest training rows, of which `micro_rows` fit; None: all rows are alike.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: OptimizerRecipe,
        schedule: Schedule,
        *,
        steps: int,
        micro_rows: int,
        dropout_seed: int,
        clip: float | None,
        live: Mapping[str, LiveState] | None = None,
        groups: Sequence[str] = (),
        stretches: Sequence[tuple[int, int]] = (),
        longest: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.objective = objective
        self.live = nn.ModuleDict({view: state for view, (state, _) in (live or {}).items()})  # checkpointed
        self._live_columns = {view: named(column) for view, (_, column) in (live or {}).items()}
        self.groups = list(groups)
        self.optimizer_recipe, self.schedule = optimizer, schedule
        self.steps, self.micro_rows, self.dropout_seed, self.clip = steps, micro_rows, dropout_seed, clip
        self.stretches = list(stretches) or [(0, steps)]
        self.longest = longest
        self.before: dict[str, float] = {}  # what was measured before the first step, if it was; checkpointed
        self.validation: dict[str, float] = {}  # what the last validation measured
        self.validated_at = -1  # after how many steps
        self._sharded: Sharded | None = None  # with hardware.strategy fsdp
        self._gathered: AbstractContextManager[None] = nullcontext()

    def configure_model(self) -> None:
        # Lightning asks again before a validation on its own.
        if self.device_mesh is not None and self._sharded is None:
            self._sharded = Sharded(self.objective, self.device_mesh["data_parallel"], self.global_rank == 0)

    def whole(self) -> Objective | None:
        """The objective with all its weights, for exports; None on other ranks of a sharded run. All ranks call it."""
        return self.objective if self._sharded is None else self._sharded.whole()

    def on_fit_start(self) -> None:
        # Each process estimates what fits. All take the estimate of rank 0, which is the recorded one.
        self.micro_rows = self.trainer.strategy.broadcast(self.micro_rows)

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_recipe.build(self.objective)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["before"] = self.before

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.before = checkpoint.get("before", {})

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        optimizer = self.optimizers()
        assert isinstance(optimizer, L.pytorch.core.optimizer.LightningOptimizer)
        first, number = next(part for part in reversed(self.stretches) if part[0] <= batch.step)
        self.schedule.apply(optimizer.optimizer, batch.step - first, number)
        ranks = self.trainer.world_size
        counted = {name: places.sum(dtype=torch.float64) for name, places in self.objective.where(batch).items()}
        total_T = self._over_ranks(torch.stack(list(counted.values())))
        share = dict(zip(counted, torch.where(total_T > 0, 1 / total_T, 0.0), strict=True))  # an absent term is 0
        sums = {name: torch.zeros_like(total_T[0]) for name in counted}
        moved: dict[str, Tensor] = {}

        length = batch.rows["ids"].shape[1]
        micro_batches = list(batch.micro_batches(self.micro_rows * (self.longest or length) // length))
        for number, micro in enumerate(micro_batches):
            torch.manual_seed(mixed_seed(self.dropout_seed, batch.step, number, self.global_rank))
            with self._gradients_shared(number == len(micro_batches) - 1):
                loss = self._loss(micro, share, sums, moved)
                # the strategy averages gradients over ranks; denominators are global
                self.manual_backward(loss * ranks)
        grad_norm = self._clip()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for view, change in moved.items():
            self.live[view].observe(self._over_ranks(change))  # type: ignore[operator]
        return self._measured(batch, share, sums, grad_norm, optimizer.optimizer)

    def _loss(
        self, micro: Batch, share: Mapping[str, Tensor], sums: dict[str, Tensor], moved: dict[str, Tensor]
    ) -> Tensor:
        """This micro-batch's part of the weighted loss; adds each term's sum to `sums`, and to `moved` what moves the
        live state of views."""
        where, terms = self.objective.where(micro), self.objective.terms(micro)
        loss = torch.zeros((), device=self.device)
        for name, value in terms.items():
            total = (value * where[name]).sum()
            sums[name] += total.detach()
            if self.objective.weights[name]:
                loss = loss + self.objective.weights[name] * total * share[name].to(total.dtype)
        for view, column in self._live_columns.items():
            change = self.live[view].measure(  # type: ignore[operator]
                micro.views[view], micro.rows[column], terms[self.objective.needs.losses[view]]
            )
            moved[view] = moved[view] + change if view in moved else change
        return loss

    def _clip(self) -> Tensor:
        """The gradient's norm before clipping."""
        parameters = [parameter for parameter in self.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.clip or float("inf"))
        return (norm.full_tensor() if isinstance(norm, DTensor) else norm).detach()

    @contextmanager
    def _gradients_shared(self, now: bool) -> Iterator[None]:
        """Whether the backward pass inside sums gradients over ranks: only the last micro-batch's does."""
        if self._sharded is not None:
            self._sharded.share_gradients(now)
            yield
        elif now or self.trainer.world_size == 1:
            yield
        else:
            with self.trainer.strategy.block_backward_sync():  # type: ignore[attr-defined]
                yield

    def _over_ranks(self, sums: Tensor) -> Tensor:
        """Summed over all ranks."""
        return self.trainer.strategy.reduce(sums, reduce_op="sum") if self.trainer.world_size > 1 else sums  # type: ignore[return-value]

    def _measured(
        self,
        batch: Batch,
        share: Mapping[str, Tensor],
        sums: Mapping[str, Tensor],
        grad_norm: Tensor,
        optimizer: Optimizer,
    ) -> dict[str, Any]:
        counts = [(batch.rows["document"] > 0).sum()]
        for view in batch.views.values():
            counts += [view.rate_B.double().sum(), (view.outcome_BL > 0).sum(), view.maskable_BL.sum()]
        facts = self._over_ranks(torch.stack([*(count.double() for count in counts), *sums.values()]))
        tokens, *of_views = facts[: len(counts)]
        values = {
            name: torch.where(share[name] > 0, total * share[name], torch.nan)
            for name, total in zip(sums, facts[len(counts) :], strict=True)
        }
        weights = self.objective.weights
        measured: dict[str, Any] = {
            (f"loss/{name}" if weights[name] else name): value for name, value in values.items()
        }
        parts_T = torch.stack([weights[name] * value for name, value in values.items() if weights[name]])
        measured["loss"] = torch.where(parts_T.isnan().all(), torch.nan, parts_T.nansum())
        rows = len(batch) * self.trainer.world_size
        for number, name in enumerate(batch.views):
            rate, selected, candidates = of_views[3 * number : 3 * number + 3]
            behind = f"/{name}" if number else ""
            measured[f"rate{behind}"] = rate / rows
            measured[f"achieved_rate{behind}"] = selected / candidates.clamp(min=1)
        measured |= {"tokens": tokens, "grad_norm": grad_norm}
        for group in optimizer.param_groups:  # of a name's groups the first has the highest rate
            measured.setdefault(f"lr/{group['name']}", group["lr"])
        return measured

    def on_validation_start(self) -> None:
        # Ranks may have unequal numbers of batches, and examples are filled in on one rank only.
        self._gathered = self._sharded.gathered() if self._sharded is not None else nullcontext()
        self._gathered.__enter__()

    def on_validation_end(self) -> None:
        self._gathered.__exit__(None, None, None)

    def on_validation_epoch_start(self) -> None:
        self._heldout: dict[str, list[Tensor]] = {}
        self._rulers = {
            prefix: Tally(net) for prefix, net in self.objective.ruled().items() if not isinstance(net, str)
        }

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        if batch.purpose == "ruler":
            for tally in self._rulers.values():
                for micro in batch.micro_batches(self.micro_rows):
                    tally.add(micro)
            return
        for micro in batch.micro_batches(self.micro_rows):
            where, terms = self.objective.where(micro), self.objective.terms(micro)
            for name, value in terms.items():
                parts = [(value * where[name]).reshape(len(value), -1), where[name].reshape(len(value), -1)]
                part_2B = torch.stack([part.sum(1).double() for part in parts])
                self._heldout.setdefault(name, []).append(part_2B.sum(1))
                for number, group in enumerate(self.groups):
                    there_B = micro.rows["group"] == number
                    self._heldout.setdefault(f"{name}/{group}", []).append((part_2B * there_B).sum(1))

    def on_validation_epoch_end(self) -> None:
        results: dict[str, float] = {}
        nothing = [torch.zeros(2, dtype=torch.float64, device=self.device)]  # a rank may have had no rows
        terms = list(self.objective.weights)
        for name in [*terms, *(f"{term}/{group}" for term in terms for group in self.groups)]:
            total, count = self._over_ranks(torch.stack(self._heldout.get(name, nothing)).sum(0)).tolist()
            if count:
                results[f"heldout/{name}"] = total / count
        for prefix, tally in self._rulers.items():
            for name, value in tally.result(self._over_ranks(tally.sums_4.to(self.device))).items():
                results[f"{prefix}/{name}"] = value
        self.validation, self.validated_at = results, self.global_step
        refuse_broken(results, self.global_step)
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in results.items()})
