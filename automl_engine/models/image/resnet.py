"""A small residual network trained slice by slice, from scratch or from ``weights``, on uint8 images held in memory.

He et al., "Identity mappings in deep residual networks", ECCV 2016 (pre-activation blocks); trained by SGD with
Nesterov momentum in cosine cycles, each longer than the one before (Loshchilov & Hutter, "SGDR", ICLR 2017), so
that it is good early and uses any budget; an average of the weights predicts at every moment.
"""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.image import gradient_features
from automl_engine.models.shared import augment
from automl_engine.models.shared.linear import fit_ridge
from automl_engine.models.shared.network import ImageModel, Pace, PixelNetwork
from automl_engine.models.shared.residual import MOST, fit_last_layer, move_towards, residual_network, take_over
from automl_engine.models.shared.vision import describe_weights, find_weights
from automl_engine.models.shared.workload import workload

FIRST_CYCLE_PASSES = 50
FIRST_CYCLE_S = 40.0
MOST_CYCLES = 4
LR, CAREFUL_LR, LR_PER_EXAMPLE = 0.05, 0.005, 1e-5
"""The rate; that of a network which begins with weights that few examples should not spoil (measured on 300 to 3000
training examples, docs/results/learning_rate.csv)."""
LONGER = 2.0
SEARCH_AT, SEARCH_SHARE = 0.3, 0.05
"""Augmentations are searched, and images grow, at this point of the first cycle; the share of a cycle that a search
may take."""
GROW, GROW_EXAMPLES = 0.67, 500
"""Images begin at this share of their side where there are so many; fewer pass often enough at full size."""
HELD_OUT, MOST_HELD_OUT = 0.2, 250
"""Of the training examples, kept from the network until augmentations have been searched on them."""
FLIP_TOLERANCE = 0.25
"""Mirrored images are used where mirroring costs a linear model at most this share of its log-loss gain."""


class Cycles:
    """Cosine cycles on the clock: the first takes ``passes`` passes, each next ``LONGER`` times as long.

    A cycle that would leave less than half of itself takes the rest of the time too.
    """

    def __init__(self) -> None:
        self.start_s = self.end_s = self.length_s = 0.0

    def begin(self, length_s: float, remaining_s: float) -> None:
        self.length_s = remaining_s if remaining_s < 1.5 * length_s else length_s
        self.start_s = clock.now_s()
        self.end_s = self.start_s + self.length_s

    @property
    def fraction(self) -> float:
        """0 at the start of the cycle, 1 at its end."""
        return min(1.0, (clock.now_s() - self.start_s) / max(self.length_s, 1e-3))


class ImageResnet(ImageModel):
    """Params: ``weights`` (of ``pretrain``, to begin with: a name or a file), ``side``, ``width`` (channels of the
    stem), ``blocks`` (a stage), ``dropout`` (before the last layer), ``optimiser`` ("sgd", the default, or "adam"),
    ``batch``, ``lr``, ``decay``, ``slice_s``, and what else is done to an image that is shifted and mirrored:

    - ``augment``: "shift" (nothing, the default), "faa" (the policies that ``augment.search`` finds), "random" (any one
      operation, of strength up to ``strength``);
    - ``mixup``: the concentration of the shares (0, the default: none);
    - ``grow``: the first part of the first cycle sees images of this share of the side (1 for few images, else
      ``GROW``): passes take half the time (progressive resizing, Howard, "Training Imagenet in 3 hours", fast.ai 2018).
    """

    name = "image_resnet"
    quick = False
    may_mirror: ClassVar[bool] = True

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork:
        more = {key: config[key] for key in ("blocks", "dropout") if key in config}
        body = residual_network(config["shape"][2], config["classes"], config["stem_side"], config["width"], **more)
        return PixelNetwork(body, config["shape"][2], config["multi_label"], tuple(config["flips"]))

    def predictor(self) -> PixelNetwork:
        return self.average if hasattr(self, "average") else self.network

    def frozen(self) -> Self:
        model = type(self)(self.spec, **self.params)
        model.config, model.network = self.config, copy.deepcopy(self.average)
        return model

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """One slice of at most ``slice_s`` seconds, all of which lie within the remaining time."""
        now = clock.now_s()
        stop, end = now + remaining_time_budget, now + min(self.params.get("slice_s", 4.0), remaining_time_budget)
        if not hasattr(self, "images") or self.early:
            split = self.fitting(split)
        if not hasattr(self, "images"):
            self._prepare(split)
            if self.knows:
                return  # what it knows already is worth a prediction
        if not self.passes:
            self.pass_start_s = clock.now_s()
        self.pace = Pace()
        while clock.now_s() < end and not self.done_training:
            self._one_pass(end)
            if self.early and self.cycle == 1 and self.cycles.fraction >= SEARCH_AT:
                self._leave_early_part(split)
            if self.cycle == 0 or self.cycles.fraction >= 1:  # one pass has shown how long passes take
                self._next_cycle(stop)
        cycle = f", cycle {self.cycle}" if self.cycle > 1 else ""
        self.emit("progress", by=self.name, text=f"small residual network, pass {self.passes}{cycle}")

    def _prepare(self, split: Examples) -> None:
        torch.manual_seed(self.params.get("seed", 0))
        images, self.full_size = self._first_pixels(split)
        multi_label = self.config["multi_label"]
        self.config |= {
            "stem_side": self.full_size.get("height", images.shape[1]),
            "width": self.params.get("width", 24 if self.device.type == "cpu" or "weights" in self.params else 64),
            "blocks": self.params.get("blocks", 1),
            "dropout": self.params.get("dropout", 0.0),
            "flips": harmless_flips(images.numpy(), split.labels, multi_label) if self.may_mirror else [],
        }
        network = self.build(self.config)
        sample = images[:: max(1, len(images) // 500)].float()
        network.mean.copy_(sample.mean((0, 1, 2)).view(1, -1, 1, 1))
        network.scale.copy_(1 / (sample.std((0, 1, 2)) + 4).view(1, -1, 1, 1))
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.knows = self._take_over_weights(images, split.labels)
        careful = self.knows and not multi_label  # binary losses, averaged over classes, have small gradients
        usual = max(CAREFUL_LR, min(LR, LR_PER_EXAMPLE * len(images))) if careful else LR
        self.lr = self.params.get("lr", usual)
        self.average = copy.deepcopy(self.network)
        self.images, self.labels = images.to(self.device), torch.from_numpy(split.labels).to(self.device)
        self.batch = min(len(images), self.params.get("batch", 64 if len(images) < 10_000 else 128))
        self.optimiser = self._make_optimiser()
        self.half = self.device.type == "cuda" or half_precision_is_faster(
            self.network, self.images[: self.batch], self.name
        )
        self.passes, self.steps, self.cycle, self.cycles = 0, 0, 0, Cycles()
        order = torch.randperm(len(images), device=self.device)
        held = min(MOST_HELD_OUT, int(HELD_OUT * len(images))) if self.params.get("augment") == "faa" else 0
        self.held_out, self.seen = order[:held], order[held:]
        self.policy: list[augment.SubPolicy] = []
        self.early = held > 0 or self.full_size != self.config["feature_params"]

    def _take_over_weights(self, images: torch.Tensor, labels: np.ndarray) -> bool:
        """Begin with the weights of ``weights``, if there are any on this machine; the journal says which."""
        if "weights" not in self.params:
            return False
        file = find_weights(self.params["weights"])
        self.emit("note", text=f"{self.name} uses {describe_weights(file)}.")
        if file is None:
            return False
        take_over(self.network.body, file)
        part = torch.randperm(len(images))[:MOST].sort().values
        fit_last_layer(self.network, images[part], labels[part.numpy()], self.name)
        return True

    def _make_optimiser(self) -> torch.optim.Optimizer:
        decay = self.params.get("decay", 1e-3)
        if self.params.get("optimiser", "sgd") == "adam":
            return torch.optim.Adam(self.network.parameters(), lr=0.0, weight_decay=decay)
        return torch.optim.SGD(self.network.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=decay)

    def _first_pixels(self, split: Examples) -> tuple[torch.Tensor, dict[str, Any]]:
        """The images to begin with, and the feature's arguments at full size."""
        full = self.choose_feature_params(split)
        grow = self.params.get("grow", GROW if len(split) >= GROW_EXAMPLES else 1)
        sides = {key: full[key] for key in ("height", "width") if key in full and grow < 1}
        return self.read_pixels(split, full | {key: max(16, 8 * round(grow * n / 8)) for key, n in sides.items()}), full

    def _leave_early_part(self, split: Examples) -> None:
        """Search augmentations on what the network has not seen, then let it see all, at full size."""
        self.early = False
        if len(self.held_out):
            time_s = SEARCH_SHARE * self.cycles.length_s
            images, labels = self.images[self.held_out], self.labels[self.held_out]
            self.policy = self.search_augmentations(images, labels, time_s)
            self.seen = torch.arange(len(self.images), device=self.device)
        if self.full_size != self.config["feature_params"]:
            self.config = {**self.config, "feature_params": self.full_size}  # frozen copies hold the old one
            images = self.pixels(split)
            self.config["shape"] = list(images.shape[1:])
            self.images = images.to(self.device)

    def _next_cycle(self, stop: float) -> None:
        remaining_s = stop - clock.now_s()
        pass_s = (clock.now_s() - self.pass_start_s) / max(1, self.passes)
        wanted_s = LONGER * self.cycles.length_s or max(FIRST_CYCLE_PASSES * pass_s, FIRST_CYCLE_S)
        if self.cycle and (remaining_s < 2 * pass_s or self.cycle == MOST_CYCLES):
            self.done_training = True
        else:
            self.cycle += 1
            self.cycles.begin(wanted_s, remaining_s)

    def _one_pass(self, end: float) -> None:
        self.network.train()
        steps_a_pass = max(1, len(self.seen) // self.batch)
        order = self.seen[torch.randperm(len(self.seen), device=self.device)]
        for chosen in order[: steps_a_pass * self.batch].split(self.batch):
            cosine = 0.5 * (1 + math.cos(math.pi * self.cycles.fraction)) if self.cycle else 1.0
            rate = cosine * min(1.0, (self.steps + 1) / (2 * steps_a_pass))  # warm-up of two passes
            for group in self.optimiser.param_groups:
                group["lr"] = self.lr * rate
            with clock.work(self._step_name, lambda chosen=chosen: self._step_amounts(len(chosen))):
                self.pace(lambda chosen=chosen: self._step(chosen))
                self._update_average(max(0.01, 1 / (2 * steps_a_pass)))
            if clock.now_s() > end:
                break
        self.passes += 1

    @property
    def _step_name(self) -> str:
        """By which the clock knows a step of training."""
        changes = "distorted " * (self.policy != [] or self.params.get("augment") == "random")
        return f"{self.name} {changes}step{' in bfloat16' * self.half}"

    def _step_amounts(self, count: int) -> dict[str, float]:
        one = self.images[:1]
        work = workload(self.network.body, self.network.standardise(one), count)
        return {**work, "pixels": count * one.numel()}

    def _step(self, chosen: torch.Tensor) -> None:
        inputs = self._augment(self.network.standardise(self._distort(self.images[chosen])))
        labels = self.labels[chosen]
        if self.params.get("mixup"):
            inputs, labels = augment.mixed(inputs, labels, self.params["mixup"])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = self.network.body(inputs).float()
        if self.config["multi_label"]:
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        else:
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.steps += 1

    def _distort(self, images: torch.Tensor) -> torch.Tensor:
        """(n, H, W, C) uint8 -> the same in float32, under the policy found or under any operation."""
        at_random = self.params.get("augment") == "random"
        if not (self.policy or at_random):
            return images
        planes = images.permute(0, 3, 1, 2).float()
        if at_random:
            planes = augment.apply_random(planes, self.params.get("strength", 0.5))
        else:
            planes = augment.apply(self.policy, planes)
        return planes.permute(0, 2, 3, 1)

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

    def _update_average(self, share: float) -> None:
        """Exponential average of weights and batch statistics, faster at the beginning."""
        move_towards(self.average, self.network, max(share, 1 / (1 + self.steps / 4)))


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


def half_precision_is_faster(network: PixelNetwork, images: torch.Tensor, name: str) -> bool:
    """Whether a forward and backward pass takes less time under bfloat16 autocast on this processor."""
    trial = {True: f"{name} trial in bfloat16", False: f"{name} trial"}  # operations of the clock

    def seconds(enabled: bool) -> float:
        times = []
        for _ in range(3):
            start = clock.now_s()
            with (
                clock.work(
                    trial[enabled], lambda: workload(network.body, network.standardise(images[:1]), len(images))
                ),
                torch.autocast("cpu", torch.bfloat16, enabled=enabled),
            ):
                network.body(network.standardise(images)).float().sum().backward()
            times.append(clock.now_s() - start)
        return min(times)

    faster = seconds(True) < seconds(False)
    if clock.is_virtual():
        faster = clock.knows(f"{name} step in bfloat16")  # what the reference machine found
    network.zero_grad(set_to_none=True)
    return faster
