"""Image augmentation on batches, where they are: the operations of AutoAugment, and which of them suit a data set.

The operations and sub-policies are those found for CIFAR-10 by Cubuk et al., "AutoAugment: learning augmentation
policies from data", CVPR 2019; the search is Algorithm 1 of AutoCLINT (Baek, Kim, Yoon & Kim, "AutoCLINT: the
winning method in AutoCV challenge 2019", section 3.2), a light Fast AutoAugment.

Images are (n, C, H, W) float32 in 0..255 everywhere.  An operation takes them with a strength (n,) in -1..1, the
magnitude of the papers over 9 with the sign of its direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from automl_engine import clock
from automl_engine.dataset.metrics import nauc

SubPolicy = tuple[tuple[str, float, int], ...]
"""Operations in turn: (name, probability, magnitude 0..9)."""

SUB_POLICIES: tuple[SubPolicy, ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("auto_contrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("auto_contrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("auto_contrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 1)),
)
PARTS = 4
"""Number of parts of a batch, each with a sub-policy of its own: few large operations are fast ones."""


# The search


def search(
    predict: Callable[[torch.Tensor], np.ndarray],
    images: torch.Tensor,
    labels: np.ndarray,
    time_s: float,
    count: int = 3,
    tries: int = 100,
    kept: int = 5,
) -> list[SubPolicy]:
    """The sub-policies of the ``kept`` best of ``tries`` random policies of ``count`` sub-policies each (Algorithm 1).

    A policy counts if the network predicts the images under it better than as they are; so the list can be empty.

    Args:
        predict: images -> (N, K) probabilities by the network trained so far.
        images: examples that it has not seen.
        labels: (N, K) in 0..1.
        time_s: after this no further policy is tried.
    """
    stop = clock.now_s() + time_s
    plain = nauc(labels, predict(images))
    found: list[tuple[float, list[SubPolicy]]] = []
    for _ in range(tries):
        policy = [SUB_POLICIES[i] for i in torch.randperm(len(SUB_POLICIES))[:count].tolist()]
        with clock.work("augment", values=images.numel()):
            changed = apply(policy, images)
        score = nauc(labels, predict(changed))
        if score > plain:
            found.append((score, policy))
        if clock.now_s() > stop:
            break
    found.sort(key=lambda item: -item[0])
    return [sub_policy for _, policy in found[:kept] for sub_policy in policy]


# What is done to a batch


def apply(policy: Sequence[SubPolicy], images: torch.Tensor) -> torch.Tensor:
    """Each part of the batch goes through a sub-policy drawn at random; new images of the same shape."""
    parts = []
    for part in images.chunk(PARTS):
        for name, probability, magnitude in policy[int(torch.randint(len(policy), ()))]:
            signs = torch.where(torch.rand(len(part), device=part.device) < 0.5, -1.0, 1.0)
            changed = OPERATIONS[name](part, signs * (magnitude / 9))
            part = _where(torch.rand(len(part), device=part.device) < probability, changed, part)
        parts.append(part)
    return torch.cat(parts)


def mixed(inputs: torch.Tensor, labels: torch.Tensor, concentration: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Each example and its label mixed with another's (Zhang et al., "mixup", ICLR 2018); one share a batch."""
    share = float(np.random.default_rng(int(torch.randint(2**31, ()))).beta(concentration, concentration))
    other = torch.randperm(len(inputs), device=inputs.device)
    return torch.lerp(inputs[other], inputs, share), torch.lerp(labels[other], labels, share)


def _where(mask: torch.Tensor, yes: torch.Tensor, no: torch.Tensor) -> torch.Tensor:
    return torch.where(mask[:, None, None, None], yes, no)


def _warp(images: torch.Tensor, matrix: list[list[torch.Tensor | float]]) -> torch.Tensor:
    """Where each pixel comes from, 2 × 3 in units of half the side; what comes from outside is grey."""
    like = images[:, 0, 0, 0]
    rows = [torch.stack([torch.as_tensor(x, device=like.device).expand_as(like) for x in row], 1) for row in matrix]
    grid = F.affine_grid(torch.stack(rows, 1).float(), list(images.shape), align_corners=False)
    return F.grid_sample(images - 128, grid, align_corners=False) + 128


def _rotate(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    angle = strength * math.radians(30)
    stretch = images.shape[2] / images.shape[3]
    sine, cosine = angle.sin(), angle.cos()
    return _warp(images, [[cosine, -sine * stretch, 0.0], [sine / stretch, cosine, 0.0]])


def _blend(base: torch.Tensor, images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """From ``base`` through the image (strength 0) to beyond it."""
    return (base + (images - base) * (1 + 0.9 * strength[:, None, None, None])).clamp(0, 255)


def _grey(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = images.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    return (images * weights).sum(1, keepdim=True)


def _sharpness(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    channels = images.shape[1]
    kernel = images.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = F.conv2d(F.pad(images, (1,) * 4, mode="replicate"), kernel.expand(channels, 1, 3, 3), groups=channels)
    return _blend(smooth, images, strength)


def _posterize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    step = 2.0 ** (strength.abs() * 4).round()[:, None, None, None]
    return (images / step).floor() * step


def _solarize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    return torch.where(images >= 255 * (1 - strength.abs()[:, None, None, None]), 255 - images, images)


def _auto_contrast(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) * (255 / (high - low).clamp(min=1e-3)), images)


def _equalize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """A pixel becomes 255 times the share of pixels that are darker, over that share at the brightest."""
    values = images.long().clamp(0, 255).flatten(2)  # (n, C, H * W)
    counts = torch.zeros(*values.shape[:2], 256, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values, dtype=counts.dtype))
    darker = counts.cumsum(2) - counts
    most = darker.gather(2, values.amax(2, keepdim=True))
    flat = (darker * (255 / most.clamp(min=1))).gather(2, values)
    return torch.where(most > 0, flat, values.float()).view_as(images)


OPERATIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "auto_contrast": _auto_contrast,
    "brightness": lambda images, s: _blend(torch.zeros_like(images), images, s),
    "color": lambda images, s: _blend(_grey(images), images, s),
    "contrast": lambda images, s: _blend(_grey(images).mean((1, 2, 3), keepdim=True), images, s),
    "equalize": _equalize,
    "invert": lambda images, s: 255 - images,
    "posterize": _posterize,
    "rotate": _rotate,
    "sharpness": _sharpness,
    "shear_x": lambda images, s: _warp(images, [[1.0, 0.3 * s, 0.0], [0.0, 1.0, 0.0]]),
    "shear_y": lambda images, s: _warp(images, [[1.0, 0.0, 0.0], [0.3 * s, 1.0, 0.0]]),
    "solarize": _solarize,
    "translate_x": lambda images, s: _warp(images, [[1.0, 0.0, 2 * 150 / 331 * s], [0.0, 1.0, 0.0]]),
    "translate_y": lambda images, s: _warp(images, [[1.0, 0.0, 0.0], [0.0, 1.0, 2 * 150 / 331 * s]]),
}
