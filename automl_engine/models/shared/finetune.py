"""Fine-tuning: a pretrained network goes on learning, its last layers first and then all.

After Howard & Ruder, "Universal language model fine-tuning for text classification", ACL 2018: layers thaw from the
last to the first, and the rate falls with the depth.  Batch normalisation is folded into the convolutions: it stays
what it is in evaluation mode.  An average of the weights predicts.
"""

from __future__ import annotations

import copy
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.models.shared.batches import ImageBatches
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.trainer import Trainer, classification_loss
from automl_engine.models.shared.workload import workload

RATE, DECAY = 1e-4, 1e-2
PARTS, FALL = 4, 0.4
"""Number of parts of the layers, and the rate of each as a fraction of the rate of the next."""
LAST_PART_SHARE = 0.3
"""Fraction of the time in which only the last part learns, and the last layer."""
WARM_UP_STEPS = 10
PASSES = 12
BATCH = 32
SLOWEST_AVERAGE = 0.02


class FineTuning:
    """A network that learns step by step, in ``time_s`` or ``PASSES`` passes."""

    def __init__(
        self,
        network: PixelNetwork[nn.Sequential],
        images: torch.Tensor,
        labels: torch.Tensor,
        flips: list[int],
        time_s: float,
        name: str,
        rate: float = RATE,
    ) -> None:
        """
        Args:
            network: its body is a backbone and a last layer; it is changed.
            images: (n, H, W, C) uint8.
            labels: (n, K) float32.
            flips: the axes (2, 3) along which mirroring does no harm.
            name: by which the clock knows the model.
        """
        self.network, self.average, self.name, self.rate = network, copy.deepcopy(network), name, rate
        self.start_s, self.time_s = clock.now_s(), time_s
        self.images = ImageBatches(images, labels, partial(moved, flips=flips))
        self.waiting: list[torch.Tensor] = []
        backbone, last = network.body
        layers = list(backbone.parameters())
        size = -(-len(layers) // PARTS)
        parts = [list(last.parameters()), *(layers[max(0, at - size) : at] for at in range(len(layers), 0, -size))]
        for depth, part in enumerate(parts):
            for tensor in part:
                tensor.requires_grad_(depth < 2)
        groups = [{"params": part, "share": FALL ** max(0, depth - 1)} for depth, part in enumerate(parts)]
        self.trainer = Trainer(
            network,
            network.body,
            classification_loss(network.multi_label, smoothing=0.1),
            torch.optim.AdamW(groups, lr=0.0, weight_decay=DECAY),
            self,
            batch=partial(self.images.batch, network),
            operation=name,
            amounts=lambda chosen: workload(network, images[:1], len(chosen)),
            average=self.average,
            average_share=SLOWEST_AVERAGE,
        )

    @property
    def fraction(self) -> float:
        """0 at the start, 1 at the end."""
        passes = self.trainer.steps * BATCH / len(self.images.images)
        return min(1.0, max(passes / PASSES, (clock.now_s() - self.start_s) / max(self.time_s, 1e-3)))

    @property
    def is_partial(self) -> bool:
        """Whether only the last part learns yet."""
        return self.fraction < LAST_PART_SHARE

    def at(self, step: int) -> float:
        """The learning rate of the last layers."""
        return self.rate * 0.5 * (1 + math.cos(math.pi * self.fraction)) * min(1.0, (step + 1) / WARM_UP_STEPS)

    def step(self) -> None:
        self.waiting = self.waiting or self.images.shuffled(BATCH)
        partial_step = self.is_partial
        if not partial_step:
            self.network.body.requires_grad_(True)
        self.trainer.operation = f"{self.name} step{' of the last layers' * partial_step}"
        self.trainer.step(self.waiting.pop())


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
    return torch.stack(crops).contiguous(memory_format=torch.channels_last)
