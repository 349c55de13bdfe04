"""MC3-18: a residual network whose first convolutions see time and whose others see frames only.

Tran et al., "A closer look at spatiotemporal convolutions", CVPR 2018, as torchvision builds it; in stages of 3, 10
and 12 frames, whose predictions are averaged, with the first layers frozen where they come from Kinetics (DeepWisdom,
"AutoDL Self-Service" slides, video domain; after AutoCLINT, Baek et al. 2019).
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import nn

from automl_engine.dataset.spec import Spec
from automl_engine.models.shared.vision import local_weights, torchvision
from automl_engine.models.video.network import VideoNetwork

resnet = torchvision("models.video.resnet")
PRETRAINED_WIDTH = 64


class MixedConvolutions(nn.Module):
    """torchvision's ``mc3_18`` at any width; its names, so that its weights fit."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(width), nn.ReLU()
        )
        self.layer1 = _layer(width, width, 1, resnet.Conv3DSimple)
        self.layer2 = _layer(width, 2 * width, 2, resnet.Conv3DNoTemporal)
        self.layer3 = _layer(2 * width, 4 * width, 2, resnet.Conv3DNoTemporal)
        self.layer4 = _layer(4 * width, 8 * width, 2, resnet.Conv3DNoTemporal)
        self.fc = nn.Linear(8 * width, classes)
        self.frozen = False

    def freeze(self) -> None:
        """The first two layers learn no more, nor do their batch statistics."""
        self.frozen = True
        self.stem.requires_grad_(False)
        self.layer1.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.stem.eval()
            self.layer1.eval()
        return self

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        seen = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(clips)))))
        return self.fc(seen.mean((2, 3, 4)))


def _layer(inputs: int, outputs: int, stride: int, convolution: Any) -> nn.Sequential:
    """Two residual blocks."""
    shortcut = None
    if stride > 1 or inputs != outputs:
        strides = convolution.get_downsample_stride(stride)
        shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, strides, bias=False), nn.BatchNorm3d(outputs))
    return nn.Sequential(
        resnet.BasicBlock(inputs, outputs, convolution, stride, shortcut),
        resnet.BasicBlock(outputs, outputs, convolution),
    )


class VideoMc3(VideoNetwork):
    """Params: those of ``VideoNetwork``; ``width`` is 64 where there are pretrained weights."""

    name: ClassVar[str] = "video_mc3"
    stages: ClassVar[tuple[int, ...]] = (3, 10, 12)

    weights: ClassVar[str] = "mc3_18"
    wanted: ClassVar[str] = "MC3-18 (Kinetics-400)"

    def __init__(self, spec: Spec, **params: Any) -> None:
        wide = {"width": PRETRAINED_WIDTH} if local_weights(self.weights) else {}
        super().__init__(spec, **{**wide, **params})

    @property
    def pretrained(self) -> bool:
        return super().pretrained and self.params.get("width") == PRETRAINED_WIDTH

    @classmethod
    def clip_network(cls, config: dict[str, Any]) -> nn.Module:
        network = MixedConvolutions(config["width"], config["classes"])
        weights = local_weights(cls.weights) if config["pretrained"] else None
        if weights:
            network.load_state_dict({**weights, "fc.weight": network.fc.weight, "fc.bias": network.fc.bias})
            for module in network.modules():
                if isinstance(module, nn.BatchNorm3d):
                    nn.init.zeros_(module.bias)
            network.freeze()
        return network
