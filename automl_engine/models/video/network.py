"""What the video networks share: a clip is an image whose channels are all its frames, so that the training loop of
``image/resnet.py`` shifts and mirrors every frame alike."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.models.image.resnet import ImageResnet, Training
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.vision import describe_weights
from automl_engine.weights import find_weights


class Clips(nn.Module):
    """(N, frames * channels, H, W) -> logits (N, K): the mean over ``views``, each so many evenly spread frames.

    ``network`` maps (N, 3, frames, H, W) to logits; grey becomes three equal channels, more than three the first.
    """

    def __init__(self, network: nn.Module, frames: int, views: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.frames, self.views = network, frames, views

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = inputs.shape
        clips = inputs.reshape(count, self.frames, channels // self.frames, height, width).transpose(1, 2)
        clips = clips[:, :3] if clips.shape[1] >= 3 else clips[:, :1].expand(-1, 3, -1, -1, -1)
        views = self.views[-1:] if self.training else self.views
        logits = [self.network(clips[:, :, evenly_spread(self.frames, view)]) for view in views]
        return torch.stack(logits).mean(0)


def evenly_spread(total: int, count: int) -> list[int]:
    """``count`` positions among ``total`` frames, the same ones that a reader of ``count`` frames would take."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


class ClipNetwork(PixelNetwork[Clips]):
    """Weights of three dimensions know no ``channels_last``."""

    def placed(self, device: torch.device) -> Self:
        return self.to(device)


class VideoNetwork(ImageResnet):
    """Params: those of ``ImageResnet``, and ``frames``: how many, in the order of the stages of training.

    Each stage takes its share of the first cycle; when there were several, their predictions are averaged.
    """

    feature: ClassVar[str] = "frames"
    test_batch: ClassVar[int] = 32  # clips are large
    stages: ClassVar[tuple[int, ...]]
    weights: ClassVar[str]
    """Their name, where they may be on this machine."""
    wanted: ClassVar[str]
    """What they are, for people."""
    defaults: ClassVar[dict[str, Any]] = {"batch": 16}

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **{**self.defaults, **params})

    @classmethod
    @abstractmethod
    def clip_network(cls, config: dict[str, Any]) -> nn.Module:
        """(N, 3, frames, H, W) -> logits; with the weights that this machine has where ``config["pretrained"]``."""

    @property
    def pretrained(self) -> bool:
        return find_weights(self.weights) is not None

    def read_pixels(self, split: Examples, feature_params: dict[str, Any] | None = None) -> torch.Tensor:
        images = super().read_pixels(split, feature_params)
        self.config["pretrained"] = self.pretrained
        return images

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[Any]:
        views = tuple(config.get("views", cls.stages[:1]))
        body = Clips(cls.clip_network(config), config["feature_params"]["frames"], views)
        return ClipNetwork(body, config["shape"][2], config["multi_label"], tuple(config["flips"]))

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        side = self.params.get("side", 48 if self.device.type == "cpu" else 112)
        return {"size": side, "frames": max(self.params.get("frames", self.stages))}

    def _prepare(self, split: Examples) -> Training:
        training = super()._prepare(split)
        file = find_weights(self.weights)
        used = describe_weights(file, self.wanted) if self.config["pretrained"] or file is None else "random weights"
        self.emit("note", text=f"{self.name} uses {used}.")
        self._enter_stage(training, 0)
        return training

    def _one_pass(self, training: Training, end: float) -> None:
        stages, cycles = len(self.params.get("frames", self.stages)), training.cycles
        reached = 0 if cycles.number == 0 else stages - 1 if cycles.number > 1 else int(cycles.fraction * stages)
        if reached >= len(self.config["views"]):
            self._enter_stage(training, reached)
        super()._one_pass(training, end)

    def _enter_stage(self, training: Training, stage: int) -> None:
        views = list(self.params.get("frames", self.stages))[: stage + 1]
        self.config = {**self.config, "views": views}  # frozen copies hold the old one
        for network in (training.network, training.average):
            network.body.views = tuple(views)
