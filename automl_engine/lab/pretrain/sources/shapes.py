"""Images of fractals and contours, textured and coloured at random, several in one image.

Every image has a textured background and one to ``MOST`` shapes, each filled with a texture; which formulas they are
of is what a network learns to tell (multi-instance prediction: Anderson & Farrell, "Improving fractal pre-training",
WACV 2022, section 3.4), and which colours there are.  Place, size, turn, light and noise say nothing about the class.
"""

from __future__ import annotations

import math

import torch

from automl_engine.lab.pretrain.sources import Targets
from automl_engine.lab.pretrain.sources.contours import ContourFormulas
from automl_engine.lab.pretrain.sources.fractals import FractalFormulas
from automl_engine.lab.pretrain.sources.textures import Textures

SHAPES, TEXTURES, MOST = 128, 64, 2
TONES = 3
"""Formulas of each kind of shape, and of textures; shapes in an image; tones of each primary colour."""
EASY = 0.5
"""Share of the images without which nothing is learned for a long time."""


class Mixed:
    """Fractals and contours."""

    channels = 3
    kinds: tuple[str, ...] = ("fractal", "contour")

    def __init__(self, seed: int, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.device = device
        self.fractals = FractalFormulas(SHAPES, rng, device)
        self.contours = ContourFormulas(SHAPES, rng, device)
        self.textures = Textures(TEXTURES, rng, device)
        self.classes = {"shape": len(self.kinds) * SHAPES, "texture": TEXTURES, "colour": TONES**3}

    def draw(self, count: int, side: int) -> tuple[torch.Tensor, Targets]:
        device = self.device
        span = (2 * torch.arange(side, device=device) + 1) / side - 1
        y, x = (grid.expand(count, -1, -1) for grid in torch.meshgrid(span, span, indexing="ij"))
        texture = torch.randint(0, TEXTURES, (MOST + 1, count), device=device)
        hard = torch.rand(count, device=device)
        palette, contrast = _palettes(MOST + 1, hard)
        image = _coloured(self.textures.draw(texture[0], x, y), palette[0])
        shown = [torch.ones(count, side, side, device=device)]
        shape = torch.randint(0, self.classes["shape"], (MOST, count), device=device)
        present = torch.arange(MOST, device=device)[:, None] < 1 + (torch.rand(count, device=device) ** 2 * MOST).long()
        crowd = present.sum(0)
        for i in range(MOST):
            mask = self._masks(shape[i], _frames(count, crowd, device), x, y) * present[i][:, None, None]
            image = torch.lerp(
                image, _coloured(self.textures.draw(texture[i + 1], x, y), palette[i + 1]), mask[:, None]
            )
            shown = [*(below * (1 - mask) for below in shown), mask]
        area = torch.stack(shown).mean((2, 3))  # (MOST + 1, count), of what is not covered
        image = _photographed(image, hard)
        return image, {
            "shape": shares(shape, present.float(), self.classes["shape"]),
            "texture": shares(texture, area * contrast, TEXTURES),
            "colour": _colours(image),
        }

    def _masks(self, shape: torch.Tensor, frame: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(n, side, side) in 0..1 of the shapes (n,): fractals come first where there are both."""
        masks = torch.empty_like(x)
        kind = shape // SHAPES
        for number, name in enumerate(self.kinds):
            rows = (kind == number).nonzero()[:, 0]
            which = shape[rows] % SHAPES
            if name == "fractal":
                masks[rows] = self.fractals.draw(which, frame[rows], x.shape[2])
            else:
                inverse = torch.linalg.inv(frame[rows][..., :2])
                dx, dy = (place[rows] - frame[rows, i, 2][:, None, None] for i, place in enumerate((x, y)))
                seen = [inverse[:, i, 0, None, None] * dx + inverse[:, i, 1, None, None] * dy for i in (0, 1)]
                masks[rows] = self.contours.draw(which, *seen)
        return masks


class Fractals(Mixed):
    kinds = ("fractal",)


class Contours(Mixed):
    kinds = ("contour",)


def shares(which: torch.Tensor, weights: torch.Tensor, classes: int) -> torch.Tensor:
    """(k, n) classes with weights -> (n, classes) that add up to 1."""
    sums = torch.zeros(which.shape[1], classes, device=which.device).scatter_add_(1, which.T, weights.T.contiguous())
    return sums / sums.sum(1, keepdim=True).clamp(min=1e-6)


def _frames(count: int, crowd: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(n, 2, 3): turned, sheared, sized and placed at random; smaller where there are more shapes, (n,)."""
    turn = math.pi * (2 * torch.rand(count, device=device) - 1) / 8
    size = (0.7 + 0.5 * torch.rand(count, device=device)) / crowd.float() ** 0.4
    stretch = torch.exp(0.1 * torch.randn(count, device=device))
    cos, sin = turn.cos(), turn.sin()
    rows = [size * stretch * cos, -size / stretch * sin, size * stretch * sin, size / stretch * cos]
    place = (2 * torch.rand(2, count, device=device) - 1) * (1.15 - size).clamp(min=0.1)
    return torch.stack([rows[0], rows[1], place[0], rows[2], rows[3], place[1]], 1).reshape(count, 2, 3)


def _palettes(layers: int, hard: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """((layers, n, 2, 3), (layers, n)): the colours of a texture's lowest and highest value in 0..1, their contrast.

    Easy images have bright shapes on a plain ground.
    """
    count, device = len(hard), hard.device
    contrast = torch.rand(layers, count, device=device)
    contrast[0] *= torch.rand(count, device=device)
    base = torch.rand(layers, count, 1, 3, device=device)
    base[1:] = (base[0] + 0.25 + 0.5 * base[1:]) % 1  # apart from the ground
    easy = (hard < EASY)[:, None, None]
    base[0] = torch.where(easy, 0.3 * base[0], base[0])
    base[1:] = torch.where(easy, 0.7 + 0.3 * base[1:], base[1:])
    direction = 0.3 + 0.4 * torch.rand(layers, count, 1, 3, device=device)
    colours = base + direction * contrast[..., None, None] * torch.tensor([-1.0, 1.0], device=device)[:, None]
    grey = torch.rand(1, count, 1, 1, device=device) < 0.15
    return torch.where(grey, colours.mean(3, keepdim=True), colours).clamp(0, 1), contrast


def _colours(image: torch.Tensor) -> torch.Tensor:
    """(n, 3, H, W) in 0..255 -> (n, TONES ** 3): the shares of the pixels with such a colour."""
    tone = (image * (TONES / 256)).long()
    which = (TONES * (TONES * tone[:, 0] + tone[:, 1]) + tone[:, 2]).flatten(1).T
    return shares(which, torch.ones(which.shape, device=image.device), TONES**3)


def _coloured(values: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """(n, H, W) and (n, 2, 3) -> (n, 3, H, W)."""
    low, high = palette[:, 0, :, None, None], palette[:, 1, :, None, None]
    return low + values[:, None] * (high - low)


def _photographed(image: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
    """In 0..255, with light from one side, blur and noise; the more, the harder (0..1)."""
    n, _, height, width = image.shape
    device, hard = image.device, hard[:, None, None, None]
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    image = torch.lerp(image, blurred, hard * torch.rand(n, 1, 1, 1, device=device))
    slope = 0.25 * hard * torch.randn(2, n, 1, 1, 1, device=device)
    across = torch.linspace(-1, 1, width, device=device)[None, None, None]
    down = torch.linspace(-1, 1, height, device=device)[None, None, :, None]
    light = torch.exp(0.25 * hard * torch.randn(n, 1, 1, 1, device=device)) + slope[0] * across + slope[1] * down
    noise = 0.05 * hard * torch.randn(image.shape, device=device)
    return (255 * (image * light + noise)).clamp(0, 255)
