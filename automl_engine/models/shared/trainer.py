"""Gradient descent, step by step: one trainer for all networks.

A ``Trainer`` joins a network and what teaches it: a loss, an optimiser, a learning rate schedule, batches (augmented
when they are gathered) and an average of the weights, which predicts well at every moment.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.models.shared.device import Pace
from automl_engine.models.shared.workload import passing

FIRST_CYCLE_PASSES = 50
FIRST_CYCLE_S = 40.0
MOST_CYCLES = 4
LONGER = 2.0
"""Length of a cycle, by that of the cycle before."""

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(logits, labels) -> one number."""


class LearningRate(Protocol):
    def at(self, step: int) -> float:
        """The learning rate of this step, counted from 0."""


@dataclass(eq=False)
class Trainer:
    """A network that learns."""

    network: nn.Module
    logits: Callable[[torch.Tensor], torch.Tensor]
    """What the network returns before softmax or sigmoid."""
    loss: Loss
    optimiser: torch.optim.Optimizer
    """A group of parameters may have a ``share`` of the rate."""
    rate: LearningRate
    batch: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    """Inputs, augmented, and labels of the examples at these positions."""
    operation: str
    """By which the clock knows a step."""
    amounts: Callable[[torch.Tensor], clock.Amounts]
    """For the clock: how much work a step with the examples at these positions is."""
    half: bool = False
    """Whether the network computes in bfloat16."""
    average: nn.Module | None = None
    """A copy of the network that gets the exponential average of its weights and batch statistics."""
    average_share: float = 1.0
    """How far the average moves towards the network in a step, at least; it moves farther in the first steps."""
    steps: int = 0
    pace: Pace = field(default_factory=Pace)

    def step(self, chosen: torch.Tensor) -> torch.Tensor:
        """Learn from the examples at these positions; returns their loss."""
        rate = self.rate.at(self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        with clock.work(self.operation, lambda: self.amounts(chosen)):
            loss = self.pace(lambda: self._descend(chosen))
            if self.average is not None:
                move_towards(self.average, self.network, max(self.average_share, 1 / (1 + self.steps / 4)))
        return loss

    def _descend(self, chosen: torch.Tensor) -> torch.Tensor:
        self.network.train()
        inputs, labels = self.batch(chosen)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.half):
            logits = self.logits(inputs).float()
        loss = self.loss(logits, labels)
        loss.backward()
        take_step(self.optimiser)
        self.steps += 1
        return loss.detach()


_PLAIN = inspect.unwrap(torch.optim.Optimizer.add_param_group)
setattr(_PLAIN, "__dynamo_disable", _PLAIN)  # else it imports torch._dynamo, too


def take_step(optimiser: torch.optim.Optimizer) -> None:
    """As ``optimiser.step()`` and ``zero_grad()``, without their wrappers for torch.compile, which import
    torch._dynamo: that takes as long as torch."""
    with torch.no_grad():
        inspect.unwrap(type(optimiser).step)(optimiser)
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


class Cycles:
    """Cosine cycles on the clock, after a warm-up: the first takes ``FIRST_CYCLE_PASSES`` passes or ``FIRST_CYCLE_S``,
    each next ``LONGER`` times as long (Loshchilov & Hutter, "SGDR", ICLR 2017).

    A cycle that would leave less than half of itself takes the rest of the time too.
    """

    def __init__(self, highest: float) -> None:
        self.highest, self.warm_up_steps = highest, 1
        self.number, self.passes = 0, 0
        self.first_pass_s = self.start_s = self.length_s = 0.0

    @property
    def fraction(self) -> float:
        """0 at the start of the cycle, 1 at its end."""
        return min(1.0, (clock.now_s() - self.start_s) / max(self.length_s, 1e-3))

    def at(self, step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * self.fraction)) if self.number else 1.0
        return self.highest * (cosine * min(1.0, (step + 1) / self.warm_up_steps))

    def is_over(self) -> bool:
        """Whether the next cycle is due; the first begins once a pass has shown how long passes take."""
        return self.number == 0 or self.fraction >= 1

    def advance(self, stop_s: float) -> bool:
        """Begin the next cycle, unless all cycles are done or there is hardly time for another: False."""
        remaining_s = stop_s - clock.now_s()
        pass_s = (clock.now_s() - self.first_pass_s) / max(1, self.passes)
        wanted_s = LONGER * self.length_s or max(FIRST_CYCLE_PASSES * pass_s, FIRST_CYCLE_S)
        if self.number and (remaining_s < 2 * pass_s or self.number == MOST_CYCLES):
            return False
        self.number += 1
        self.length_s = remaining_s if remaining_s < 1.5 * wanted_s else wanted_s
        self.start_s = clock.now_s()
        return True


@dataclass
class Decay:
    """Falls to zero by the last step, or when the time is up."""

    highest: float
    steps: int
    start_s: float
    end_s: float
    warms_up: bool = False
    """Whether it rises over the first tenth."""

    def progress(self, step: int) -> float:
        """0 at the start, 1 at the end."""
        return max(step / self.steps, (clock.now_s() - self.start_s) / max(self.end_s - self.start_s, 1e-3))

    def at(self, step: int) -> float:
        progress = min(1.0, self.progress(step))
        rise = min(1.0, 10 * progress + 0.1) if self.warms_up else 1.0
        return self.highest * rise * (1 - progress)


def classification_loss(multi_label: bool, smoothing: float = 0.0) -> Loss:
    """Cross-entropy: binary, or of a softmax with smoothed labels."""
    return F.binary_cross_entropy_with_logits if multi_label else partial(F.cross_entropy, label_smoothing=smoothing)


@torch.no_grad()
def move_towards(average: nn.Module, network: nn.Module, share: float) -> None:
    """Weights and batch statistics of ``average`` by ``share`` of the way to those of ``network``."""
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    old, new = zip(*((a, b) for a, b in pairs if a.dtype.is_floating_point), strict=True)
    torch._foreach_lerp_(old, new, share)


def half_precision_is_faster(body: nn.Module, inputs: torch.Tensor, name: str) -> bool:
    """Whether a forward and backward pass takes less time under bfloat16 autocast on this processor."""
    trial = {True: f"{name} trial in bfloat16", False: f"{name} trial"}  # operations of the clock
    possible = torch.backends.cpu.get_cpu_capability() == "AVX512"  # others emulate it: a trial takes seconds
    if not possible and not clock.is_virtual():
        return False

    def seconds(enabled: bool) -> float:
        times = []
        for _ in range(3):
            start = clock.now_s()
            with passing(body, inputs, trial[enabled]), torch.autocast("cpu", torch.bfloat16, enabled and possible):
                body(inputs).float().sum().backward()
            times.append(clock.now_s() - start)
        return min(times)

    faster = seconds(True) < seconds(False)
    body.zero_grad(set_to_none=True)
    return possible and clock.knows(_in_half(name)) if clock.is_virtual() else faster


def step_operation(name: str, half: bool) -> str:
    """By which the clock knows a training step: on a virtual clock, in the precision of the reference machine."""
    return _in_half(name) if (clock.knows(_in_half(name)) if clock.is_virtual() else half) else f"{name} step"


def _in_half(name: str) -> str:
    return f"{name} step in bfloat16"
