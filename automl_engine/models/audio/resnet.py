"""Sound: the residual network of ``image/resnet.py`` on log-mel pictures.

Augmented by small shifts in time and pitch and by masks over time and bands (Park et al. 2019, "SpecAugment").
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from automl_engine.dataset.examples import Examples
from automl_engine.features.audio import picture_frames
from automl_engine.models.image.resnet import ImageResnet

PITCH_REACH = 2  # a sound is moved up or down by so many bands at most
MASK_SHARE = 8  # a mask covers up to 1 / 8 of its axis


class AudioResnet(ImageResnet):
    """Params: ``frames`` (of 10 ms, the width of the picture; chosen from the data if absent), those of ImageResnet."""

    name = "audio_resnet"
    feature: ClassVar[str] = "mel_picture"
    may_mirror = False

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        return {"frames": self.params.get("frames") or picture_frames(split)}

    def _augment(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 1, bands, frames), standardised: shifted, then masked with the mean."""
        n, _, bands, frames = inputs.shape
        device = inputs.device
        reach = frames // 8
        padded = F.pad(inputs, (reach, reach, PITCH_REACH, PITCH_REACH), mode="replicate")[:, 0]
        rows = torch.randint(0, 2 * PITCH_REACH + 1, (n, 1), device=device) + torch.arange(bands, device=device)
        columns = torch.randint(0, 2 * reach + 1, (n, 1), device=device) + torch.arange(frames, device=device)
        moved = padded[torch.arange(n, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]
        moved = moved * _mask(n, bands, device)[:, :, None] * _mask(n, frames, device)[:, None, :]
        return moved[:, None].contiguous(memory_format=torch.channels_last)


def _mask(n: int, length: int, device: torch.device) -> torch.Tensor:
    """(n, length) of ones with one run of zeros of random place and length."""
    size = torch.randint(0, length // MASK_SHARE + 1, (n, 1), device=device)
    start = (torch.rand(n, 1, device=device) * (length - size)).long()
    span = torch.arange(length, device=device)
    return ((span < start) | (span >= start + size)).float()
