"""A linear model on what a frozen, pretrained network sees: strong on few photographs, within seconds.

Donahue et al., "DeCAF: a deep convolutional activation feature for generic visual recognition", ICML 2014.  What the
network sees in an example is computed once, whichever fold asks for it; so another fold costs a regression.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.cached import cached
from automl_engine.features.image import typical_side
from automl_engine.models.base import is_multi_label
from automl_engine.models.configuration import WEIGHTS
from automl_engine.models.shared.linear import CLIP, SHARE, LinearHead, fit_logistic_head, fit_ridge
from automl_engine.models.shared.network import ImageModel, PixelNetwork
from automl_engine.models.shared.pretrained import (
    NETWORKS,
    Backbone,
    backbone,
    build,
    in_pieces,
    seconds_per_pixel,
    standard_pixels,
)
from automl_engine.models.shared.vision import describe_weights

SIDES, LIMIT_S = (128, 96, 64), 3.0
LEAST_SHARE, MOST_SHARE = 0.02, 0.2
"""Fraction of the remaining time that feature extraction may take, whatever ``limit_s`` says."""
MANY = 5000
"""Number of examples beyond which a test may take minutes; if extraction takes too long, the configuration gives up."""
SLACK = 2.0
"""Multiple of the time limit after which extraction stops: other work on the machine may have delayed it."""
ROUND = 128
"""Number of examples between two looks at the clock."""


class Head(nn.Module):
    """``LinearHead`` as a layer: (n, D) -> logits (n, K)."""

    mean: torch.Tensor
    scale: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.zeros(features))
        self.register_buffer("weights", torch.zeros(features, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return ((features - self.mean) * self.scale).clamp(-CLIP, CLIP) @ self.weights + self.bias

    def copy_from(self, head: LinearHead) -> None:
        for key, value in self.state_dict(keep_vars=True).items():
            value.copy_(torch.from_numpy(getattr(head, key)))


class ColourNetwork(PixelNetwork[nn.Sequential]):
    """Sees three channels, standardised as the backbone knows them: grey three times, of more than three the first.

    Of ``frames`` side by side it sees three each.
    """

    def __init__(
        self, backbone_name: str, body: nn.Sequential, channels: int, multi_label: bool, frames: int = 1
    ) -> None:
        super().__init__(body, 3 * frames, multi_label)
        each = channels // frames
        self.picks = [each * frame + min(i, each - 1) for frame in range(frames) for i in range(3)]
        for buffer, value in zip((self.mean, self.scale), standard_pixels(backbone_name), strict=True):
            buffer.copy_(value.repeat(1, frames, 1, 1))

    def standardise(self, images: torch.Tensor) -> torch.Tensor:
        return super().standardise(images[..., self.picks])


class ImagePretrained(ImageModel[nn.Sequential]):
    """Params: ``network`` (of ``pretrained.NETWORKS``), ``sides`` (of the square that it sees, the first that is
    affordable), ``enlarge`` (whether small images may be seen twice as large and more; true if absent), ``limit_s``
    (that looking at all training examples should take), ``weights`` (a safetensors file, instead of what this
    machine has), ``head`` ("ridge", the default, or "logistic"), ``l2`` (logistic)."""

    name = "image_pretrained"
    default = WEIGHTS[name]
    """The network."""

    def __init__(self, spec: Spec, **params: Any) -> None:
        """Loads the weights, and measures the network."""
        super().__init__(spec, **params)
        self.sides: Sequence[int] = params.get("sides", SIDES)
        self._backbone()
        slow = self.device.type == "cpu"
        pixel_s = seconds_per_pixel(self.backbone_name) if slow else 0.0
        self.costs_s = [self.frames * side**2 * pixel_s for side in self.sides]

    @property
    def backbone_name(self) -> str:
        return self.params.get("network", self.default)

    @property
    def frames(self) -> int:
        """Pictures in an example."""
        return 1

    def _backbone(self) -> Backbone:
        return _loaded(self.backbone_name, self.params)

    @classmethod
    def load_ahead(cls, **params: Any) -> None:
        _loaded(params.get("network", cls.default), params)

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[nn.Sequential]:
        return cls.around(build(config["trunk"], config["padded"]), config)

    @classmethod
    def around(cls, backbone: nn.Module, config: dict[str, Any]) -> ColourNetwork:
        """The backbone with an empty head behind it."""
        name = config["trunk"]
        body = nn.Sequential(backbone, Head(NETWORKS[name].features, config["classes"]))
        return ColourNetwork(name, body, config["shape"][2], config["multi_label"])

    def feature_params(self, side: int) -> dict[str, Any]:
        return {"height": side, "width": side}

    def frozen(self) -> Self:
        return copy.copy(self)  # train makes a new network

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        found = self._backbone()
        least_s, most_s = LEAST_SHARE * remaining_time_budget, MOST_SHARE * remaining_time_budget
        limit_s = min(max(self.params.get("limit_s", LIMIT_S), least_s), most_s)
        side = self._side(split, found, limit_s, most_s)
        self.config = {
            "feature_params": self.feature_params(side),
            "shape": [side, side, self.frames * split.spec.num_channels],
            "classes": split.spec.output_dim,
            "multi_label": is_multi_label(split.labels),
            "trunk": self.backbone_name,
            "padded": found.padded,
            "weights": describe_weights(found.source),
        }
        self.network = self.around(found.network, self.config).to(self.device)
        seen, order = self._seen_in_time(split, SLACK * limit_s)
        head = self.network.body[1]
        assert isinstance(head, Head)
        head.copy_from(self._fit(seen, split.labels[order], remaining_time_budget))
        self.done_training = True

    def _fit(self, seen: np.ndarray, labels: np.ndarray, remaining_s: float) -> LinearHead:
        multi_label = self.config["multi_label"]
        if self.params.get("head", "ridge") == "ridge":
            return fit_ridge(seen, labels, multi_label)[0]
        end = clock.now_s() + SHARE * remaining_s
        return fit_logistic_head(seen, labels, multi_label, self.params.get("l2", 1.0), end)

    def _side(self, split: Examples, found: Backbone, limit_s: float, most_s: float) -> int:
        """The first of ``sides`` that all examples can be seen at in time; the same for all folds of a data set.

        Raises:
            RuntimeError: there are ``MANY`` examples, and too little time for them.
        """
        root = split.origin()[0]

        def choose(examples: Examples) -> list[int]:
            self.emit("note", text=f"{self.backbone_name.replace('_', ' ')} uses {describe_weights(found.source)}.")
            if len(root) > MANY and self.costs_s[-1] * len(root) > most_s:
                raise RuntimeError(f"{len(root)} images are too many for {self.backbone_name} in the time that is left")
            above = float("inf") if self.params.get("enlarge", True) else 2 * typical_side(root)
            costs = zip(self.sides, self.costs_s, strict=True)
            fits = [side for side, cost_s in costs if cost_s * len(root) < limit_s and side < above]
            return [(*fits, self.sides[-1])[0]]

        return cached(root.subset([0]), (found.network, "side", *self.sides), choose)[0]

    def _seen_in_time(self, split: Examples, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, D) and positions of as many examples as the time allows, at random but always in
        the same order, so that folds share them."""
        root, indices = split.origin()
        rank = np.random.default_rng(self.params.get("seed", 0)).permutation(len(root))[indices]
        order, end, parts = np.argsort(rank), clock.now_s() + time_s, []
        for start in range(0, len(order), ROUND):
            parts.append(self._seen(split.subset(order[start : start + ROUND])))
            if clock.now_s() > end:
                break
        seen = np.concatenate(parts)
        return seen, order[: len(seen)]

    def _seen(self, split: Examples) -> np.ndarray:
        """(N, D) float32."""
        key = self.trunk(self.network), self.feature, *self.config["shape"]
        return np.stack(cached(split, key, self._look))

    def trunk(self, network: PixelNetwork[nn.Sequential]) -> nn.Module:
        """The backbone in it."""
        return network.body[0]

    def through(self, see: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        """(n, D) of standardised inputs (n, 3 × frames, H, W) by what sees one picture."""
        return see(inputs)

    def _look(self, examples: Examples) -> np.ndarray:
        """A round at a time: the images of all may not fit in memory."""
        rounds = np.split(np.arange(len(examples)), range(ROUND, len(examples), ROUND))
        return np.concatenate([self._look_at(self.pixels(examples.subset(part))) for part in rounds])

    def _look_at(self, images: torch.Tensor) -> np.ndarray:
        network, device, trunk = self.network, self.network.mean.device, self.trunk(self.network)
        found, pixels = self._backbone(), len(images) * network.mean.numel() * images[0, ..., 0].numel()
        see = found.see if trunk is found.network and device.type == "cpu" else trunk

        def look(piece: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return self.through(see, network.standardise(piece.to(device)).contiguous()).cpu()

        with clock.work(f"{self.backbone_name} forward", pixels=pixels):
            return (in_pieces(look, images) if device.type == "cpu" else look(images)).numpy()

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        seen = torch.from_numpy(self._seen(split))
        products = seen.numel() * self.config["classes"]
        with clock.work("linear", cells=seen.numel(), products=products), torch.inference_mode():
            logits = self.network.body[1](seen.to(self.network.mean.device))
            return (logits.sigmoid() if self.config["multi_label"] else logits.softmax(1)).cpu().numpy()


def _loaded(name: str, params: Mapping[str, Any]) -> Backbone:
    file = params.get("weights")
    return backbone(name, file) if file else backbone(name)
