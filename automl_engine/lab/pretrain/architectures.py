"""The networks that can be pretrained; a new one is a function here and a line in ``ARCHITECTURES``.

A backbone takes standardised images (n, C, H, W), or series as images of height 1, and returns (n, features); its state
is what configurations of the portfolio take over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from automl_engine.models.challenge.image_autoclint import resnet9
from automl_engine.models.shared.residual import Stems
from automl_engine.models.shared.vision import torchvision
from automl_engine.models.timeseries.backbone import SeriesStages


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
    """Of the images of a batch, in turn; of series, their lengths."""
    series: bool = False
    """Whether it sees series: pictures of one row, standardised already."""


ARCHITECTURES = {
    "resnet_small": Architecture(partial(Stems, width=24), (32, 64, 24, 48)),
    "resnet_medium": Architecture(partial(Stems, width=40), (32, 64, 24, 48)),
    "resnet9": Architecture(lambda channels: resnet9(channels, 64, lambda features: nn.Identity()), (64,)),
    "resnet18": Architecture(_resnet18, (64,)),
    "series_small": Architecture(SeriesStages, (128, 32, 64, 96), series=True),
}
