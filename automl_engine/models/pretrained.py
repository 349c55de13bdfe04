"""Networks that know ImageNet, frozen: where their weights come from, and what they see in an image, computed once.

MobileNetV2 (Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018) as torchvision
builds it, with its batch normalisation folded into the convolutions.  Weights that were converted from TensorFlow
(``*_imagenet.safetensors``) want TensorFlow's padding: their kernels are mirrored left to right, so that it is on the
left and at the bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from automl_engine import clock
from automl_engine.models.image_network import CORES
from automl_engine.models.vision import find_weights, load_weights, torchvision

FEATURES = 1280
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in 0..1, by colour."""
PIECE = 8
"""Images in one forward pass on the processor."""
CONVERTED = "_imagenet"
NETWORKS: dict[str, tuple[float, tuple[str, ...]]] = {
    "mobilenet_v2": (1.0, ("mobilenet_v2_imagenet", "mobilenet_v2-7ebf99e0", "mobilenet_v2-b0353104")),
    "mobilenet_v2_035": (0.35, ("mobilenet_v2_035_imagenet",)),
}
"""Width, and the files (without their ending) that may hold the weights, the first that is there."""


@dataclass(frozen=True)
class Trunk:
    """A frozen network (n, 3, H, W) -> (n, ``FEATURES``) and the file of its weights, if there was one."""

    network: nn.Module
    source: Path | None
    padded: bool
    """In TensorFlow's way."""


def known_weights(name: str) -> Path | None:
    """The file with the weights of ``name`` on this machine, or None."""
    return next((found for file in NETWORKS[name][1] if (found := find_weights(file))), None)


@cache
def trunk(name: str, file: str | None = None) -> Trunk:
    """One of ``NETWORKS`` with the weights that this machine has, else with random ones (the same in each process).

    Args:
        file: a safetensors file whose weights to take instead.
    """
    source = Path(file) if file else known_weights(name)
    padded = source is not None and source.stem.endswith(CONVERTED)
    state = load_weights(source) if source else None
    return Trunk(mobilenet(name, padded, state), source, padded)


def mobilenet(name: str, padded: bool, state: dict[str, torch.Tensor] | None = None) -> nn.Module:
    """The network without its classifier, for inference, with the weights of ``state``."""
    network = torchvision().mobilenet_v2(weights=None, width_mult=NETWORKS[name][0])
    if state is None:
        calibrate(network)
    else:
        network.classifier = nn.Identity()
        network.load_state_dict({key: value for key, value in state.items() if not key.startswith("classifier.")})
    layers = _folded(network.features.eval(), padded)
    return nn.Sequential(layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).requires_grad_(False)


def calibrate(network: nn.Module) -> None:
    """Random weights and the batch statistics that go with them, without which the signal fades from layer to layer."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        network.train()(torch.randn(8, 3, 64, 64))


def _folded(layers: nn.Sequential, padded: bool) -> nn.Sequential:
    """The same function with each batch normalisation in the convolution before it, and with explicit padding."""
    out: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            out[-1] = fuse_conv_bn_eval(out[-1], layer)
            continue
        if isinstance(layer, nn.Sequential):
            layer = _folded(layer, padded)
        elif hasattr(layer, "conv"):  # an inverted residual
            layer.conv = _folded(layer.conv, padded)
        elif padded and isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            out.append(nn.ZeroPad2d((1, 0, 0, 1)))  # left and bottom
            layer.padding = (0, 0)
        out.append(layer)
    return nn.Sequential(*out)


def in_pieces(work: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """``work`` on ``PIECE`` images at a time, each core on its own: no thread waits for another in every layer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(CORES) as pool:
            return torch.cat(list(pool.map(work, images.split(PIECE))))
    finally:
        torch.set_num_threads(threads)


@cache
def seconds_per_image(name: str, side: int) -> float:
    """How long ``name`` takes for one image of ``side`` × ``side`` when all cores work; measured, also a warm-up."""
    images = torch.zeros(CORES * PIECE, 3, side, side)
    network = trunk(name).network

    def work(piece: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(piece)

    start = clock.now_s()
    with clock.work(f"{name} forward", pixels=images.numel()):
        in_pieces(work, images)
    return (clock.now_s() - start) / len(images)


def standard_pixels() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and 1 / deviation of pixels in 0..255, each (1, 3, 1, 1)."""
    mean, deviation = (255 * torch.tensor(np.array(x), dtype=torch.float32).view(1, 3, 1, 1) for x in (MEAN, DEVIATION))
    return mean, 1 / deviation
