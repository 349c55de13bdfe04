"""A pretrained network that begins with what ``image_pretrained`` finds in seconds, and is then fine-tuned."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.models.image.pretrained import ColourNetwork, Head, ImagePretrained
from automl_engine.models.image.resnet import harmless_flips
from automl_engine.models.shared.finetune import RATE, FineTuning
from automl_engine.models.shared.network import ImageModel, PixelNetwork
from automl_engine.models.shared.pretrained import NETWORKS, build

SIDE, SLICE_S = 128, 4.0
SHARE = 0.4
"""Fraction of the remaining time that fine-tuning may take; another network takes the rest."""


class ImageFinetuned(ImageModel[nn.Sequential]):
    """Params: ``network`` (of ``pretrained.NETWORKS``), ``side``, ``lr`` (of the last layers), ``l2`` (of the logistic
    regression that it begins with), ``weights`` (as of ``image_pretrained``)."""

    name = "image_finetuned"
    refits = False

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        shared = {key: params[key] for key in ("network", "weights", "seed", "device", "l2") if key in params}
        self.beginning = ImagePretrained(spec, sides=[params.get("side", SIDE)], head="logistic", **shared)
        self.tuning: FineTuning | None = None

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[nn.Sequential]:
        name = config["trunk"]
        body = nn.Sequential(build(name, config["padded"]), nn.Linear(NETWORKS[name].features, config["classes"]))
        return ColourNetwork(name, body, config["shape"][2], config["multi_label"])

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        side = self.params.get("side", SIDE)
        return {"height": side, "width": side}

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """First a regression on what the network sees, then slices of fine-tuning."""
        split = self.fitting(split)
        if self.tuning is None:
            self.tuning = self._begin(split, remaining_time_budget)
            return
        end = clock.now_s() + min(SLICE_S, remaining_time_budget)
        self.tuning.step()
        while clock.now_s() < end and self.tuning.fraction < 1:
            self.tuning.step()
        self.done_training = self.tuning.fraction >= 1
        layers = "its last layers" if self.tuning.is_partial else "all layers"
        self.emit("progress", by=self.name, text=f"fine-tuning {layers}, {self.tuning.fraction:.0%} done")

    def _begin(self, split: Examples, remaining_s: float) -> FineTuning:
        start_s, known = clock.now_s(), self.beginning
        torch.manual_seed(self.params.get("seed", 0))
        known.emit = self.emit
        known.train(split, remaining_s)
        self.config = known.config
        images, labels = self.pixels(split), torch.from_numpy(split.labels)
        network = self.build(self.config).placed(self.device)
        backbone, head = known.network.body
        network.body[0].load_state_dict(backbone.state_dict())
        _take_over(network.body[1], head)
        flips = harmless_flips(images.numpy(), split.labels, self.config["multi_label"])
        time_s = SHARE * (remaining_s - (clock.now_s() - start_s))
        rate = self.params.get("lr", RATE)
        tuning = FineTuning(network, images.to(self.device), labels.to(self.device), flips, time_s, self.name, rate)
        self.network = tuning.average
        return tuning


@torch.no_grad()
def _take_over(layer: nn.Module, head: nn.Module) -> None:
    """The same function but for features beyond the clip."""
    assert isinstance(layer, nn.Linear)
    assert isinstance(head, Head)
    weights = head.scale[:, None] * head.weights
    layer.weight.copy_(weights.T)
    layer.bias.copy_(head.bias - head.mean @ weights)
