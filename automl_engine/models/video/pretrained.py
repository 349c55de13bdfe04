"""A linear model on what a frozen, pretrained network sees in a few frames, and how that changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from automl_engine.models.configuration import WEIGHTS
from automl_engine.models.image.pretrained import ColourNetwork, Head, ImagePretrained
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.pretrained import NETWORKS

FRAMES = 8


class OverTime(nn.Module):
    """(n, 3 × frames, H, W) -> (n, 2 D): means over time of what the backbone sees, and of how much it changes."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return over_time(self.backbone, clips)


def over_time(see: Callable[[torch.Tensor], torch.Tensor], clips: torch.Tensor) -> torch.Tensor:
    frames = clips.reshape(-1, 3, *clips.shape[2:])
    seen = see(frames).reshape(clips.shape[0], clips.shape[1] // 3, -1)
    return torch.cat([seen.mean(1), (seen[:, 1:] - seen[:, :-1]).abs().mean(1)], 1)


class VideoPretrained(ImagePretrained):
    """Params: those of ``ImagePretrained`` but ``enlarge``, and ``frames`` (two or more)."""

    name = "video_pretrained"
    default = WEIGHTS[name]
    feature = "frames"

    @property
    def frames(self) -> int:
        return self.params.get("frames", FRAMES)

    @classmethod
    def around(cls, backbone: nn.Module, config: dict[str, Any]) -> ColourNetwork:
        name = config["trunk"]
        body = nn.Sequential(OverTime(backbone), Head(2 * NETWORKS[name].features, config["classes"]))
        frames = config["feature_params"]["frames"]
        return ColourNetwork(name, body, config["shape"][2], config["multi_label"], frames)

    def feature_params(self, side: int) -> dict[str, Any]:
        return {"size": side, "frames": self.frames}

    def trunk(self, network: PixelNetwork[nn.Sequential]) -> nn.Module:
        frames = network.body[0]
        assert isinstance(frames, OverTime)
        return frames.backbone

    def through(self, see: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        return over_time(see, inputs)
