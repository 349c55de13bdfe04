"""What the image networks share: uint8 pixels in, probabilities out; test, save, load and export.

The graph holds everything between the pixels and the probabilities (scaling, mirroring, softmax), so the
exported bundle repeats ``test`` exactly.  ``test`` runs in float32.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.memory import cache_limit_bytes
from automl_engine.dataset.spec import Spec
from automl_engine.features import feature
from automl_engine.features.image import typical_side
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared import augment
from automl_engine.models.shared.device import Pace, put_channels_last, torch_device
from automl_engine.models.shared.network_files import read_network, write_graph, write_network
from automl_engine.models.shared.workload import workload

Body = TypeVar("Body", bound=nn.Module)
PART = 4000
"""Examples whose pixels are gathered at once for a prediction."""


class PixelNetwork(nn.Module, Generic[Body]):
    """(N, H, W, C) uint8 -> (N, K) probabilities around a body that maps standardised (N, C, H, W) to logits."""

    body: Body
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, body: Body, channels: int, multi_label: bool, flips: tuple[int, ...] = ()) -> None:
        """``flips``: the axes (2 = upside down, 3 = left to right) whose mirrored logits are averaged in."""
        super().__init__()
        self.body, self.multi_label, self.flips = body, multi_label, flips
        self.register_buffer("mean", torch.full((1, channels, 1, 1), 128.0))
        self.register_buffer("scale", torch.full((1, channels, 1, 1), 1 / 64))

    def standardise(self, images: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) uint8 -> (N, C, H, W) float32."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) * self.scale

    def placed(self, device: torch.device) -> Self:
        """On the device, in the memory order that is fastest there."""
        self.to(device)
        put_channels_last(self)
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        inputs = self.standardise(images)
        logits = self.body(inputs)
        for axis in self.flips:
            logits = logits + self.body(inputs.flip(axis))
        logits = logits / (1 + len(self.flips))
        return logits.sigmoid() if self.multi_label else logits.softmax(1)


class ImageModel(AnytimeModel, Generic[Body]):
    """A model around a ``PixelNetwork``; subclasses train it."""

    feature: ClassVar[str] = "pixels"
    test_batch: ClassVar[int] = 250
    """Images that pass the network at once for a prediction."""

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.config: dict[str, Any] = {}
        """All that ``build`` needs to make the empty network again (JSON); ``read_pixels`` begins it."""
        self._network: PixelNetwork[Body] | None = None

    @property
    def network(self) -> PixelNetwork[Body]:
        """The network that predicts."""
        assert self._network is not None, "train comes first"
        return self._network

    @network.setter
    def network(self, network: PixelNetwork[Body]) -> None:
        self._network = network

    @classmethod
    @abstractmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[Body]:
        """An untrained network."""

    @property
    def device(self) -> torch.device:
        return torch_device(self.params)

    def frozen(self) -> Self:
        model = type(self)(self.spec, **self.params)
        model.config, model.network = dict(self.config), copy.deepcopy(self.network)
        return model

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        """The arguments of the feature, chosen by looking at the training examples."""
        side = self.params.get("side") or input_side(split)
        return {"height": side, "width": side}

    def read_pixels(self, split: Examples, feature_params: dict[str, Any] | None = None) -> torch.Tensor:
        """Start ``config`` with the feature's arguments (chosen here if absent) and what the data say; the pixels."""
        self.config = {"feature_params": feature_params or self.choose_feature_params(split)}
        images = self.pixels(split)
        self.config |= {
            "shape": list(images.shape[1:]),  # H, W, C
            "classes": split.spec.output_dim,
            "multi_label": is_multi_label(split.labels),
        }
        return images

    def pixels(self, split: Examples) -> torch.Tensor:
        """(N, H, W, C) uint8 on the CPU."""
        return torch.from_numpy(np.ascontiguousarray(feature(self.feature)(split, **self.config["feature_params"])))

    def fitting(self, split: Examples) -> Examples:
        """The examples, or a random part of them (always the same one) where the pixels of all take too much memory."""
        one = feature(self.feature)(split.subset([0]), **self.choose_feature_params(split))
        most = max(1, cache_limit_bytes() // one.nbytes)
        if len(split) <= most:
            return split
        return split.subset(np.sort(np.random.default_rng(0).permutation(len(split))[:most]))

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        parts = (split.subset(np.arange(at, min(at + PART, len(split)))) for at in range(0, len(split), PART))
        return np.concatenate([self.predict(self.pixels(part)) for part in parts])

    def predict(self, images: torch.Tensor) -> np.ndarray:
        """(N, K) float32 probabilities of (N, H, W, C) uint8 images."""
        network, pace = self.network.eval(), Pace()

        def answer(batch: torch.Tensor) -> torch.Tensor:
            amounts = partial(self.pass_amounts, network, batch)
            with clock.work(f"{self.name} forward", amounts), torch.inference_mode():
                return pace(lambda: network(batch.to(network.mean.device)).cpu())

        return torch.cat([answer(batch) for batch in images.split(self.test_batch)]).numpy()

    def search_augmentations(
        self, images: torch.Tensor, labels: torch.Tensor, time_s: float
    ) -> list[augment.SubPolicy]:
        """Those that make images (n, H, W, C) that the network has not seen easier for it; the journal names them."""
        planes = images.permute(0, 3, 1, 2).float()
        found = augment.search(
            lambda batch: self.predict(batch.permute(0, 2, 3, 1)), planes, labels.cpu().numpy(), time_s
        )
        names = sorted({step[0] for sub_policy in found for step in sub_policy})
        text = f"these make unseen images no harder to tell: {', '.join(names)}" if names else "none helps"
        self.emit("note", text=f"Augmentations were searched: {text}.")
        return found

    def pass_amounts(self, network: PixelNetwork[Body], images: torch.Tensor) -> dict[str, float]:
        """For the clock: what it is to pass the images (n, H, W, C) through."""
        return workload(network, images[:1].to(network.mean.device), len(images))

    def save(self, dir: Path) -> None:
        write_network(dir, self.network, self.params, self.config)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        params, config, network = read_network(dir, cls.build)
        model = cls(spec, **params)
        model.config, model.network = config, network
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        config, params = self.config, self.config["feature_params"]
        example = torch.zeros(2, *config["shape"], dtype=torch.uint8)
        graph = f"{self.name}.onnx"
        write_graph(dir / graph, self.network, example, "pixels")
        return [{"name": self.name, "weight": 1, "feature": self.feature, "params": params, "graph": graph}]


def input_side(split: Examples, largest: int = 64) -> int:
    """The side of the square that networks see: 32 for small images, else 48 or ``largest``."""
    typical = typical_side(split)
    return 32 if typical <= 40 else 48 if typical <= 56 else largest
