"""A small residual network trained slice by slice, from scratch or from ``weights``, on uint8 images held in memory.

He et al., "Identity mappings in deep residual networks", ECCV 2016 (pre-activation blocks); trained by SGD with
Nesterov momentum in cosine cycles, each longer than the one before, so that it is good early and uses any budget; an
average of the weights predicts at every moment.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.image import gradient_features
from automl_engine.models.shared.batches import ImageBatches
from automl_engine.models.shared.device import Pace
from automl_engine.models.shared.linear import fit_ridge
from automl_engine.models.shared.network import ImageModel, PixelNetwork
from automl_engine.models.shared.residual import MOST, fit_last_layer, residual_network, take_over
from automl_engine.models.shared.trainer import (
    Cycles,
    Trainer,
    classification_loss,
    half_precision_is_faster,
    step_operation,
)
from automl_engine.models.shared.vision import describe_weights
from automl_engine.models.shared.workload import workload
from automl_engine.weights import find_weights

LR, CAREFUL_LR, LR_PER_EXAMPLE = 0.05, 0.005, 1e-5
"""The rate; that of a network which begins with weights that few examples should not spoil (measured on 300 to 3000
training examples, docs/results/learning_rate.csv)."""
SEARCH_AT, SEARCH_SHARE = 0.3, 0.05
"""Augmentations are searched, and images grow, at this point of the first cycle; the share of a cycle that a search
may take."""
GROW, GROW_EXAMPLES = 0.67, 500
"""Fraction of their side at which images begin, and the number of images from which they do; fewer pass often enough
at full size."""
FLIP_TOLERANCE = 0.25
"""Mirrored images are used where mirroring costs a linear model at most this share of its log-loss gain."""


@dataclass
class Training:
    """A network in training."""

    trainer: Trainer
    network: PixelNetwork[Any]
    average: PixelNetwork[Any]
    """Of its weights; predicts."""
    batches: ImageBatches
    cycles: Cycles
    batch_size: int
    full_size: dict[str, Any]
    """Arguments of the feature for images at full size."""
    starts_small: bool
    """Whether images are still small, or some of them held out for a search."""
    knows: bool
    """Whether the weights that it begins with predict something already."""


class ImageResnet(ImageModel[Any]):
    """Params: ``weights`` (of ``pretrain``, to begin with: a name or a file), ``side``, ``width`` (channels of the
    stem), ``blocks`` (a stage), ``dropout`` (before the last layer), ``optimiser`` ("sgd", the default, or "adam"),
    ``batch``, ``lr``, ``decay``, ``slice_s``, and what else is done to an image that is shifted and mirrored:

    - ``augment``: "shift" (nothing, the default) or "faa" (the policies that ``augment.search`` finds);
    - ``mixup``: the concentration of the shares (0, the default: none);
    - ``grow``: the first part of the first cycle sees images of this share of the side (1 for few images, else
      ``GROW``): passes take half the time (progressive resizing, Howard, "Training Imagenet in 3 hours", fast.ai 2018).
    """

    name = "image_resnet"
    refits = False
    may_mirror: ClassVar[bool] = True

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.training: Training | None = None

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[Any]:
        more = {key: config[key] for key in ("blocks", "dropout") if key in config}
        body = residual_network(config["shape"][2], config["classes"], config["stem_side"], config["width"], **more)
        return PixelNetwork(body, config["shape"][2], config["multi_label"], tuple(config["flips"]))

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice of at most ``slice_s`` seconds, all of which lie within the remaining time."""
        now = clock.now_s()
        stop, end = now + remaining_time_budget, now + min(self.params.get("slice_s", 4.0), remaining_time_budget)
        if self.training is None or self.training.starts_small:
            split = self.fitting(split)
        if self.training is None:
            self.training = self._prepare(split)
            if self.training.knows:
                return  # what it knows already is worth a prediction
        training, cycles = self.training, self.training.cycles
        if not cycles.passes:
            cycles.first_pass_s = clock.now_s()
        training.trainer.pace = Pace()
        while clock.now_s() < end and not self.done_training:
            self._one_pass(training, end)
            if training.starts_small and cycles.number == 1 and cycles.fraction >= SEARCH_AT:
                self._leave_early_part(training, split)
            if cycles.is_over():
                self.done_training = not cycles.advance(stop)
        cycle = f", cycle {cycles.number}" if cycles.number > 1 else ""
        self.emit("progress", by=self.name, text=f"small residual network, pass {cycles.passes}{cycle}")

    def _prepare(self, split: Examples) -> Training:
        torch.manual_seed(self.params.get("seed", 0))
        images, full_size = self._first_pixels(split)
        network = self._first_network(images, split.labels, full_size)
        knows = self._take_over_weights(network, images, split.labels)
        average = copy.deepcopy(network)
        self.network = average
        images, labels = images.to(self.device), torch.from_numpy(split.labels).to(self.device)
        batch_size = min(len(images), self.params.get("batch", 64 if len(images) < 10_000 else 128))
        half = self.device.type == "cuda" or half_precision_is_faster(
            network.body, network.standardise(images[:batch_size]), self.name
        )
        distort, mixup = self.params.get("augment", "shift"), self.params.get("mixup", 0)
        batches = ImageBatches(images, labels, self._augment, distort, mixup)
        cycles = Cycles(self._highest_rate(knows, len(images)))
        trainer = Trainer(
            network,
            network.body,
            classification_loss(self.config["multi_label"], smoothing=0.1),
            make_optimiser(network, self.params),
            cycles,
            batch=partial(batches.batch, network),
            operation=self._operation(bool(batches.policy), half),
            amounts=lambda chosen: self._step_amounts(network, batches.images[:1], len(chosen)),
            half=half,
            average=average,
        )
        starts_small = len(batches.held_out) > 0 or full_size != self.config["feature_params"]
        return Training(trainer, network, average, batches, cycles, batch_size, full_size, starts_small, knows)

    def _first_network(self, images: torch.Tensor, labels: np.ndarray, full_size: dict[str, Any]) -> PixelNetwork[Any]:
        """Of random weights; it standardises pixels as the images suggest."""
        self.config |= {
            "stem_side": full_size.get("height", images.shape[1]),
            "width": self.params.get("width", 24 if self.device.type == "cpu" or "weights" in self.params else 64),
            "blocks": self.params.get("blocks", 1),
            "dropout": self.params.get("dropout", 0.0),
            "flips": harmless_flips(images.numpy(), labels, self.config["multi_label"]) if self.may_mirror else [],
        }
        network = self.build(self.config)
        sample = images[:: max(1, len(images) // 500)].float()
        network.mean.copy_(sample.mean((0, 1, 2)).view(1, -1, 1, 1))
        network.scale.copy_(1 / (sample.std((0, 1, 2)) + 4).view(1, -1, 1, 1))
        return network.placed(self.device)

    def _take_over_weights(self, network: PixelNetwork[Any], images: torch.Tensor, labels: np.ndarray) -> bool:
        """Begin with the weights of ``weights``, if there are any on this machine; the journal says which."""
        if "weights" not in self.params:
            return False
        file = find_weights(self.params["weights"])
        self.emit("note", text=f"{self.name} uses {describe_weights(file)}.")
        if file is None:
            return False
        take_over(network.body, file)
        part = torch.randperm(len(images))[:MOST].sort().values
        fit_last_layer(network, images[part], labels[part.numpy()], self.name)
        return True

    def _highest_rate(self, knows: bool, count: int) -> float:
        careful = knows and not self.config["multi_label"]  # binary losses, averaged over classes, have small gradients
        return self.params.get("lr", max(CAREFUL_LR, min(LR, LR_PER_EXAMPLE * count)) if careful else LR)

    def _first_pixels(self, split: Examples) -> tuple[torch.Tensor, dict[str, Any]]:
        """The images to begin with, and the feature's arguments at full size."""
        full = self.choose_feature_params(split)
        grow = self.params.get("grow", GROW if len(split) >= GROW_EXAMPLES else 1)
        sides = {key: full[key] for key in ("height", "width") if key in full and grow < 1}
        return self.read_pixels(split, full | {key: max(16, 8 * round(grow * n / 8)) for key, n in sides.items()}), full

    def _leave_early_part(self, training: Training, split: Examples) -> None:
        """Search augmentations on what the network has not seen, then let it see all, at full size."""
        training.starts_small, batches = False, training.batches
        if len(batches.held_out):
            time_s = SEARCH_SHARE * training.cycles.length_s
            images, labels = batches.images[batches.held_out], batches.labels[batches.held_out]
            batches.end_search(self.search_augmentations(images, labels, time_s))
            training.trainer.operation = self._operation(bool(batches.policy), training.trainer.half)
        if training.full_size != self.config["feature_params"]:
            self.config = {**self.config, "feature_params": training.full_size}  # frozen copies hold the old one
            pixels = self.pixels(split)
            self.config["shape"] = list(pixels.shape[1:])
            batches.images = pixels.to(self.device)

    def _one_pass(self, training: Training, end: float) -> None:
        """All images once, as far as the time allows."""
        passed = training.batches.shuffled(training.batch_size)
        training.cycles.warm_up_steps = 2 * len(passed)
        training.trainer.average_share = max(0.01, 1 / (2 * len(passed)))
        for chosen in passed:
            training.trainer.step(chosen)
            if clock.now_s() > end:
                break
        training.cycles.passes += 1

    def _operation(self, is_distorted: bool, half: bool) -> str:
        """By which the clock knows a step of training."""
        return step_operation(f"{self.name} distorted" if is_distorted else self.name, half)

    def _step_amounts(self, network: PixelNetwork[Any], one: torch.Tensor, count: int) -> dict[str, float]:
        work = workload(network.body, network.standardise(one), count)
        return {**work, "pixels": count * one.numel()}

    def _augment(self, inputs: torch.Tensor) -> torch.Tensor:
        """Standardised: shifted by up to an eighth of the side, and mirrored where that was found harmless."""
        side = inputs.shape[2]
        reach = side // 8
        padded = F.pad(inputs, (reach,) * 4, mode="reflect")
        shifts = torch.randint(0, 2 * reach + 1, (len(inputs), 2), device=inputs.device)
        span = torch.arange(side, device=inputs.device)
        rows, cols = shifts[:, :1] + span, shifts[:, 1:] + span  # (n, side)
        index = torch.arange(len(inputs), device=inputs.device)[:, None, None]
        moved = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)
        for axis in self.config["flips"]:
            mirror = torch.rand(len(inputs), 1, 1, 1, device=inputs.device) < 0.5
            moved = torch.where(mirror, moved.flip(axis), moved)
        return moved.contiguous(memory_format=torch.channels_last)


def make_optimiser(network: torch.nn.Module, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or Adam, as ``optimiser`` says."""
    decay = params.get("decay", 1e-3)
    if params.get("optimiser", "sgd") == "adam":
        return torch.optim.Adam(network.parameters(), lr=0.0, weight_decay=decay)
    return torch.optim.SGD(network.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=decay)


def harmless_flips(images: np.ndarray, labels: np.ndarray, multi_label: bool) -> list[int]:
    """The axes (3 = left to right, 2 = upside down) along which mirroring does not change what an image is.

    A linear model is fitted to one half of a sample and asked about the other half as it is and mirrored.
    """
    order = np.random.default_rng(0).permutation(len(images))[:1200]
    with clock.work("harmless flips", images=len(order), pixels=images[:1].size * len(order)):
        return _flips_without_loss(images[order], labels[order], multi_label)


def _flips_without_loss(images: np.ndarray, labels: np.ndarray, multi_label: bool) -> list[int]:
    half = len(images) // 2
    side = 4 * (images.shape[1] // 4)
    images = images[:, :side, :side]
    head, _ = fit_ridge(gradient_features(images[:half]), labels[:half], multi_label)

    def gain(seen: np.ndarray) -> float:
        probabilities = head.predict(gradient_features(seen))
        return float(
            (probabilities * labels[half:]).mean() - probabilities.mean(0) @ labels[half:].mean(0) / labels.shape[1]
        )

    plain = gain(images[half:])
    return [axis for axis in (3, 2) if gain(np.flip(images[half:], axis - 1)) > (1 - FLIP_TOLERANCE) * plain > 0]
