"""EfficientNet-Lite: EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation, with ReLU6 for swish.

The layers carry the names of the published weights (those of EfficientNet-PyTorch).  Those were trained in TensorFlow,
whose padding is explicit here: where a stride halves the image, one pixel more at the bottom and on the right.  That is
exact where the sides of the image are multiples of 32.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from automl_engine.models.shared.graphs import Graph

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first, expansion, channels; the first and the last stage keep their depth, whatever
the size of the network."""
STEM, FEATURES, NORM_EPS = 32, 1280, 1e-3


class Block(nn.Module):
    """An inverted residual (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = expansion * inputs
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            layers["_expand_conv"] = nn.Conv2d(inputs, inner, 1, bias=False)
            layers["_bn0"] = nn.BatchNorm2d(inner, NORM_EPS)
            layers["expanded"] = nn.ReLU6(inplace=True)
        if stride > 1:
            layers["padded"] = _same_padding(kernel, stride)
        padding = kernel // 2 if stride == 1 else 0
        layers["_depthwise_conv"] = nn.Conv2d(inner, inner, kernel, stride, padding, groups=inner, bias=False)
        layers["_bn1"] = nn.BatchNorm2d(inner, NORM_EPS)
        layers["filtered"] = nn.ReLU6(inplace=True)
        layers["_project_conv"] = nn.Conv2d(inner, outputs, 1, bias=False)
        layers["_bn2"] = nn.BatchNorm2d(outputs, NORM_EPS)
        self.conv = nn.Sequential(layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return seen + self.conv(seen) if self.adds else self.conv(seen)


def layers(width: float, depth: float) -> nn.Sequential:
    """(n, 3, H, W) -> (n, ``FEATURES``, H / 32, W / 32), untrained.

    Args:
        width: of the channels, in those of Lite0.
        depth: of the stages, in that of Lite0.
    """
    blocks, inputs = [], STEM
    for number, (count, kernel, stride, expansion, channels) in enumerate(STAGES):
        outputs, inner = _multiple_of_8(width * channels), 0 < number < len(STAGES) - 1
        for first in (i == 0 for i in range(math.ceil(depth * count) if inner else count)):
            blocks.append(Block(inputs, outputs, expansion, kernel, stride if first else 1))
            inputs = outputs
    return nn.Sequential(
        OrderedDict(
            padded=_same_padding(3, 2),
            _conv_stem=nn.Conv2d(3, STEM, 3, 2, bias=False),
            _bn0=nn.BatchNorm2d(STEM, NORM_EPS),
            begun=nn.ReLU6(inplace=True),
            _blocks=nn.Sequential(*blocks),
            _conv_head=nn.Conv2d(inputs, FEATURES, 1, bias=False),
            _bn1=nn.BatchNorm2d(FEATURES, NORM_EPS),
            ended=nn.ReLU6(inplace=True),
        )
    )


def load(network: nn.Sequential, state: dict[str, torch.Tensor]) -> None:
    """The published weights, without those of the last layer, which names ImageNet's classes."""
    backbone = {key: value for key, value in state.items() if not key.startswith("_fc.")}
    network.load_state_dict({re.sub(r"^(_blocks\.\d+)", r"\1.conv", key): value for key, value in backbone.items()})


def graph(network: nn.Module) -> bytes:
    """ONNX of a folded network: input "pixels" (n, 3, H, W), output "seen" (n, ``FEATURES``).

    ONNX Runtime takes a third of the time of torch (docs/results.md); ``torch.onnx.export`` takes more than a second.
    """
    graph = Graph(pixels=(np.float32, ["n", 3, "height", "width"]))
    padding = [0, 0, 0, 0]

    def walk(layer: nn.Module, seen: str) -> str:
        nonlocal padding
        match layer:
            case nn.ZeroPad2d(padding=(left, right, top, bottom)):
                padding = [top, left, bottom, right]  # for the convolution that follows
            case nn.Conv2d(padding=(high, wide), bias=torch.Tensor() as bias):
                pads, padding = [a + b for a, b in zip(padding, 2 * (high, wide), strict=True)], [0, 0, 0, 0]
                arrays = layer.weight.detach().cpu().numpy(), bias.detach().cpu().numpy()
                return graph.add("Conv", seen, *arrays, pads=pads, strides=layer.stride, group=layer.groups)
            case nn.ReLU6():
                return graph.add("Clip", seen, 0.0, 6.0)
            case Block(conv=conv, adds=adds):
                found = walk(conv, seen)
                return graph.add("Add", seen, found) if adds else found
            case nn.AdaptiveAvgPool2d():
                return graph.add("GlobalAveragePool", seen)
            case nn.Flatten():
                return graph.add("Flatten", seen)
            case nn.Sequential():
                for part in layer:
                    seen = walk(part, seen)
            case _:
                raise TypeError(f"a {type(layer).__name__} has no place in the graph")
        return seen

    walk(network, "pixels")
    return graph.model("seen", FEATURES).SerializeToString()


def _same_padding(kernel: int, stride: int) -> nn.ZeroPad2d:
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return nn.ZeroPad2d((before, after, before, after))


def _multiple_of_8(channels: float) -> int:
    """The nearest, but at least nine tenths of ``channels``."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near
