"""A frozen masked language model as a classifier: how likely are a class's label words in the slot of a prompt?

Shapes: N prompts, B of a batch, R rows that the network reads, L positions, T trigger tokens, K triggers to compare,
C classes, E width of the embeddings, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskwright.evaluation.heads import logits_at
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.tasks import Example, Task, collate
from maskwright.evaluation.tools import Tools, reading

_LOGITS = 1 << 26  # numbers in one block of logits
_GRADIENT = 8  # what backward needs of a position takes about so many times what forward does


@dataclass(frozen=True)
class Rows:
    """Prompts of one batch."""

    ids_BL: Tensor
    valid_BL: Tensor | None  # None without padding
    trigger_BT: Tensor  # where the trigger tokens stand
    slot_B: Tensor
    target_B: Tensor

    def filled(self, triggers_KT: Tensor) -> Rows:
        """Each trigger in every prompt: K x B prompts, those of one trigger side by side."""
        count, (rows, size) = len(triggers_KT), self.trigger_BT.shape
        place_KBT = self.trigger_BT.expand(count, -1, -1)
        ids_KBL = self.ids_BL.expand(count, -1, -1).scatter(2, place_KBT, triggers_KT[:, None].expand(-1, rows, size))
        valid = None if self.valid_BL is None else self.valid_BL.repeat(count, 1)
        return Rows(
            ids_KBL.flatten(0, 1),
            valid,
            place_KBT.flatten(0, 1),
            self.slot_B.repeat(count),
            self.target_B.repeat(count),
        )


class Prompted:
    """Prompts (examples with the facts `trigger_T` and `slot`) through a network whose weights nothing changes.

    A class is as likely as its label words together: P(class) = sum over its words of P(word in the slot), and the
    loss of a prompt is -log P(its class). words: the tokens of each class, by its number.
    """

    def __init__(self, subject: Subject, task: Task, tools: Tools) -> None:
        self.network, self.pad, self.task, self.tools = subject.network, subject.pad, task, tools
        self.most = max(1, _LOGITS // subject.network.config.vocab_size)  # rows of one forward pass
        self.words: list[Tensor] = []

    def table(self) -> Tensor:
        """What the table of input embeddings gives for every token: [V, E]."""
        table = self.network.hf.get_input_embeddings()
        with torch.no_grad():
            return table(torch.arange(table.num_embeddings, device=self.tools.device))

    def states(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        """What the output embeddings are multiplied with in the slot, float32 [N, E], and the classes [N]; sorted by
        length."""
        kept: list[Tensor] = []
        hook = projection(self.network).register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
        states, targets = [], []
        try:
            with reading(self.network), self.tools.autocast():
                for rows in self._batches(examples, self.tools.batch_positions):
                    self._logits(rows)
                    state = kept.pop()
                    if state.ndim == 3:  # of every position
                        state = state[torch.arange(len(state), device=state.device), rows.slot_B]
                    states.append(state.float().cpu().numpy())
                    targets.append(rows.target_B.cpu().numpy())
        finally:
            hook.remove()
        return np.concatenate(states), np.concatenate(targets)

    def judge(self, examples: Sequence[Example], triggers_KT: Tensor) -> dict[str, np.ndarray]:
        """For each trigger, float64 [K]: `accuracy`, and `likelihood`: the mean of log P(the right class) in nats."""
        total_2K = torch.zeros(2, len(triggers_KT), dtype=torch.float64, device=self.tools.device)
        positions = self.tools.batch_positions
        with reading(self.network), self.tools.autocast():
            for rows in self._batches(examples, positions):
                size = max(1, min(positions // rows.ids_BL.numel(), self.most // len(rows.ids_BL)))
                for first in range(0, len(triggers_KT), size):
                    part = slice(first, first + size)
                    filled = rows.filled(triggers_KT[part])
                    logp_RC = self._class_logp(filled)
                    right_R = logp_RC.argmax(-1) == filled.target_B
                    own_R = logp_RC.gather(1, filled.target_B[:, None])[:, 0]
                    total_2K[:, part] += torch.stack([right_R, own_R]).double().view(2, -1, len(rows.ids_BL)).sum(-1)
        accuracy_K, likelihood_K = (total_2K / len(examples)).cpu().numpy()
        return {"accuracy": accuracy_K, "likelihood": likelihood_K}

    def gradient(self, examples: Sequence[Example], trigger_T: Tensor) -> Tensor:
        """Of the mean loss, with respect to what the table of input embeddings gives at each trigger: [T, E].

        Not with respect to the table itself, whose gradient also holds its use as output embeddings.
        """
        total_TE = torch.zeros((), device=self.tools.device)
        with (
            reading(self.network),
            torch.enable_grad(),
            torch.compiler.set_stance("force_eager"),  # a compiled body would not see the hook
            self.tools.autocast(),
            _embedded(self.network) as leaves,
        ):
            for rows in self._batches(examples, self.tools.batch_positions // _GRADIENT):
                filled = rows.filled(trigger_T[None])
                loss = -self._class_logp(filled).gather(1, filled.target_B[:, None]).sum()
                (gradient_BLE,) = torch.autograd.grad(loss, [leaves.pop()])  # weights gather none
                place_BTE = rows.trigger_BT[..., None].expand(-1, -1, gradient_BLE.shape[-1])
                total_TE = total_TE + gradient_BLE.gather(1, place_BTE).sum(0)
        return total_TE / len(examples)

    def _batches(self, examples: Sequence[Example], positions: int) -> Iterator[Rows]:
        """Prompts of similar length together, at most about `positions` rows x tokens."""
        part: list[Example] = []
        for example in sorted(examples, key=lambda one: len(one.ids_L)):
            if part and ((len(part) + 1) * len(example.ids_L) > positions or len(part) == self.most):
                yield self._rows(part)
                part = []
            part.append(example)
        yield self._rows(part)

    def _rows(self, part: Sequence[Example]) -> Rows:
        batch = collate(self.task, part, self.pad, self.tools.device)
        trigger_BT, slot_B = (
            torch.from_numpy(np.array([example.facts[name] for example in part], dtype=np.int64)).to(self.tools.device)
            for name in ("trigger_T", "slot")
        )
        valid_BL = batch.valid_BL if batch.padded else None
        return Rows(batch.ids_BL, valid_BL, trigger_BT, slot_B, batch.targets["target_B"])

    def _class_logp(self, rows: Rows) -> Tensor:
        """log P of each class: [R, C]."""
        logits_RV = self._logits(rows)
        logits_RV = logits_RV.to(torch.promote_types(logits_RV.dtype, torch.float32))
        own_RC = torch.stack([logits_RV[:, words].logsumexp(-1) for words in self.words], -1)
        return own_RC - logits_RV.logsumexp(-1, keepdim=True)

    def _logits(self, rows: Rows) -> Tensor:
        """Logits [R, V] in the slots."""
        blocks = logits_at(self.network, rows.ids_BL, rows.valid_BL, None, rows.slot_B)
        return torch.cat([logits_RV for _, logits_RV in blocks])


def projection(network: Any) -> Any:
    """The module of the output embeddings, whose `weight` is [V, E]; None where it cannot be told."""
    found = network.hf.get_output_embeddings()
    return found if len(getattr(found, "weight", ())) == network.config.vocab_size else None


@contextmanager
def _embedded(network: Any) -> Iterator[list[Tensor]]:
    """Inside, what the table of input embeddings gives, [B, L, E], is a leaf, which is appended to the list."""
    leaves: list[Tensor] = []

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    hook = network.hf.get_input_embeddings().register_forward_hook(leave)
    try:
        yield leaves
    finally:
        hook.remove()
