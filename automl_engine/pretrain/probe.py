"""What a trunk is worth to real data: a ridge regression on what it sees, frozen.

Only training splits are used, three quarters of each to learn from and one to check on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import open_split
from automl_engine.errors import DataError
from automl_engine.features import feature
from automl_engine.features.audio import picture_frames
from automl_engine.metalearning.samples import data_dir_of
from automl_engine.modality import modality
from automl_engine.models.base import is_multi_label
from automl_engine.models.image_network import input_side
from automl_engine.models.linear import fit_ridge
from automl_engine.scoring import nauc
from automl_engine.splits import fold_numbers, stratified_sample

MOST, BATCH = 2000, 250


class Probe:
    """A data set, as networks see it; asked again and again while a trunk learns."""

    def __init__(self, folder: Path, channels: int) -> None:
        """
        Args:
            channels: that the trunk wants.

        Raises:
            DataError: the folder holds neither images nor sounds, or not what the trunk wants.
        """
        data_dir = data_dir_of(folder)
        split = open_split(data_dir, "train")
        split = split.subset(np.sort(stratified_sample(split.labels, MOST, seed=0)))
        self.name, self.labels = data_dir.stem, split.labels
        self.pixels = torch.from_numpy(_pixels(split, folder))
        if self.pixels.shape[3] == 1:
            self.pixels = self.pixels.expand(-1, -1, -1, channels)
        if self.pixels.shape[3] != channels:
            raise DataError(f"{folder.name} has {self.pixels.shape[3]} channels; this network wants {channels}.")
        self.held_out = fold_numbers(self.labels, 4, seed=0) == 0

    def nauc(self, trunk: nn.Module) -> float:
        """Of the quarter that the ridge did not see."""
        trunk.eval()
        device = next(trunk.parameters()).device
        planes = self.pixels.permute(0, 3, 1, 2)
        sample = planes[:500].float()
        mean, scale = sample.mean((0, 2, 3), keepdim=True), 1 / (sample.std((0, 2, 3), keepdim=True) + 4)
        with torch.inference_mode():
            seen = torch.cat([trunk(((batch - mean) * scale).to(device)).cpu() for batch in planes.split(BATCH)])
        known, multi_label = ~self.held_out, is_multi_label(self.labels)
        head, _ = fit_ridge(seen[known].numpy(), self.labels[known], multi_label)
        return nauc(self.labels[self.held_out], head.predict(seen[self.held_out].numpy()))


def _pixels(split: Examples, folder: Path) -> np.ndarray:
    """(N, H, W, C) uint8."""
    kind = modality(split)[0]
    if kind == "image":
        side = input_side(split)
        return feature("pixels")(split, height=side, width=side)
    if kind == "audio":
        return feature("mel_picture")(split, frames=picture_frames(split))
    raise DataError(f"{folder.name} is {kind}; a probe needs images or sounds.")
