"""Images: one layer of random whitened patches as filters, pooled, and ridge regression.

Coates & Ng, "The importance of encoding versus training with sparse coding and vector quantization", ICML 2011
(random patches with a two-sided soft threshold are nearly as good as learned ones), with the patch
normalisation of Thiry et al., "The unreasonable effectiveness of patches in deep convolutional kernels
methods", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.memory import feature_limit_bytes
from automl_engine.models.shared.device import Pace
from automl_engine.models.shared.linear import CLIP, fit_ridge
from automl_engine.models.shared.network import ImageModel, PixelNetwork, input_side

SHARE = 0.3
"""Fraction of the remaining time that extracting features may take."""
BATCH = 64
WHITENING_PATCHES = 20_000
MOST_EXAMPLES_WIDE = 2_000
"""Largest number of examples for a pooling grid of 3 × 3; with more it is 2 × 2, which keeps the ridge cheap."""


class Patches(nn.Module):
    """(N, C, H, W) -> (N, K): whiten, compare with the patches, threshold on both sides, pool, linear head."""

    whitener: torch.Tensor
    offset: torch.Tensor
    filters: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor

    def __init__(self, channels: int, classes: int, patch: int, filters: int, grid: int, stride: int) -> None:
        super().__init__()
        width = channels * patch * patch
        self.grid, self.stride, self.threshold, self.floor = grid, stride, 0.15, 0.05 * width**0.5
        features = 2 * filters * grid * grid
        self.register_buffer("whitener", torch.zeros(width, channels, patch, patch))
        self.register_buffer("offset", torch.zeros(width))
        self.register_buffer("filters", torch.zeros(filters, width, 1, 1))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.zeros(features))
        self.register_buffer("weights", torch.zeros(features, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, 2 * filters * grid²)."""
        whitened = F.conv2d(inputs, self.whitener, self.offset, stride=self.stride)
        length = (whitened * whitened).sum(1, keepdim=True).sqrt()
        cosine = F.conv2d(whitened / (length + self.floor), self.filters)
        both = torch.cat([F.relu(cosine - self.threshold), F.relu(-cosine - self.threshold)], 1)
        step = both.shape[-1] // self.grid
        window = both.shape[-1] - step * (self.grid - 1)  # windows overlap a little, so that no border is lost
        return F.avg_pool2d(both, window, step).flatten(1).sqrt()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        standard = ((self.features(inputs) - self.mean) * self.scale).clamp(-CLIP, CLIP)
        return standard @ self.weights + self.bias

    def amounts(self, images: torch.Tensor) -> dict[str, float]:
        """For the clock: comparing the images (n, H, W, C) with the patches."""
        places = len(images) * images.shape[1] * images.shape[2] / self.stride**2
        width = len(self.offset)
        return {
            "values": places * (width + len(self.filters)),
            "products": places * width * (width + len(self.filters)),
        }

    def choose_filters(self, patches: torch.Tensor) -> None:
        """Whiten by the covariance of patches (n, width) and keep the first contrasted ones as filters."""
        means = patches.mean(1, keepdim=True)
        centred = patches - means
        centre = centred.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((centred - centre).T.double()))
        root = vectors @ torch.diag((values + 0.1 * values.mean() + 1e-8) ** -0.5) @ vectors.T
        whiten = root.float()  # (width, width)
        white = (centred - centre) @ whiten
        contrast = patches.std(1)
        chosen = white[contrast >= contrast.quantile(0.2)][: len(self.filters)]
        chosen = F.normalize(chosen.repeat(-(-len(self.filters) // len(chosen)), 1)[: len(self.filters)], eps=1e-3)
        width = len(whiten)
        remove_mean = torch.eye(width) - 1 / width
        self.whitener.copy_((remove_mean @ whiten).T.reshape(self.whitener.shape))
        self.offset.copy_(-(centre @ whiten))
        self.filters.copy_(chosen[:, :, None, None])


class ImagePatches(ImageModel[Patches]):
    """Params: ``patch`` (side, pixels), ``filters``, ``stride``."""

    name = "image_patches"

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        side = self.params.get("side") or input_side(split, largest=48)
        return {"height": side, "width": side}

    @classmethod
    def build(cls, config: dict[str, Any]) -> PixelNetwork[Patches]:
        channels = config["shape"][2]
        options = {key: config[key] for key in ("classes", "patch", "filters", "grid", "stride")}
        return PixelNetwork(Patches(channels, **options), channels, config["multi_label"])

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        split = self.fitting(split)
        images = self.read_pixels(split)
        self.config |= {
            "patch": self.params.get("patch", 6),
            "filters": self.params.get("filters", 256),
            "stride": self.params.get("stride", 2 if images.shape[1] <= 32 else 3),
            "grid": 3 if len(split) <= MOST_EXAMPLES_WIDE else 2,
        }
        self.network = self.build(self.config)
        order, body = torch.randperm(len(split), generator=self._generator()), self.network.body
        with clock.work("choose patches", width=len(body.offset), images=min(2000, len(order))):
            body.choose_filters(self._sample_patches(self.network.standardise(images[order[:2000]])))
        end = clock.now_s() + SHARE * remaining_time_budget
        parts = self._parts(images, torch.from_numpy(split.labels), order, end)
        head, _ = fit_ridge(*next(parts), self.config["multi_label"], parts)
        for key in ("mean", "scale", "weights", "bias"):
            getattr(body, key).copy_(torch.from_numpy(getattr(head, key)))
        self.done_training = True

    def pass_amounts(self, network: PixelNetwork[Patches], images: torch.Tensor) -> dict[str, float]:
        return network.body.amounts(images)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.params.get("seed", 0))

    def _sample_patches(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, channels * patch²) at random places."""
        patch, generator = self.config["patch"], self._generator()
        windows = inputs.unfold(2, patch, 1).unfold(3, patch, 1)  # (N, C, rows, cols, patch, patch), a view
        picks = [torch.randint(windows.shape[axis], (WHITENING_PATCHES,), generator=generator) for axis in (0, 2, 3)]
        return windows[picks[0], :, picks[1], picks[2]].reshape(WHITENING_PATCHES, -1)

    def _parts(
        self, images: torch.Tensor, labels: torch.Tensor, order: torch.Tensor, end: float
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Features and labels of images in this order, as many as the time allows, as many at once as memory does."""
        network, body, pace = self.network, self.network.body, Pace()

        def see(batch: torch.Tensor) -> torch.Tensor:
            return pace(lambda: body.features(network.standardise(images[batch])))

        def amounts(batch: torch.Tensor) -> dict[str, float]:
            return body.amounts(images[batch])

        rows = max(BATCH, feature_limit_bytes() // (4 * len(body.mean)))
        for part in order.split(rows):
            features, done = np.empty((len(part), len(body.mean)), np.float32), 0  # one block: no holes are left
            with torch.inference_mode():
                for batch in part.split(BATCH):
                    with clock.work("patches", partial(amounts, batch)):
                        features[done : done + len(batch)] = see(batch).numpy()
                    done += len(batch)
                    if clock.now_s() > end:
                        break
            yield features[:done], labels[part[:done]].numpy()
            if clock.now_s() > end:
                return
