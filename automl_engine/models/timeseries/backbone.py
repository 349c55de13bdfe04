"""Time series: a ridge regression on what a small frozen network sees in each channel.

The network was pretrained on random dynamical systems (``pretrain/sources/dynamics.py``).  What it sees in an example
is computed once, whichever fold asks for it.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.cached import cached
from automl_engine.features.timeseries import channel_scale, same_length, typical_length
from automl_engine.models.configuration import WEIGHTS
from automl_engine.models.image.pretrained import Head
from automl_engine.models.shared.linear import FeatureLinear, LinearHead
from automl_engine.models.shared.network_files import read_network, write_graph, write_network
from automl_engine.models.shared.pretrained import calibrate, in_pieces
from automl_engine.models.shared.residual import Block
from automl_engine.models.shared.vision import describe_weights, load_weights
from automl_engine.weights import find_weights

FILE = WEIGHTS["series_trunk"]
WIDTH, STEM, KERNEL = 32, 7, (1, 5)
SHORTEST = 32
"""Number of steps that shorter series are stretched to."""
LOOKED_AT = 200
"""Number of examples by which length and scale are chosen."""
MOST_CHANNELS = 16
"""Number of channels beyond which the network sees so many random mixtures of them."""
WORK = 4 * 10**6
"""Number of values in all examples that the network sees within some ten seconds: for more values it sees fewer
mixtures, though not fewer than one."""
ROUND = 128
"""Number of examples that the network sees at once."""


class SeriesStages(nn.Module):
    """(n, C, 1, L), standardised -> (n, FEATURES): mean and maximum over time of what each of three stages sees."""

    features: ClassVar[int] = 2 * (2 + 4 + 4) * WIDTH

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, WIDTH, (1, STEM), 1, (0, STEM // 2), bias=False)
        widths = (WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH)
        strides = zip(widths[:-1], widths[1:], (2, 2, 1), strict=True)
        self.blocks = nn.ModuleList(Block(inputs, outputs, stride, KERNEL) for inputs, outputs, stride in strides)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        seen, parts = self.stem(series), []
        for block, norm in zip(self.blocks, self.norms, strict=True):
            seen = block(seen)
            active = F.relu(norm(seen))
            parts += [active.mean((2, 3)), active.amax((2, 3))]
        return torch.cat(parts, 1)


class SeriesNetwork(nn.Module):
    """(n, channels, L) of any scale -> (n, features): what a backbone sees in every channel, or in mixtures of them."""

    mixture: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: dict[str, int]) -> None:
        """Of ``channels`` and ``mixtures``; ``length`` is what the network sees all series at."""
        super().__init__()
        self.config, channels, mixtures = config, config["channels"], config["mixtures"]
        mixture = torch.eye(channels)
        if mixtures < channels:
            drawn = np.random.default_rng(0).normal(size=(mixtures, channels)) / channels**0.5
            mixture = torch.from_numpy(drawn.astype(np.float32))
        self.register_buffer("mixture", mixture)
        self.register_buffer("mean", torch.zeros(channels, 1))
        self.register_buffer("scale", torch.ones(channels, 1))
        self.trunk = SeriesStages()  # a name in saved models

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        mixed = self.mixture @ ((values - self.mean) * self.scale)
        rows = mixed.reshape(-1, 1, 1, values.shape[2])
        return self.trunk(rows).reshape(-1, len(self.mixture) * SeriesStages.features)


class Answer(nn.Module):
    """(n, channels, L) -> (n, K) probabilities, for the exported graph."""

    def __init__(self, network: SeriesNetwork, head: LinearHead) -> None:
        super().__init__()
        self.network, self.head, self.multi_label = network, Head(*head.weights.shape), head.multi_label
        self.head.copy_from(head)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        logits = self.head(self.network(values))
        return logits.sigmoid() if self.multi_label else logits.softmax(1)


def seen_length(split: Examples) -> int:
    """The length that the network sees all series at."""
    return max(SHORTEST, typical_length(split))


class SeriesBackbone(FeatureLinear):
    """Params: ``weights`` (of ``pretrain``: a name or a file); ``head`` and ``l2`` as in FeatureLinear."""

    name: ClassVar[str] = "series_trunk"
    feature: ClassVar[str] = "same_length"

    def __init__(self, spec: Spec, **params: Any) -> None:
        """Loads the weights, or makes random ones (the same in each process)."""
        super().__init__(spec, **params)
        self.file = find_weights(params.get("weights", FILE))
        self.backbone = SeriesStages()
        if self.file:
            self.backbone.load_state_dict(load_weights(self.file))
        else:
            calibrate(self.backbone, (8, 1, 1, 128))
        self._network: SeriesNetwork | None = None

    @property
    def network(self) -> SeriesNetwork:
        assert self._network is not None, "train comes first"
        return self._network

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self._network = cached(split.origin()[0].subset([0]), (self.name, self.file), self._made)[0]
        super().train(split, remaining_time_budget)

    def _made(self, first: Examples) -> list[SeriesNetwork]:
        """The network for a data set, the same for all folds."""
        self.emit("note", text=f"{self.name} uses {describe_weights(self.file)}.")
        root = first.origin()[0]
        some = root.subset(range(0, len(root), max(1, len(root) // LOOKED_AT)))
        values = same_length(some, seen_length(some))
        _, channels, length = values.shape
        mixtures = int(np.clip(WORK // (len(root) * length), 1, min(channels, MOST_CHANNELS)))
        config = {"channels": channels, "mixtures": mixtures, "length": length}
        network = self.build(config)
        network.trunk.load_state_dict(self.backbone.state_dict())
        for key, value in channel_scale(values).items():
            getattr(network, key).copy_(torch.from_numpy(value)[:, None])
        return [network]

    @classmethod
    def build(cls, config: dict[str, int]) -> SeriesNetwork:
        return SeriesNetwork(config).requires_grad_(False).eval()

    def inputs(self, split: Examples) -> np.ndarray:
        """(N, D) float32."""
        return np.stack(cached(split, self.network, self._look))

    def _look(self, examples: Examples) -> np.ndarray:
        rounds = np.split(np.arange(len(examples)), range(ROUND, len(examples), ROUND))
        return np.concatenate([self._look_at(examples.subset(part)) for part in rounds])

    def _look_at(self, examples: Examples) -> np.ndarray:
        values = torch.from_numpy(same_length(examples, self.network.config["length"]))
        seen = len(self.network.mixture) * values[:, 0].numel()
        with clock.work("series_small forward", values=seen), torch.inference_mode():
            return in_pieces(self._pass, values).numpy()

    def _pass(self, values: torch.Tensor) -> torch.Tensor:
        """In a thread of its own, where the inference mode of others is not known."""
        with torch.inference_mode():
            return self.network(values)

    def frozen(self) -> Self:
        return copy.copy(self)  # nothing changes what was trained

    def save(self, dir: Path) -> None:
        write_network(dir, self.network, self.params, self.network.config)
        self.head.save(dir / "head.npz")

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        params, _, network = read_network(dir, cls.build)
        model = cls(spec, **params)
        model._network, model._head = network, LinearHead.load(dir / "head.npz")
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        graph, config = f"{self.name}.onnx", self.network.config
        example = torch.zeros(2, config["channels"], config["length"])
        write_graph(dir / graph, Answer(self.network, self.head), example, "values")
        params = {"length": config["length"]}
        return [{"name": self.name, "weight": 1, "feature": self.feature, "params": params, "graph": graph}]
