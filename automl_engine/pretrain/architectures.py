"""The networks that can be pretrained; a new one is a function here and a line in ``ARCHITECTURES``.

A trunk takes standardised images (n, C, H, W) and returns (n, features); its state is what the rows of the portfolio
take over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from automl_engine.models.image_autoclint import resnet9
from automl_engine.models.image_resnet import SMALL_SIDE, residual_network
from automl_engine.models.vision import torchvision


class Stems(nn.Module):
    """The trunk of ``image_resnet``: one body behind a stem for small images and one for larger ones."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        small, large = (residual_network(channels, 1, side, width) for side in (SMALL_SIDE, SMALL_SIDE + 1))
        self.small, self.large, self.body = small[0], large[0], small[1:-1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.small if max(images.shape[2:]) <= SMALL_SIDE else self.large
        return self.body(stem(images))


def _resnet18(channels: int) -> nn.Module:
    network = torchvision().resnet18(weights=None)
    network.fc = nn.Identity()
    if channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return network


class Architecture(NamedTuple):
    build: Callable[[int], nn.Module]
    """From the number of channels."""
    sides: tuple[int, ...]
    """Of the images of a batch, in turn."""


ARCHITECTURES = {
    "resnet_small": Architecture(partial(Stems, width=24), (32, 64, 24, 48)),
    "resnet_medium": Architecture(partial(Stems, width=40), (32, 64, 24, 48)),
    "resnet9": Architecture(lambda channels: resnet9(channels, 64, lambda features: nn.Identity()), (64,)),
    "resnet18": Architecture(_resnet18, (64,)),
}
