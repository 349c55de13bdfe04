"""Training images in memory: which of them a network learns from, and what is done to a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from automl_engine.models.shared import augment
from automl_engine.models.shared.network import PixelNetwork

HELD_OUT, MOST_HELD_OUT = 0.2, 250
"""Fraction of the training examples, and their number at most, that the network does not see until augmentations have
been searched on them."""


@dataclass(eq=False)
class ImageBatches:
    """Images, their labels, and how they are augmented."""

    images: torch.Tensor
    """(N, H, W, C) uint8."""
    labels: torch.Tensor
    """(N, K)."""
    move: Callable[[torch.Tensor], torch.Tensor]
    """What is done to standardised images (n, C, H, W), whatever else is."""
    distort: str = "shift"
    """"shift": no more; "faa": the ``policy`` that was found."""
    mixup: float = 0.0
    """Concentration of the shares of two mixed examples; 0: they are not mixed."""
    policy: list[augment.SubPolicy] = field(default_factory=list)
    seen: torch.Tensor = field(init=False)
    held_out: torch.Tensor = field(init=False)
    """Positions of the images that the network learns from, and of those kept for the search."""

    def __post_init__(self) -> None:
        count = len(self.images)
        order = torch.randperm(count, device=self.images.device)
        held = min(MOST_HELD_OUT, int(HELD_OUT * count)) if self.distort == "faa" else 0
        self.held_out, self.seen = order[:held], order[held:]

    def shuffled(self, size: int) -> list[torch.Tensor]:
        """All that is seen once, in random order: positions of ``size`` images each."""
        order = self.seen[torch.randperm(len(self.seen), device=self.images.device)]
        return list(order[: max(1, len(order) // size) * size].split(size))

    def batch(self, network: PixelNetwork[Any], chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs for the network's body, augmented, and labels."""
        inputs, labels = self.move(network.standardise(self._distorted(self.images[chosen]))), self.labels[chosen]
        return augment.mixed(inputs, labels, self.mixup) if self.mixup else (inputs, labels)

    def end_search(self, policy: list[augment.SubPolicy]) -> None:
        """Use what was found, and let the network see all images."""
        self.policy = policy
        self.seen, self.held_out = torch.arange(len(self.images), device=self.images.device), self.held_out[:0]

    def _distorted(self, images: torch.Tensor) -> torch.Tensor:
        """(n, H, W, C) uint8 -> the same in float32 under the policy, if there is one."""
        if not self.policy:
            return images
        planes = images.permute(0, 3, 1, 2).float()
        return augment.apply(self.policy, planes).permute(0, 2, 3, 1)
