"""The baselines that the challenge's organisers gave: linear, ResNet-50 V2, Inception V3, and a 3-D CNN.

Liu et al., "AutoCV challenge design and baseline results" (CAp 2019), section 3.1.  All learn by Adam at its default
rate from batches of 30, shuffled anew in each pass, without augmentation, on the sigmoid cross-entropy, and double the
number of steps at every call.  The batch size is given for the linear one only.  Of several probabilities that exclude
each other the sigmoids are divided by their sum, as everywhere in this engine.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.models.challenge.networks import Inception, cnn3d, resnet50_v2
from automl_engine.models.shared.batches import ImageBatches
from automl_engine.models.shared.network import ImageModel, PixelNetwork
from automl_engine.models.shared.trainer import Trainer
from automl_engine.models.shared.vision import describe_weights
from automl_engine.models.shared.workload import workload
from automl_engine.weights import find_weights

BATCH, RATE = 30, 0.001
FIRST_STEPS = 10
VARIABLE_SIDE = 112
"""Side of the square that images of different sizes become."""


@dataclass
class Doubling:
    """The schedule of section 3.1.1: 10 steps, then twice as many at each call, until there is no time for them."""

    steps: int = FIRST_STEPS
    """Of the next call."""
    done: int = 0
    spent_s: float = 0.0

    def is_affordable(self, remaining_s: float) -> bool:
        """By the mean time of a step so far; the first call always is."""
        return self.steps * self.spent_s <= remaining_s * self.done or not self.done

    def add(self, seconds: float) -> None:
        """The steps of this call took so long."""
        self.done, self.spent_s, self.steps = self.done + self.steps, self.spent_s + seconds, 2 * self.steps


class Constant:
    """A learning rate."""

    def at(self, step: int) -> float:
        return RATE


class Sigmoids(PixelNetwork[nn.Module]):
    """Independent probabilities; of single labels divided by their sum."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.body(self.standardise(images)).sigmoid()
        return found if self.multi_label else found / found.sum(1, keepdim=True).clamp_min(1e-12)


@dataclass(eq=False)
class Training:
    trainer: Trainer
    batches: ImageBatches
    schedule: Doubling = field(default_factory=Doubling)
    queue: list[torch.Tensor] = field(default_factory=list)
    """What is left of this pass."""

    def step(self) -> None:
        self.queue = self.queue or self.batches.shuffled(BATCH)
        self.trainer.step(self.queue.pop())


class Baseline(ImageModel[nn.Module]):
    """Params: ``side`` of the square that the network sees."""

    refits = False
    test_batch = BATCH
    side: ClassVar[int]

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.training: Training | None = None

    @classmethod
    @abstractmethod
    def body(cls, config: dict[str, Any]) -> nn.Module:
        """(N, C, H, W) -> logits."""

    def scaling(self, images: torch.Tensor) -> tuple[float, float]:
        """What is subtracted from the values 0 to 255, and what they are then divided by."""
        return 0.0, 255.0

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[nn.Module]:
        return Sigmoids(cls.body(config), config["shape"][2], config["multi_label"])

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        side = self.params.get("side", self.side)
        return {"height": side, "width": side}

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        if self.training is None:
            self.training = self._begin(self.fitting(split))
        schedule = self.training.schedule
        if not schedule.is_affordable(remaining_time_budget):
            self.done_training = True
            return
        start = clock.now_s()
        for _ in range(schedule.steps):
            self.training.step()
        schedule.add(clock.now_s() - start)
        self.emit("progress", by=self.name, text=f"{self.name}, {schedule.done} steps")

    def _begin(self, split: Examples) -> Training:
        torch.manual_seed(self.params.get("seed", 0))
        images = self.read_pixels(split)
        network = self.build(self.config).placed(self.device)
        mean, deviation = self.scaling(images)
        network.mean.fill_(mean)
        network.scale.fill_(1 / deviation)
        labels = torch.from_numpy(split.labels)
        batches = ImageBatches(images.to(self.device), labels.to(self.device), move=lambda inputs: inputs)
        self.network = network
        trainer = Trainer(
            network,
            network.body,
            F.binary_cross_entropy_with_logits,
            torch.optim.Adam(network.parameters(), lr=RATE),
            Constant(),
            batch=partial(batches.batch, network),
            operation=f"{self.name} step",
            amounts=lambda chosen: workload(network.body, network.standardise(images[:1].to(self.device)), len(chosen)),
        )
        return Training(trainer, batches)


class ImageBaselineLinear(Baseline):
    """Section 3.1.1: the pixels, flattened, and one layer.  Images of one size keep it; others become 112 × 112."""

    name = "image_baseline_linear"
    side = VARIABLE_SIDE

    @classmethod
    def body(cls, config: dict[str, Any]) -> nn.Module:
        height, width, channels = config["shape"]
        return nn.Sequential(nn.Flatten(), nn.Linear(height * width * channels, config["classes"]))

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        size = (split.spec.row_count, split.spec.col_count)
        if min(size) < 0 or "side" in self.params:
            return super().choose_feature_params(split)
        return {"height": size[0], "width": size[1]}


class ImageResnet50V2(Baseline):
    """Section 3.1.2: from scratch (Xavier), 128 × 128, by mean and deviation of all pixel values."""

    name = "image_resnet50_v2"
    side = 128

    @classmethod
    def body(cls, config: dict[str, Any]) -> nn.Module:
        return resnet50_v2(config["shape"][2], config["classes"])

    def scaling(self, images: torch.Tensor) -> tuple[float, float]:
        values = images[:: max(1, len(images) // 1000)].float()
        return float(values.mean()), max(1.0, float(values.std()))


class ImageInceptionV3(Baseline):
    """Section 3.1.3: 299 × 299, ImageNet's weights where they are on this machine; all layers learn on.

    The weights expect values from -1 to 1.
    """

    name = "image_inception_v3"
    side = 299

    @classmethod
    def body(cls, config: dict[str, Any]) -> nn.Module:
        return Inception(config["classes"])

    def scaling(self, images: torch.Tensor) -> tuple[float, float]:
        return 127.5, 127.5

    def _begin(self, split: Examples) -> Training:
        training = super()._begin(split)
        assert isinstance(self.network.body, Inception)
        self.network.body.load_pretrained()
        self.emit(
            "note",
            text=f"{self.name} uses {describe_weights(find_weights('inception_v3'), 'Inception V3 (ImageNet)')}.",
        )
        return training


class ImageCnn3d(ImageBaselineLinear):
    """The slides' Baseline 2, a 3-D CNN; an image is a clip of one frame."""

    name = "image_cnn3d"

    @classmethod
    def body(cls, config: dict[str, Any]) -> nn.Module:
        frames = config["feature_params"].get("frames", 1)
        return cnn3d(config["shape"], frames, config["classes"])


class _Clips(Baseline):
    """Params: those of ``Baseline`` and ``frames``, how many of a clip."""

    feature = "frames"
    side = VARIABLE_SIDE

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        return {"size": self.params.get("side", self.side), "frames": self.params.get("frames", 10)}


class VideoBaselineLinear(_Clips, ImageBaselineLinear):
    name = "video_baseline_linear"


class VideoCnn3d(_Clips, ImageCnn3d):
    name = "video_cnn3d"
