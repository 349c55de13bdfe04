"""An EfficientNet on every frame, and the mean over frames.

The first method of the Freiburg team for AutoCV2 ("Meta-learning for image/video classification", section 4,
equation 2: a simple averaging layer was as good as others and the fastest to train); the network is EfficientNet-B0
(Tan & Le, ICML 2019) where its ImageNet weights are on this machine, else a much smaller one of the same blocks.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from automl_engine.models.shared.vision import local_weights, torchvision
from automl_engine.models.video.network import VideoNetwork

efficientnet = torchvision("models.efficientnet")
SMALL = ((1, 3, 1, 16, 16, 1), (4, 3, 2, 16, 24, 2), (4, 5, 2, 24, 48, 2))
"""Stages: expansion, kernel, stride, channels in, channels out, blocks."""
DROPOUT = 0.2


class FrameMean(nn.Module):
    """(N, 3, frames, H, W) -> logits (N, K), the mean of what ``network`` says of each frame."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        count, channels, frames, height, width = clips.shape
        images = clips.transpose(1, 2).reshape(count * frames, channels, height, width)
        return self.network(images).reshape(count, frames, -1).mean(1)


class VideoFrames(VideoNetwork):
    """Params: those of ``VideoNetwork``."""

    name: ClassVar[str] = "video_frames"
    stages: ClassVar[tuple[int, ...]] = (4,)

    weights: ClassVar[str] = "efficientnet_b0"
    wanted: ClassVar[str] = "EfficientNet-B0 (ImageNet)"

    @classmethod
    def clip_network(cls, config: dict[str, Any]) -> nn.Module:
        if not config["pretrained"]:
            blocks = [efficientnet.MBConvConfig(*stage) for stage in SMALL]
            return FrameMean(efficientnet.EfficientNet(blocks, DROPOUT, num_classes=config["classes"]))
        network = efficientnet.efficientnet_b0(num_classes=config["classes"])
        weights = local_weights(cls.weights) or {}
        network.load_state_dict({**network.state_dict(), **{k: v for k, v in weights.items() if "classifier" not in k}})
        return FrameMean(network)
