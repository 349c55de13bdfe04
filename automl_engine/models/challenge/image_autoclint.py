"""AutoCLINT: the winner's recipe for images, in its parts, each of which can be switched off.

Baek, Kim, Kim & Lim, "AutoCLINT: the winning method in AutoCV challenge 2019", section 3, with the network of
DeepWisdom (AutoDL 2020), who took it over: the first passes train ResNet-18, pretrained where its weights are on this
machine, then ResNet-9 (Page, "How to train your ResNet", 2018) takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.image import typical_shape
from automl_engine.models.image.resnet import SEARCH_SHARE, harmless_flips
from automl_engine.models.shared.batches import ImageBatches
from automl_engine.models.shared.device import Pace
from automl_engine.models.shared.network import ImageModel, PixelNetwork
from automl_engine.models.shared.trainer import (
    Loss,
    Trainer,
    classification_loss,
    half_precision_is_faster,
    step_operation,
)
from automl_engine.models.shared.vision import describe_weights, local_weights, torchvision
from automl_engine.models.shared.workload import workload
from automl_engine.weights import find_weights

MOST_PIXELS = 64 * 64
PATIENCE, GAIN, DROPS = 10, 0.01, 2
"""Number of passes without a gain after which the rate falls to a tenth, the smallest gain as a fraction of the
training loss, and how often the rate falls."""
NETWORKS = {"resnet18": "ResNet-18 (ImageNet)", "resnet9": "DeepWisdom's ResNet-9 (ImageNet)"}
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


class Plateaus:
    """The learning rate: rises over the first passes, falls to a tenth on plateaus of the training loss."""

    def __init__(self, highest: float, warm_up: int) -> None:
        self.highest, self.warm_up = highest, warm_up
        self.best, self.waited, self.drops = float("inf"), 0, 0
        self.passes, self.begun, self.length = 0, 0, 1

    def begin_pass(self, step: int, length: int) -> None:
        """A pass of so many steps begins with this step."""
        self.begun, self.length = step, length

    def at(self, step: int) -> float:
        passes = self.passes + (step - self.begun + 1) / self.length
        return self.highest * 0.1**self.drops * (min(1.0, passes / self.warm_up) if self.warm_up else 1.0)

    def end_pass(self, loss: float) -> None:
        """With its mean loss."""
        self.passes += 1
        self.waited = 0 if loss < (1 - GAIN) * self.best else self.waited + 1
        self.best = min(self.best, loss)
        if self.waited >= PATIENCE:
            self.drops, self.waited = self.drops + 1, 0


@dataclass
class Training:
    """One of the two networks in training."""

    kind: str
    """resnet18 or resnet9."""
    trainer: Trainer
    network: PixelNetwork[Any]
    rate: Plateaus
    batches: ImageBatches
    batch_size: int
    queue: list[torch.Tensor] = field(default_factory=list)
    """The batches that are left of this pass."""
    losses: list[float] = field(default_factory=list)
    """Of the others."""

    def begin_pass(self) -> None:
        self.queue, self.losses = self.batches.shuffled(self.batch_size), []
        self.rate.begin_pass(self.trainer.steps, len(self.queue))


class ImageAutoclint(ImageModel[Any]):
    """Params, with the paper's values as defaults: ``tau``, ``warm_up`` (passes), ``balanced`` (loss, multi-label),
    ``pretrained``, ``flip``, ``switch`` (the pass from which ResNet-9 learns; 0 = from the first, None = never); and
    ``width`` (of ResNet-9's first layer), ``lr``, ``batch``, ``slice_s``.

    ``augment``: "faa" searches augmentations after the warm-up (section 3.2), on examples that were held out so far.
    """

    name = "image_autoclint"
    refits = False

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.training: Training | None = None
        self.best_loss = float("inf")
        self.warm_up = params.get("warm_up", 5)

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        """The median shape, its aspect kept, of at most ``MOST_PIXELS`` (section 3.1.2); multiples of 8."""
        height, width = typical_shape(split, 32)
        shrink = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
        return {"height": max(16, 8 * round(shrink * height / 8)), "width": max(16, 8 * round(shrink * width / 8))}

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[Any]:
        """``config["network"]`` is resnet18 or resnet9; ``config["pretrained"]`` only matters before training."""
        channels = config["shape"][2]
        stem = {1: Repeat, 3: nn.Identity}.get(channels, lambda: nn.Conv2d(channels, 3, 3, 1, 1, bias=False))()

        def head(inputs: int) -> nn.Module:
            return Annealed(inputs, config["classes"], config["tau"])

        large = config["network"] == "resnet18"
        body = _resnet18(head, config["pretrained"]) if large else resnet9(3, config["width"], head)
        return PixelNetwork(nn.Sequential(stem, body), channels, config["multi_label"], tuple(config["flips"]))

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice of at most ``slice_s`` seconds."""
        now = clock.now_s()
        stop, end = now + remaining_time_budget, now + min(self.params.get("slice_s", 4.0), remaining_time_budget)
        if self.training is None:
            batches = self._read(split)
            self.training = self._begin("resnet9" if self.params.get("switch", 2) == 0 else "resnet18", batches)
            self.network = self.training.network
        training = self.training
        training.trainer.pace = Pace()
        while clock.now_s() < end and not self.done_training:
            training.losses.append(float(training.trainer.step(training.queue.pop())))
            if not training.queue:
                training = self.training = self._end_pass(training)
                if len(training.batches.held_out) and training.rate.passes >= self.warm_up:
                    self._search(training, SEARCH_SHARE * (stop - clock.now_s()))
        self.emit("progress", by=self.name, text=f"AutoCLINT with {training.kind}, pass {training.rate.passes + 1}")

    def _read(self, split: Examples) -> ImageBatches:
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
        images, labels = images.to(self.device), torch.from_numpy(split.labels).to(self.device)
        return ImageBatches(images, labels, self._augmented, self.params.get("augment", "shift"))

    def _begin(self, kind: str, batches: ImageBatches) -> Training:
        """A network, its optimiser and its schedule."""
        if self.config["pretrained"]:
            file = find_weights(kind) if kind == "resnet18" else None  # nobody has published the others
            told = describe_weights(file, NETWORKS[kind])
            self.emit("note", text=f"AutoCLINT uses {told}.")
        network = self.build({**self.config, "network": kind})
        self.config.setdefault("network", kind)
        network = network.placed(self.device)
        size, name = min(len(batches.seen), self.params.get("batch", 32)), f"{self.name} {kind}"
        half = self.device.type == "cuda" or half_precision_is_faster(
            network.body, network.standardise(batches.images[:size]), name
        )
        rate = Plateaus(self.params.get("lr", 0.1), self.warm_up)
        trainer = Trainer(
            network,
            network.body,
            self._loss(batches.labels),
            torch.optim.SGD(network.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=2.5e-4),
            rate,
            batch=partial(batches.batch, network),
            operation=step_operation(name, half),
            amounts=lambda chosen: workload(network.body, network.standardise(batches.images[:1]), len(chosen)),
            half=half,
        )
        training = Training(kind, trainer, network, rate, batches, size)
        training.begin_pass()
        return training

    def _loss(self, labels: torch.Tensor) -> Loss:
        """Cross-entropy; of several labels binary, presence and absence of each class with the same total weight."""
        multi_label = self.config["multi_label"]
        if not (multi_label and self.params.get("balanced", True)):
            return classification_loss(multi_label)
        absence, presence = class_weights(labels)
        return lambda logits, labels: F.binary_cross_entropy_with_logits(
            logits, labels, torch.where(labels > 0.5, presence, absence)
        )

    def _search(self, training: Training, time_s: float) -> None:
        """Augmentations by what was held out; from now on all is learned from."""
        batches = training.batches
        images, labels = batches.images[batches.held_out], batches.labels[batches.held_out]
        batches.end_search(self.search_augmentations(images, labels, time_s))
        training.begin_pass()

    def _end_pass(self, training: Training) -> Training:
        """The next pass, the next network, or the end; the network with the lower loss predicts."""
        loss = float(np.mean(training.losses))
        if loss < self.best_loss or self.network is training.network:
            self.network, self.best_loss = training.network, loss
            self.config = {**self.config, "network": training.kind}  # frozen copies hold the old one
        training.rate.end_pass(loss)
        self.done_training = training.rate.drops > DROPS
        if training.kind == "resnet18" and training.rate.passes == self.params.get("switch", 2):
            return self._begin("resnet9", training.batches)
        training.begin_pass()
        return training

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


def class_weights(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(K,) of the absence and the presence of each class, whose total weights are the same."""
    positive = labels.mean(0).clamp(1 / RARE, 1 - 1 / RARE)
    return 0.5 / (1 - positive), 0.5 / positive
