"""What a backbone is worth to real data: a ridge regression on what it sees, frozen.

Only training splits are used, three quarters of each to learn from and one to check on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.modality import modality
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.splits import fold_numbers, stratified_sample
from automl_engine.errors import DataError
from automl_engine.features import feature
from automl_engine.features.audio import picture_frames
from automl_engine.features.timeseries import channel_scale, same_length
from automl_engine.metalearning.samples import data_dir_of
from automl_engine.models.base import is_multi_label
from automl_engine.models.shared.linear import fit_ridge
from automl_engine.models.shared.network import input_side
from automl_engine.models.timeseries.backbone import seen_length

MOST, BATCH = 2000, 250


class Probe:
    """A data set, as networks see it; asked again and again while a backbone learns."""

    def __init__(self, folder: Path, channels: int, series: bool = False) -> None:
        """
        Args:
            channels: that the backbone wants.
            series: whether it wants series, each channel as an image of one row.

        Raises:
            DataError: the folder does not hold what the backbone wants.
        """
        data_dir = data_dir_of(folder)
        whole = open_split(data_dir, "train")
        split = whole.subset(np.sort(stratified_sample(whole.labels, MOST, seed=0)))
        self.name, self.labels = data_dir.stem, split.labels
        if series:
            self.planes, self.mean, self.scale = _series(split, folder), torch.zeros(1), torch.ones(1)
        else:
            self.planes = _pixels(split, folder, channels)
            sample = self.planes[:500].float()
            self.mean = sample.mean((0, 2, 3), keepdim=True)
            self.scale = 1 / (sample.std((0, 2, 3), keepdim=True) + 4)
        self.held_out = fold_numbers(self.labels, 4, seed=0) == 0

    def nauc(self, backbone: nn.Module) -> float:
        """Of the quarter that the ridge did not see."""
        backbone.eval()
        device = next(backbone.parameters()).device
        batches = (((batch - self.mean) * self.scale).to(device) for batch in self.planes.split(BATCH))
        with torch.inference_mode():
            seen = torch.cat([backbone(batch).cpu() for batch in batches]).reshape(len(self.labels), -1)
        known, multi_label = ~self.held_out, is_multi_label(self.labels)
        head, _ = fit_ridge(seen[known].numpy(), self.labels[known], multi_label)
        return nauc(self.labels[self.held_out], head.predict(seen[self.held_out].numpy()))


def _pixels(split: Examples, folder: Path, channels: int) -> torch.Tensor:
    """(N, C, H, W) uint8."""
    kind = modality(split)[0]
    if kind == "image":
        side = input_side(split)
        pixels = feature("pixels")(split, height=side, width=side)
    elif kind == "audio":
        pixels = feature("mel_picture")(split, frames=picture_frames(split))
    else:
        raise DataError(f"{folder.name} is {kind}; this network wants images or sounds.")
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    if planes.shape[1] == 1:
        planes = planes.expand(-1, channels, -1, -1)
    if planes.shape[1] != channels:
        raise DataError(f"{folder.name} has {planes.shape[1]} channels; this network wants {channels}.")
    return planes


def _series(split: Examples, folder: Path) -> torch.Tensor:
    """(N * channels, 1, 1, L) float32, standardised by channel."""
    kind = modality(split)[0]
    if kind != "timeseries":
        raise DataError(f"{folder.name} is {kind}; this network wants series.")
    values = same_length(split, seen_length(split))
    moments = channel_scale(values)
    values = (values - moments["mean"][:, None]) * moments["scale"][:, None]
    return torch.from_numpy(values).flatten(0, 1)[:, None, None]
