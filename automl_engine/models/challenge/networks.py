"""The networks of the organisers' baselines (baselines.py)."""

from __future__ import annotations

import torch
from torch import nn

from automl_engine.models.shared.vision import local_weights, torchvision

BLOCKS, WIDTH, EXPANSION = (3, 4, 6, 3), 64, 4
FEW_NEURONS = 1000
"""Number of values at which a 3-D CNN stops to convolve and pool."""
FILTERS, MOST_FILTERS = 16, 64


class PreActivated(nn.Module):
    """A bottleneck whose shortcut is the identity: normalised and rectified before each convolution."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1),
        )
        changes = stride > 1 or inputs != outputs
        self.projection = nn.Conv2d(inputs, outputs, 1, stride) if changes else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        seen = self.first(inputs)
        shortcut = inputs if self.projection is None else self.projection(seen)
        return shortcut + self.residual(seen)


def resnet50_v2(channels: int, classes: int) -> nn.Sequential:
    """He et al., "Identity mappings in deep residual networks" (ECCV 2016), 50 layers; Xavier's start."""
    stages: list[nn.Module] = []
    inputs = WIDTH
    for stage, count in enumerate(BLOCKS):
        width = WIDTH * 2**stage
        for block in range(count):
            stages.append(PreActivated(inputs, width, 2 if stage and not block else 1))
            inputs = EXPANSION * width
    network = nn.Sequential(
        nn.Conv2d(channels, WIDTH, 7, 2, 3),
        nn.MaxPool2d(3, 2, 1),
        *stages,
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs, classes),
    )
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class Inception(nn.Module):
    """torchvision's Inception V3 (Szegedy et al. 2016); grey becomes three channels, of more the first three count."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = torchvision().inception_v3(
            weights=None, num_classes=classes, aux_logits=False, transform_input=False, init_weights=False
        )

    def load_pretrained(self) -> None:
        """All but the last layer, where the weights are on this machine."""
        known = self.network.state_dict()
        found = local_weights("inception_v3") or {}
        kept = {key: value for key, value in found.items() if key in known and not key.startswith("fc.")}
        self.network.load_state_dict({**known, **kept})

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        colours = inputs[:, :3] if inputs.shape[1] >= 3 else inputs[:, :1].expand(-1, 3, -1, -1)
        return self.network(colours)


class AsClip(nn.Module):
    """(N, frames * channels, H, W) -> (N, channels, frames, H, W)."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = inputs.shape
        return inputs.reshape(count, self.frames, channels // self.frames, height, width).transpose(1, 2)


def cnn3d(shape: list[int], frames: int, classes: int) -> nn.Sequential:
    """Convolutions of 3 × 3 × 3, each pooled by 2, until few values are left, and one layer.

    The slides say no more than "3DCNN"; the number of filters is ours.

    Args:
        shape: height, width, frames * channels.
    """
    height, width, inputs = shape[0], shape[1], shape[2] // frames
    layers: list[nn.Module] = [AsClip(frames)]
    size, filters = (frames, height, width), FILTERS
    while not layers[1:] or size[0] * size[1] * size[2] * inputs > FEW_NEURONS:
        pooled = tuple(2 if side > 1 else 1 for side in size)
        layers += [nn.Conv3d(inputs, filters, 3, padding=1), nn.ReLU(), nn.MaxPool3d(pooled)]
        size = tuple(max(1, side // 2) for side in size)  # type: ignore[assignment]
        inputs, filters = filters, min(2 * filters, MOST_FILTERS)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size[0] * size[1] * size[2] * inputs, classes))
