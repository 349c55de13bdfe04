"""Fine-tuning: a pretrained network goes on learning, its last layers first and then all.

After Howard & Ruder, "Universal language model fine-tuning for text classification", ACL 2018: layers thaw from the
last to the first, and the rate falls with the depth.  Batch normalisation is folded into the convolutions: it stays
what it is in evaluation mode.  An average of the weights predicts.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F

from automl_engine import clock
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.residual import move_towards
from automl_engine.models.shared.workload import workload

RATE, DECAY = 5e-4, 1e-2
PARTS, FALL = 4, 0.4
"""The layers fall into so many parts, each with this fraction of the rate of the next."""
LAST_PART_SHARE = 0.3
"""Of the time, in which only the last part learns, and the last layer."""
WARM_UP_STEPS = 10
PASSES = 60
BATCH = 32
SLOWEST_AVERAGE = 0.02


class FineTuning:
    """A network that learns step by step, in ``time_s`` or ``PASSES`` passes."""

    def __init__(
        self,
        network: PixelNetwork,
        images: torch.Tensor,
        labels: torch.Tensor,
        flips: list[int],
        time_s: float,
        rate: float = RATE,
    ) -> None:
        """
        Args:
            network: its body is a trunk and a last layer; it is changed.
            images: (n, H, W, C) uint8.
            labels: (n, K) float32.
            flips: the axes (2, 3) along which mirroring does no harm.
        """
        self.network, self.average = network, copy.deepcopy(network)
        self.images, self.labels, self.flips, self.rate = images, labels, flips, rate
        trunk, last = network.body
        layers = list(trunk.parameters())
        size = -(-len(layers) // PARTS)
        parts = [list(last.parameters()), *(layers[max(0, at - size) : at] for at in range(len(layers), 0, -size))]
        rates = [1.0, *(FALL**depth for depth in range(len(parts) - 1))]
        self.groups = [{"params": part, "share": share} for part, share in zip(parts, rates, strict=True)]
        for depth, part in enumerate(parts):
            for tensor in part:
                tensor.requires_grad_(depth < 2)
        self.optimiser = torch.optim.AdamW(self.groups, lr=0.0, weight_decay=DECAY)
        self.start_s, self.time_s, self.steps, self.order = clock.now_s(), time_s, 0, torch.empty(0, dtype=torch.long)

    @property
    def fraction(self) -> float:
        """0 at the start, 1 at the end."""
        passes = self.steps * BATCH / len(self.images)
        return min(1.0, max(passes / PASSES, (clock.now_s() - self.start_s) / max(self.time_s, 1e-3)))

    @property
    def is_partial(self) -> bool:
        """Whether only the last part learns yet."""
        return self.fraction < LAST_PART_SHARE

    def step(self, name: str) -> None:
        """One batch; ``name``: by which the clock knows the model."""
        if not len(self.order):
            self.order = torch.randperm(len(self.images))
        chosen, self.order = self.order[:BATCH], self.order[BATCH:]
        operation = f"{name} step{' of the last layers' * self.is_partial}"
        with clock.work(operation, lambda: workload(self.network, self.images[:1], len(chosen))):
            self._learn(chosen)
            move_towards(self.average, self.network, max(SLOWEST_AVERAGE, 1 / (2 + self.steps / 4)))

    def _learn(self, chosen: torch.Tensor) -> None:
        fraction = self.fraction
        for group in self.optimiser.param_groups:
            cosine = 0.5 * (1 + math.cos(math.pi * fraction))
            group["lr"] = self.rate * group["share"] * cosine * min(1.0, (self.steps + 1) / WARM_UP_STEPS)
        if not self.is_partial:
            self.network.body.requires_grad_(True)
        device = self.network.mean.device
        images, labels = self.images[chosen].to(device), self.labels[chosen].to(device)
        logits = self.network.body(moved(self.network.standardise(images), self.flips))
        if self.network.multi_label:
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        else:
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.steps += 1


def moved(inputs: torch.Tensor, flips: list[int]) -> torch.Tensor:
    """(n, C, H, W), each shifted by up to an eighth of the side and mirrored by chance along ``flips``."""
    height, width = inputs.shape[2:]
    reach = height // 8
    padded = F.pad(inputs, (reach,) * 4, mode="reflect")
    places = torch.randint(0, 2 * reach + 1, (len(inputs), 2)).tolist()
    crops = [image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, places, strict=True)]
    mirrors = torch.rand(len(inputs), len(flips)) < 0.5
    for i, mirror in enumerate(mirrors.tolist()):
        crops[i] = crops[i].flip([axis - 1 for axis, yes in zip(flips, mirror, strict=True) if yes])
    return torch.stack(crops)
