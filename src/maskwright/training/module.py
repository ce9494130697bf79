"""The LightningModule: one loader batch is one optimizer step, whatever the hardware.

The batch is cut into micro-batches that fit the device. All views exist before the first forward pass, so each term's
denominator is known over all micro-batches and ranks, and the gradient does not depend on how the batch was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from maskwright.data.batch import Batch
from maskwright.errors import RecipeError
from maskwright.evaluation.ruler import Tally
from maskwright.masking.columns import Column, named
from maskwright.masking.noise import mixed_seed
from maskwright.masking.weights import Live
from maskwright.objectives import Objective
from maskwright.training.optimizers import OptimizerRecipe
from maskwright.training.schedules import Schedule

LiveState = tuple[Live, str | Column]  # state that training moves, and the column that it looks at


class Pretraining(L.LightningModule):
    """Trains one objective. `training_step` returns what a step measured, as detached tensors and numbers:

    loss and loss/<term>; <name> for terms of weight 0; rate, achieved_rate; tokens (real, over all ranks); grad_norm;
    lr/<group>.
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
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.objective = objective
        self.live = nn.ModuleDict({view: state for view, (state, _) in (live or {}).items()})  # checkpointed
        self._live_columns = {view: named(column) for view, (_, column) in (live or {}).items()}
        self.groups = list(groups)
        self.optimizer_recipe, self.schedule = optimizer, schedule
        self.steps, self.micro_rows, self.dropout_seed, self.clip = steps, micro_rows, dropout_seed, clip
        self.validation: dict[str, float] = {}  # what the last validation measured
        self.validated_at = -1  # after how many steps

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer_recipe.build(self.objective)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        optimizer = self.optimizers()
        assert isinstance(optimizer, L.pytorch.core.optimizer.LightningOptimizer)
        self.schedule.apply(optimizer.optimizer, batch.step, self.steps)
        ranks = self.trainer.world_size
        counted = {name: places.sum(dtype=torch.float64) for name, places in self.objective.where(batch).items()}
        total_T = self._over_ranks(torch.stack(list(counted.values())))
        share = dict(zip(counted, torch.where(total_T > 0, 1 / total_T, 0.0), strict=True))  # an absent term is 0
        sums = {name: torch.zeros_like(total_T[0]) for name in counted}
        moved: dict[str, Tensor] = {}

        micro_batches = list(batch.micro_batches(self.micro_rows))
        for number, micro in enumerate(micro_batches):
            torch.manual_seed(mixed_seed(self.dropout_seed, batch.step, number, self.global_rank))
            last = number == len(micro_batches) - 1
            with nullcontext() if last or ranks == 1 else self.trainer.strategy.block_backward_sync():  # type: ignore[attr-defined]
                loss = self._loss(micro, share, sums, moved)
                self.manual_backward(
                    loss * ranks
                )  # the strategy averages gradients over ranks; denominators are global
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
        return norm.detach()

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
        masked = [(view.outcome_BL > 0).sum() for view in batch.views.values()] or [torch.zeros((), device=self.device)]
        rates = [view.rate_B.mean() for view in batch.views.values()] or [torch.zeros((), device=self.device)]
        maskable = [view.maskable_BL.sum() for view in batch.views.values()] or masked
        valid_BL = batch.rows["document"] > 0
        facts = torch.stack([valid_BL.sum().double(), masked[0].double(), maskable[0].double(), *sums.values()])
        tokens, selected, candidates, *totals = self._over_ranks(facts)
        values = {name: total * share[name] for name, total in zip(sums, totals, strict=True)}
        weights = self.objective.weights
        measured: dict[str, Any] = {
            (f"loss/{name}" if weights[name] else name): value for name, value in values.items()
        }
        measured["loss"] = sum(weights[name] * value for name, value in values.items())
        if batch.views:
            measured["rate"], measured["achieved_rate"] = rates[0], selected / candidates.clamp(min=1)
        measured |= {"tokens": tokens, "grad_norm": grad_norm}
        measured |= {f"lr/{group['name']}": group["lr"] for group in optimizer.param_groups}
        return measured

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
                parts = [(value * where[name]).flatten(1).sum(1), where[name].flatten(1).sum(1)]
                part_2B = torch.stack(parts).double()
                self._heldout.setdefault(name, []).append(part_2B.sum(1))
                for number, group in enumerate(self.groups):
                    there_B = micro.rows["group"] == number
                    self._heldout.setdefault(f"{name}/{group}", []).append((part_2B * there_B).sum(1))

    def on_validation_epoch_end(self) -> None:
        results: dict[str, float] = {}
        for name, parts in self._heldout.items():
            total, count = self._over_ranks(torch.stack(parts).sum(0)).tolist()
            results[f"heldout/{name}"] = total / max(count, 1)
        for prefix, tally in self._rulers.items():
            for name, value in tally.result(self._over_ranks(tally.sums_4)).items():
                results[f"{prefix}/{name}"] = value
        self.validation, self.validated_at = results, self.global_step
        self._refuse_nan(results)

    def _refuse_nan(self, results: Mapping[str, float]) -> None:
        broken = [name for name, value in results.items() if value != value]
        if broken:
            raise RecipeError(
                f"{broken[0]} is not a number at step {self.global_step}; lower optimizer.lr, or set "
                "trainer.clip=1 and hardware.precision=32, and start again (the checkpoints before it are kept)."
            )
