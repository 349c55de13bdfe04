"""Thin ResNet-34 on log-mel pictures: the speech network of DeepWisdom ("AutoDL Self-Service" slides, speech domain).

Xie et al., "Utterance-level aggregation for speaker recognition in the wild", ICASSP 2019; bottlenecks as in the
slides' table.  It learns from random crops in time under masks (SpecAugment, Park et al. 2019) and hears the whole
sound when it predicts; the mean of its best last states predicts, as the slides' "best last predictions".
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.audio import BANDS
from automl_engine.models.audio.resnet import AudioResnet
from automl_engine.models.image.resnet import Training
from automl_engine.models.shared.batches import ImageBatches
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.trainer import classification_loss
from automl_engine.models.shared.vision import describe_weights

STAGES = ((48, 96, 2, 1), (96, 128, 3, 2), (128, 256, 3, 2), (256, 512, 3, 2))
"""Stages at full width (64): channels within and after the bottlenecks, number of bottlenecks, stride."""
FULL_WIDTH = 64
CROP = 0.75
"""Fraction of the length of a sound that the network sees in training."""
BEST, HELD_OUT, LEAST = 3, 0.1, 100


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3, 1 × 1, around a shortcut."""

    def __init__(self, inputs: int, inside: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            *_convolution(inputs, inside, 1),
            nn.ReLU(),
            *_convolution(inside, inside, 3, stride),
            nn.ReLU(),
            *_convolution(inside, outputs, 1),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(*_convolution(inputs, outputs, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.path(x) + self.shortcut(x))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)


def thin_resnet34(classes: int, width: int) -> nn.Sequential:
    """(N, 1, BANDS, frames) -> logits (N, K), for any number of frames."""
    layers: list[nn.Module] = [*_convolution(1, width, 7), nn.ReLU(), nn.MaxPool2d(2)]
    inputs = width
    for inside, outputs, blocks, stride in STAGES:
        inside, outputs = inside * width // FULL_WIDTH, outputs * width // FULL_WIDTH
        for block in range(blocks):
            layers.append(Bottleneck(inputs, inside, outputs, stride if block == 0 else 1))
            inputs = outputs
    height = BANDS // 16  # what is left of the bands; the table's pooling makes 7 of its 16
    layers += [nn.Conv2d(inputs, inputs, (height, 1), bias=False), nn.BatchNorm2d(inputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Mean(nn.Module):
    """The mean of the logits of several bodies."""

    bodies: nn.ModuleList

    def __init__(self, bodies: list[nn.Module]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([body(inputs) for body in self.bodies]).mean(0)


class AudioThinResnet34(AudioResnet):
    """Params: those of ``AudioResnet``; ``width`` of the first layer (64 in the paper)."""

    name: ClassVar[str] = "audio_thin_resnet34"

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.best: list[tuple[float, PixelNetwork[Mean]]] = []
        """The loss on what was held out, and the state; the lowest loss first."""

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[Any]:
        bodies: list[nn.Module] = [thin_resnet34(config["classes"], config["width"]) for _ in range(config["members"])]
        return PixelNetwork(Mean(bodies), 1, config["multi_label"])

    def read_pixels(self, split: Examples, feature_params: dict[str, Any] | None = None) -> torch.Tensor:
        images = super().read_pixels(split, feature_params)
        self.config["members"] = 1
        return images

    def _prepare(self, split: Examples) -> Training:
        training = super()._prepare(split)
        told = describe_weights(None, "thin ResNet-34 (VoxCeleb2), with which DeepWisdom's began,")
        self.emit("note", text=f"{self.name} uses {told}.")
        held = int(HELD_OUT * len(split)) if len(split) >= LEAST else 0
        order = torch.randperm(len(split), device=self.device)
        training.batches.held_out, training.batches.seen = order[:held], order[held:]
        return training

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice; then the state that it led to is kept if it is among the ``BEST`` on what it has not seen."""
        super().train(split, remaining_time_budget)
        assert self.training is not None
        state = copy.deepcopy(self.training.average).eval()
        held_out = self.training.batches.held_out
        kept = [*self.best, (self._loss(state, self.training.batches), state)]
        self.best = sorted(kept, key=lambda item: item[0])[:BEST] if len(held_out) else kept[-BEST:]
        together = copy.deepcopy(state)
        together.body = Mean([body for _, network in self.best for body in network.body.bodies])
        self.network, self.config = together, {**self.config, "members": len(together.body.bodies)}

    def _loss(self, network: PixelNetwork[Mean], batches: ImageBatches) -> float:
        chosen = batches.held_out
        if not len(chosen):
            return 0.0
        with torch.inference_mode():
            logits = network.body(network.standardise(batches.images[chosen]))
        return float(classification_loss(self.config["multi_label"])(logits, batches.labels[chosen]))

    def _augment(self, inputs: torch.Tensor) -> torch.Tensor:
        """A random crop in time, the same for the batch, of what ``AudioResnet`` makes of the pictures."""
        inputs = super()._augment(inputs)
        frames = inputs.shape[3]
        length = max(16, int(CROP * frames))
        start = int(torch.randint(0, frames - length + 1, ()))
        return inputs[:, :, :, start : start + length]
