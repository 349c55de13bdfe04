"""AutoCLINT: the winner's recipe for images, in its parts, each of which can be switched off.

Baek, Kim, Kim & Lim, "AutoCLINT: the winning method in AutoCV challenge 2019", section 3, with the network of
DeepWisdom (AutoDL 2020), who took it over: the first passes train ResNet-18, pretrained where its weights are on this
machine, then ResNet-9 (Page, "How to train your ResNet", 2018) takes its place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.models.image.resnet import (
    HELD_OUT,
    MOST_HELD_OUT,
    SEARCH_SHARE,
    half_precision_is_faster,
    harmless_flips,
)
from automl_engine.models.shared import augment
from automl_engine.models.shared.network import ImageModel, Pace, PixelNetwork
from automl_engine.models.shared.vision import describe_weights, find_weights, local_weights, torchvision
from automl_engine.models.shared.workload import workload

MOST_PIXELS = 64 * 64
PATIENCE, GAIN, DROPS = 10, 0.01, 2
"""After so many passes without a training loss lower by that share the rate falls to a tenth, so often at most."""
RARE = 20.0
"""The largest weight of a class in the balanced loss."""


class Repeat(nn.Module):
    """Grey -> three equal channels."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.expand(-1, 3, -1, -1)


class Annealed(nn.Linear):
    """Logits divided by ``tau``: probabilities nearer to uniform (section 3.1.1, equation 3); Xavier's start."""

    def __init__(self, inputs: int, classes: int, tau: float) -> None:
        super().__init__(inputs, classes)
        self.tau = tau
        nn.init.xavier_normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features) / self.tau


class Highest(nn.Module):
    """(n, C, H, W) -> (n, C)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.amax((2, 3))


class Residual(nn.Sequential):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + super().forward(inputs)


def _convolution(inputs: int, outputs: int, *after: nn.Module) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(), *after)


def resnet9(channels: int, width: int, head: Callable[[int], nn.Module]) -> nn.Module:
    last = 8 * width
    return nn.Sequential(
        _convolution(channels, width),
        _convolution(width, 2 * width, nn.MaxPool2d(2)),
        Residual(_convolution(2 * width, 2 * width), _convolution(2 * width, 2 * width)),
        _convolution(2 * width, 4 * width, nn.MaxPool2d(2)),
        _convolution(4 * width, last, nn.MaxPool2d(2)),
        Residual(_convolution(last, last), _convolution(last, last)),
        Highest(),
        head(last),
    )


def _resnet18(head: Callable[[int], nn.Module], pretrained: bool) -> nn.Module:
    network = torchvision().resnet18(weights=None)
    features, network.fc = network.fc.in_features, nn.Identity()
    state = local_weights("resnet18") if pretrained else None
    if state is not None:
        network.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")})
    for module in network.modules():  # the convolutions are all that is kept
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    network.fc = head(features)
    return network


class Rate:
    """The learning rate: rises over the first passes, falls to a tenth on plateaus of the training loss."""

    def __init__(self, highest: float, warm_up: int) -> None:
        self.highest, self.warm_up = highest, warm_up
        self.best, self.waited, self.drops = float("inf"), 0, 0

    def at(self, passes: float) -> float:
        return self.highest * 0.1**self.drops * (min(1.0, passes / self.warm_up) if self.warm_up else 1.0)

    def observe(self, loss: float) -> None:
        """The mean loss of a pass."""
        self.waited = 0 if loss < (1 - GAIN) * self.best else self.waited + 1
        self.best = min(self.best, loss)
        if self.waited >= PATIENCE:
            self.drops, self.waited = self.drops + 1, 0


class ImageAutoclint(ImageModel):
    """Params, with the paper's values as defaults: ``tau``, ``warm_up`` (passes), ``balanced`` (loss, multi-label),
    ``pretrained``, ``flip``, ``switch`` (the pass from which ResNet-9 learns; 0 = from the first, None = never); and
    ``width`` (of ResNet-9's first layer), ``lr``, ``batch``, ``slice_s``.

    ``augment``: "faa" searches augmentations after the warm-up (section 3.2), on examples that were held out so far.
    """

    name = "image_autoclint"
    quick = False

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        """The median shape, its aspect kept, of at most ``MOST_PIXELS`` (section 3.1.2); multiples of 8."""
        spec = split.spec
        height, width = spec.row_count, spec.col_count
        if min(height, width) < 0:
            picks = np.linspace(0, len(split) - 1, min(len(split), 32)).astype(int)
            height, width = np.median([split.tensor(int(i)).shape[1:3] for i in picks], axis=0)
        shrink = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
        return {"height": max(16, 8 * round(shrink * height / 8)), "width": max(16, 8 * round(shrink * width / 8))}

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork:
        """``config["network"]`` is resnet18 or resnet9; ``config["pretrained"]`` only matters before training."""
        channels = config["shape"][2]
        stem = {1: Repeat, 3: nn.Identity}.get(channels, lambda: nn.Conv2d(channels, 3, 3, 1, 1, bias=False))()

        def head(inputs: int) -> nn.Module:
            return Annealed(inputs, config["classes"], config["tau"])

        large = config["network"] == "resnet18"
        body = _resnet18(head, config["pretrained"]) if large else resnet9(3, config["width"], head)
        return PixelNetwork(nn.Sequential(stem, body), channels, config["multi_label"], tuple(config["flips"]))

    def predictor(self) -> PixelNetwork:
        return self.best if hasattr(self, "best") else self.network

    def frozen(self) -> Self:
        model = type(self)(self.spec, **self.params)
        model.config, model.network = dict(self.config), copy.deepcopy(self.predictor())
        return model

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice of at most ``slice_s`` seconds."""
        now = clock.now_s()
        stop, end = now + remaining_time_budget, now + min(self.params.get("slice_s", 4.0), remaining_time_budget)
        if not hasattr(self, "images"):
            self._prepare(split)
        self.pace = Pace()
        while clock.now_s() < end and not self.done_training:
            with clock.work(f"{self.name} {self.kind} step{' in bfloat16' * self.half}", self._step_amounts):
                self.pace(self._step)
            if not self.batches:
                self._end_pass()
                if len(self.held_out) and self.passes >= self.params.get("warm_up", 5):
                    self._search(SEARCH_SHARE * (stop - clock.now_s()))
        self.emit("progress", by=self.name, text=f"AutoCLINT with {self.kind}, pass {self.passes + 1}")

    def _prepare(self, split: Examples) -> None:
        torch.manual_seed(self.params.get("seed", 0))
        images = self.read_pixels(split)
        multi_label = self.config["multi_label"]
        may_flip = self.params.get("flip", True) and 3 in harmless_flips(images.numpy(), split.labels, multi_label)
        self.config |= {
            "tau": self.params.get("tau", 8.0),
            "width": self.params.get("width", 32 if self.device.type == "cpu" else 64),
            "pretrained": self.params.get("pretrained", True),
            "flips": [3] if may_flip else [],
        }
        self.images, self.labels = images.to(self.device), torch.from_numpy(split.labels).to(self.device)
        order = torch.randperm(len(images), device=self.device)
        held = min(MOST_HELD_OUT, int(HELD_OUT * len(images))) if self.params.get("augment") == "faa" else 0
        self.held_out, self.seen = order[:held], order[held:]
        self.policy: list[augment.SubPolicy] = []
        self.batch = min(len(self.seen), self.params.get("batch", 32))
        positive = self.labels.mean(0).clamp(1 / RARE, 1 - 1 / RARE)
        self.weights = torch.stack([0.5 / (1 - positive), 0.5 / positive])  # of absence and presence, (2, K)
        self.all_passes = 0
        first = "resnet9" if self.params.get("switch", 2) == 0 else "resnet18"
        if first == "resnet18" and self.config["pretrained"]:
            self.emit("note", text=f"AutoCLINT uses {describe_weights(find_weights(first))}.")
        self._begin(first)
        self.best, self.best_loss = self.network, float("inf")

    def _search(self, time_s: float) -> None:
        """Augmentations by what was held out; from now on all is learned from."""
        images, labels = self.images[self.held_out], self.labels[self.held_out]
        self.policy = self.search_augmentations(images, labels, time_s)
        self.seen, self.held_out = torch.cat([self.seen, self.held_out]), self.held_out[:0]
        self._begin_pass()

    def _begin(self, kind: str) -> None:
        """A network, its optimiser and its schedule."""
        self.kind, self.passes = kind, 0
        network = self.build({**self.config, "network": kind})
        self.config.setdefault("network", kind)
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.half = self.device.type == "cuda" or half_precision_is_faster(
            self.network, self.images[: self.batch], f"{self.name} {kind}"
        )
        self.rate = Rate(self.params.get("lr", 0.1), self.params.get("warm_up", 5))
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=2.5e-4
        )
        self._begin_pass()

    def _begin_pass(self) -> None:
        order = self.seen[torch.randperm(len(self.seen), device=self.device)]
        self.steps = max(1, len(order) // self.batch)
        self.batches = list(order[: self.steps * self.batch].split(self.batch))
        self.losses: list[float] = []

    def _step_amounts(self) -> dict[str, float]:
        """For the clock."""
        return workload(self.network.body, self.network.standardise(self.images[:1]), self.batch)

    def _step(self) -> None:
        chosen = self.batches.pop()
        self.network.train()
        images = self.images[chosen]
        if self.policy:
            images = augment.apply(self.policy, images.permute(0, 3, 1, 2).float()).permute(0, 2, 3, 1)
        inputs = self._augmented(self.network.standardise(images))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = self.network.body(inputs).float()
        loss = self._loss(logits, self.labels[chosen])
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate.at(self.passes + (len(self.losses) + 1) / self.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.losses.append(loss.item())

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy; of several labels binary, presence and absence of each class with the same total weight."""
        if not self.config["multi_label"]:
            return F.cross_entropy(logits, labels)
        balanced = self.params.get("balanced", True)
        weights = torch.where(labels > 0.5, self.weights[1], self.weights[0]) if balanced else None
        return F.binary_cross_entropy_with_logits(logits, labels, weights)

    def _augmented(self, inputs: torch.Tensor) -> torch.Tensor:
        """The batch shifted by up to an eighth, half of it mirrored where that is harmless."""
        height, width = inputs.shape[2:]
        down, right = height // 8, width // 8
        top, left = int(torch.randint(2 * down + 1, ())), int(torch.randint(2 * right + 1, ()))
        padded = F.pad(inputs, (right, right, down, down), mode="reflect")
        inputs = padded[:, :, top : top + height, left : left + width]
        if self.config["flips"]:
            mirror = torch.rand(len(inputs), 1, 1, 1, device=inputs.device) < 0.5
            inputs = torch.where(mirror, inputs.flip(3), inputs)
        return inputs.contiguous(memory_format=torch.channels_last)

    def _end_pass(self) -> None:
        """The next pass, the next network, or the end; the network with the lower loss predicts."""
        self.passes, self.all_passes = self.passes + 1, self.all_passes + 1
        loss = float(np.mean(self.losses))
        if loss < self.best_loss or self.best is self.network:
            self.best, self.best_loss = self.network, loss
            self.config = {**self.config, "network": self.kind}  # frozen copies hold the old one
        self.rate.observe(loss)
        self.done_training = self.rate.drops > DROPS
        if self.kind == "resnet18" and self.all_passes == self.params.get("switch", 2):
            self._begin("resnet9")
        else:
            self._begin_pass()
