"""Small residual networks (He et al., "Identity mappings in deep residual networks", ECCV 2016), and their start from
weights of ``pretrain``: pretrained layers, and a last layer in closed form.

The last layer is trained alone first, then all layers, so that a random last layer does not destroy the pretrained
weights (Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from automl_engine.models.shared.linear import fit_ridge
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.vision import load_weights
from automl_engine.models.shared.workload import passing

SMALL_SIDE = 40
STEMS = "small.weight", "large.weight"
MIDDLE, SCALE = 128.0, 1 / 64
"""Mean, and 1 / deviation, by which ``pretrain`` standardises pixels."""
MOST, BATCH = 4000, 250
"""Number of examples that the last layer is fitted to, at most, and how many of them pass at once."""


class Block(nn.Module):
    """Pre-activation residual block with two convolutions, 3 × 3 if not told otherwise."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        padding = kernel[0] // 2, kernel[1] // 2
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel, 1, padding, bias=False)
        self.shortcut = (
            nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 or inputs != outputs else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = F.relu(self.norm1(x))
        shortcut = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(active)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(active))))


def residual_network(
    channels: int, classes: int, side: int, width: int, blocks: int = 1, dropout: float = 0.0
) -> nn.Sequential:
    """Three stages of so many blocks each; the stem halves images of more than ``SMALL_SIDE``."""
    stem = (
        nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        if side <= SMALL_SIDE
        else nn.Conv2d(channels, width, 5, 2, 2, bias=False)
    )
    body: list[nn.Module] = []
    for outputs in (2 * width, 4 * width, 8 * width):
        body += [Block(outputs // 2, outputs, 2), *(Block(outputs, outputs, 1) for _ in range(blocks - 1))]
    return nn.Sequential(
        stem,
        *body,
        nn.BatchNorm2d(8 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *([nn.Dropout(dropout)] if dropout else []),
        nn.Linear(8 * width, classes),
    )


class Stems(nn.Module):
    """What ``pretrain`` trains for a ``residual_network``: one body behind a stem for small images and one for larger.

    (n, C, H, W), standardised -> (n, 8 * width).
    """

    body: nn.Sequential

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        small, large = (residual_network(channels, 1, side, width) for side in (SMALL_SIDE, SMALL_SIDE + 1))
        body = small[1:-1]
        assert isinstance(body, nn.Sequential)
        self.small, self.large, self.body = small[0], large[0], body

    def stem_for(self, images: torch.Tensor) -> nn.Module:
        return self.small if max(images.shape[2:]) <= SMALL_SIDE else self.large

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(self.stem_for(images)(images))


def take_over(network: nn.Sequential, file: Path) -> None:
    """All but the last layer of a ``residual_network``, from a file that ``pretrain`` wrote.

    The stem is that for images of such a side; its filters serve any number of channels.

    Raises:
        RuntimeError: the file is of another network.
    """
    state, first = load_weights(file), network[0]
    assert isinstance(first, nn.Conv2d)
    stem = first.weight
    found = next((state[key] for key in STEMS if key in state and state[key].shape[2:] == stem.shape[2:]), None)
    body = {key.removeprefix("body."): value for key, value in state.items() if key.startswith("body.")}
    wanted = {key: value.shape for key, value in network[1:-1].state_dict().items()}
    if found is None or len(found) != len(stem) or {key: value.shape for key, value in body.items()} != wanted:
        raise RuntimeError(f"{file.name} was not made for a residual network of {len(stem)} channels like this one")
    with torch.no_grad():
        stem.copy_(for_channels(found, stem.shape[1]))
    network[1:-1].load_state_dict(body)


def for_channels(filters: torch.Tensor, channels: int) -> torch.Tensor:
    """(n, C, h, w) -> (n, ``channels``, h, w) that answers as strongly: grey images are seen as three equal colours."""
    taken = filters.shape[1]
    if channels == 1:
        return filters.sum(1, keepdim=True)
    return filters[:, [i % taken for i in range(channels)]] * (taken / channels)


def fit_last_layer(network: PixelNetwork[nn.Sequential], images: torch.Tensor, labels: np.ndarray, name: str) -> None:
    """The last layer by ridge regression on what the others see.

    Args:
        images: (n, H, W, C) uint8.
        labels: (n, K).
        name: by which the clock knows the network.
    """
    network.eval()
    body, last = network.body, network.body[-1]
    assert isinstance(last, nn.Linear)

    def see(batch: torch.Tensor) -> torch.Tensor:
        inputs = network.standardise(batch.to(network.mean.device))
        with passing(body, inputs, f"{name} forward"), torch.inference_mode():
            return body[:-1](inputs).cpu()

    parts = [see(batch) for batch in images.split(BATCH)]
    head, _ = fit_ridge(torch.cat(parts).numpy(), labels, network.multi_label)
    weights = torch.from_numpy(head.scale[:, None] * head.weights)
    with torch.no_grad():
        last.weight.copy_(weights.T)
        last.bias.copy_(torch.from_numpy(head.bias - head.mean @ weights.numpy()))
