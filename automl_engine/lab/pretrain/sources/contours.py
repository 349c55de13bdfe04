"""Contours from formulas: closed curves around a centre, with many or few corners, filled or drawn as nested lines.

After radial contours (Kataoka et al., "Replacing labeled real-image datasets with auto-generated contours", CVPR 2022).
"""

from __future__ import annotations

import math

import torch

ANGLES = 128


class ContourFormulas:
    """``count`` curves: the radius at ``ANGLES`` angles (polygons, stars, waves), and how they are drawn."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        self.radius = torch.stack([_curve(rng) for _ in range(count)]).to(device)  # (count, ANGLES) up to 1
        self.rings = torch.randint(0, 5, (count,), generator=rng).clamp(min=1).to(device)  # 1: filled, else lines
        self.hole = ((torch.rand(count, generator=rng) < 0.3) * torch.rand(count, generator=rng) * 0.7).to(device)

    def draw(self, which: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(n, H, W) in 0..1: how much of each pixel the curve covers; x and y (n, H, W) as the curve sees them."""
        n, height, width = x.shape
        angle = torch.atan2(y, x) * (ANGLES / (2 * math.pi)) % ANGLES
        lower = angle.floor().clamp(max=ANGLES - 1)
        share = angle - lower
        radius = self.radius[which] * (1 + 0.05 * _smooth_noise(n, x.device))
        before = lower.long().reshape(n, -1)
        left = radius.gather(1, before).reshape(x.shape)
        right = radius.gather(1, (before + 1) % ANGLES).reshape(x.shape)
        edge = (left + share * (right - left)).clamp(min=0.02)
        depth = 1 - (x * x + y * y).sqrt() / edge  # 0 at the curve, 1 in the middle
        soft = 0.35 * min(height, width)
        inside = torch.sigmoid(soft * depth) * torch.sigmoid(soft * (1 - self.hole[which][:, None, None] - depth))
        rings = self.rings[which][:, None, None]
        lines = 0.5 + 0.5 * torch.cos(2 * math.pi * rings * depth)
        return torch.where(rings > 1, inside * torch.sigmoid(8 * (lines - 0.5)), inside)


def _curve(rng: torch.Generator) -> torch.Tensor:
    """(ANGLES,): a polygon, a star or a sum of waves, squeezed along one direction."""
    kind = int(torch.randint(0, 3, (1,), generator=rng))
    corners = int(torch.randint(3, 13, (1,), generator=rng))
    angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    if kind == 2:
        waves = torch.randn(2, 8, generator=rng) / torch.arange(1, 9)
        turns = angle[:, None] * torch.arange(1, 9)
        radius = torch.exp(0.35 * (turns.cos() @ waves[0] + turns.sin() @ waves[1]))
    else:
        at = torch.rand(corners, generator=rng).sort().values if kind else torch.arange(corners) / corners
        heights = 0.3 + 0.7 * torch.rand(corners, generator=rng)
        radius = _polygon(2 * math.pi * at, heights if kind else torch.ones(corners), angle)
    squeeze = 1 - 0.6 * float(torch.rand(1, generator=rng))
    turn = math.pi * float(torch.rand(1, generator=rng))
    radius = radius / ((angle - turn).cos() ** 2 + ((angle - turn).sin() / squeeze) ** 2).sqrt()
    return radius / radius.max()


def _polygon(at: torch.Tensor, heights: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """The radius in each direction of the polygon with corners at these angles and distances."""
    upper = torch.searchsorted(at, angle.contiguous(), right=True)
    a, b = (upper - 1) % len(at), upper % len(at)
    span, along = (at[b] - at[a]) % (2 * math.pi), (angle - at[a]) % (2 * math.pi)
    span = span.where(span > 0, torch.tensor(2 * math.pi))
    chord = heights[a] * heights[b] * span.sin() / (heights[a] * along.sin() + heights[b] * (span - along).sin())
    straight = (span < 3.0) & chord.isfinite()  # wider corners have no chord on this side of the centre
    return torch.where(straight, chord, heights[a] + (heights[b] - heights[a]) * along / span).clamp(0.05, 1)


def _smooth_noise(n: int, device: torch.device) -> torch.Tensor:
    """(n, ANGLES): a few random waves around the circle."""
    angle = torch.arange(ANGLES, device=device) * (2 * math.pi / ANGLES)
    turns = angle[None] * torch.arange(1, 6, device=device)[:, None]
    return torch.randn(n, 5, device=device) @ turns.cos() + torch.randn(n, 5, device=device) @ turns.sin()
