"""Networks that were trained before, frozen: where their weights come from, and what they see in an image.

Our own small one knows what formulas draw (``pretrain``).  MobileNetV2 (Sandler et al., "MobileNetV2: inverted
residuals and linear bottlenecks", CVPR 2018) as torchvision builds it knows ImageNet; its batch normalisation is folded
into the convolutions.  Weights that were converted from TensorFlow (``*_imagenet.safetensors``) want TensorFlow's
padding: their kernels are mirrored left to right, so that it is on the left and at the bottom.  EfficientNet-Lite knows
ImageNet, too; its weights come as a Python package.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from automl_engine import clock
from automl_engine.dataset.decode import CORES
from automl_engine.models.shared import efficientnet_lite
from automl_engine.models.shared.residual import MIDDLE, SCALE, Block, Stems
from automl_engine.models.shared.vision import load_weights, torchvision
from automl_engine.weights import known_weights

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of each colour of ImageNet's pixels in 0..1."""
PIECE = 8
"""Images in one forward pass on the processor."""
MEASURED_SIDE = 96
"""Of the images whose time is measured; from 64 to 224 a pixel takes about as long."""
CONVERTED = "_imagenet"
LITE_MOMENTS = (3 * (127 / 255,), 3 * (128 / 255,))
OWN_WIDTH = 24
OWN_MOMENTS = (3 * (MIDDLE / 255,), 3 * (1 / (255 * SCALE),))
State = dict[str, torch.Tensor]


class Known(NamedTuple):
    """A network that may be used frozen."""

    build: Callable[[State | None, bool], nn.Module]
    """From its weights (None: random ones), and whether TensorFlow's padding is wanted; (n, 3, H, W) -> (n, D)."""
    features: int
    """D."""
    moments: tuple[tuple[float, ...], tuple[float, ...]] = MEAN, DEVIATION
    """Of the pixels that it was trained on, in 0..1, by colour."""
    graph: Callable[[nn.Module], bytes] | None = None
    """ONNX of the network, for processors; None: torch does it."""


@dataclass(frozen=True)
class Backbone:
    """A frozen network and the file of its weights, if there was one."""

    network: nn.Module
    source: Path | None
    padded: bool
    """In TensorFlow's way."""
    see: Callable[[torch.Tensor], torch.Tensor]
    """What the network does, (n, 3, H, W) -> (n, D), on the processor by one thread."""


@cache
def backbone(name: str, file: str | None = None) -> Backbone:
    """One of ``NETWORKS`` with the weights that this machine has, else with random ones (the same in each process).

    Args:
        file: a safetensors file whose weights to take instead.
    """
    source = Path(file) if file else known_weights(name)
    padded = source is not None and source.stem.endswith(CONVERTED)
    state = load_weights(source) if source else None
    network, graph = build(name, padded, state), NETWORKS[name].graph
    return Backbone(network, source, padded, _by_onnxruntime(graph(network)) if graph else network)


def _by_onnxruntime(graph: bytes) -> Callable[[torch.Tensor], torch.Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"pixels": images.numpy()})[0])


def build(name: str, padded: bool, state: State | None = None) -> nn.Module:
    """The network without its classifier, for inference, with the weights of ``state``."""
    return NETWORKS[name].build(state, padded).requires_grad_(False).eval()


def _mobilenet(state: State | None, padded: bool, width: float) -> nn.Module:
    network = torchvision().mobilenet_v2(weights=None, width_mult=width)
    if state is None:
        calibrate(network)
    else:
        network.classifier = nn.Identity()
        network.load_state_dict({key: value for key, value in state.items() if not key.startswith("classifier.")})
    layers = _folded(network.features.eval(), padded)
    return nn.Sequential(layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _lite(state: State | None, padded: bool, width: float, depth: float) -> nn.Module:
    layers = efficientnet_lite.layers(width, depth)
    if state is None:
        calibrate(layers)
    else:
        efficientnet_lite.load(layers, state)
    return nn.Sequential(_folded(layers.eval(), padded=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Stages(nn.Module):
    """What our own backbone sees: the means of its first stages, and of the quarters of the image for the last."""

    def __init__(self, stems: Stems) -> None:
        super().__init__()
        self.stems = stems

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stems = self.stems
        seen, stages = stems.stem_for(images)(images), []
        blocks = [block for block in stems.body if isinstance(block, Block)]
        for block in blocks:
            seen = block(seen)
            stages.append(seen)
        first = [F.relu(blocks[i + 1].norm1(stages[i])).mean((2, 3)) for i in (0, 1)]
        last = F.adaptive_avg_pool2d(stems.body[3:5](stages[2]), 2).flatten(1)
        return torch.cat([last, *first], 1)


def _own(state: State | None, padded: bool) -> nn.Module:
    stems = Stems(3, OWN_WIDTH)
    if state is None:
        calibrate(stems)
    else:
        stems.load_state_dict(state)
    return Stages(stems.eval())


NETWORKS = {
    "mobilenet_v2": Known(
        partial(_mobilenet, width=1.0),
        1280,
    ),
    "mobilenet_v2_035": Known(partial(_mobilenet, width=0.35), 1280),
    "efficientnet_lite0": Known(
        partial(_lite, width=1.0, depth=1.0),
        efficientnet_lite.FEATURES,
        LITE_MOMENTS,
        efficientnet_lite.graph,
    ),
    "resnet_small": Known(_own, 4 * 8 * OWN_WIDTH + 6 * OWN_WIDTH, OWN_MOMENTS),
}


def calibrate(network: nn.Module, shape: tuple[int, ...] = (8, 3, 64, 64)) -> None:
    """Random weights and the batch statistics that go with them, without which the signal fades from layer to layer.

    Args:
        shape: of a batch.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        network.train()(torch.randn(shape))


def _folded(layers: nn.Sequential, padded: bool) -> nn.Sequential:
    """The same function with each batch normalisation in the convolution before it, and with explicit padding."""
    out: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            before = out[-1]
            assert isinstance(before, nn.Conv2d)
            out[-1] = fuse_conv_bn_eval(before, layer)
            continue
        if isinstance(layer, nn.Sequential):
            layer = _folded(layer, padded)
        elif isinstance(inner := layer._modules.get("conv"), nn.Sequential):  # an inverted residual
            layer.conv = _folded(inner, padded)
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
def seconds_per_pixel(name: str) -> float:
    """How long ``name`` takes for a pixel of an image when all cores work; measured, also a warm-up."""
    images = torch.zeros(CORES * PIECE, 3, MEASURED_SIDE, MEASURED_SIDE)
    see = backbone(name).see

    def work(piece: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return see(piece)

    start = clock.now_s()
    with clock.work(f"{name} forward", pixels=images.numel()):
        in_pieces(work, images)
    return (clock.now_s() - start) / (len(images) * MEASURED_SIDE**2)


def standard_pixels(name: str = "mobilenet_v2") -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and 1 / deviation of pixels in 0..255 for one of ``NETWORKS``, each (1, 3, 1, 1)."""
    moments = NETWORKS[name].moments
    mean, deviation = (255 * torch.tensor(np.array(x), dtype=torch.float32).view(1, 3, 1, 1) for x in moments)
    return mean, 1 / deviation
