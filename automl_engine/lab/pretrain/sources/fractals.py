"""Fractals from formulas: the points that iterated function systems visit.

The systems are drawn by their singular values, as in Anderson & Farrell, "Improving fractal pre-training", WACV 2022
(section 3.2): a well-spread image needs a sum of singular values between (5 + N) / 2 - 0.5 and (5 + N) / 2 for N maps.
"""

from __future__ import annotations

import math

import torch

MAPS = 4
CHAINS, STEPS, BURN_IN = 128, 40, 8
"""Points that walk at the same time, and how far; a drawing has CHAINS × (STEPS - BURN_IN) points."""


class FractalFormulas:
    """``count`` systems of 2 to ``MAPS`` affine maps, and where their points lie."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        systems = [_system(int(torch.randint(2, MAPS + 1, (1,), generator=rng)), rng) for _ in range(count)]
        self.maps = torch.stack([maps for maps, _ in systems]).to(device)  # (count, MAPS, 2, 3)
        self.edges = torch.stack([chances.cumsum(0) for _, chances in systems])[:, :-1].to(device)
        points = self._points(torch.arange(count, device=device))
        centre = points.median(1).values
        self.centre = centre  # (count, 2)
        self.reach = (points - centre[:, None]).norm(dim=2).quantile(0.95, 1).clamp(min=1e-3)

    def draw(self, which: torch.Tensor, frame: torch.Tensor, side: int) -> torch.Tensor:
        """(n, side, side) in 0..1: how often points fall on a pixel; ``frame`` (n, 2, 3) maps points to -1..1."""
        points = (self._points(which) - self.centre[which][:, None]) / self.reach[which][:, None, None]
        placed = points @ frame[..., :2].transpose(1, 2) + frame[:, None, :, 2]
        at = ((placed + 1) * (side / 2)).floor()
        seen = ((at >= 0) & (at < side)).all(2)
        pixel = (at[..., 1] * side + at[..., 0]).where(seen, torch.tensor(0.0, device=at.device)).long()
        hits = torch.zeros(len(which), side * side, device=at.device).scatter_add_(1, pixel, seen.float())
        typical = hits.sum(1, keepdim=True).clamp(min=1) / (hits > 0).sum(1, keepdim=True).clamp(min=1)
        return (hits / typical).clamp(max=1).reshape(-1, side, side)

    def _points(self, which: torch.Tensor) -> torch.Tensor:
        """(n, points, 2), each system's maps a little changed."""
        n, device = len(which), self.maps.device
        maps = self.maps[which] * (1 + 0.03 * torch.randn(n, MAPS, 2, 3, device=device))
        maps = maps.reshape(n * MAPS, 6)
        edges, first = self.edges[which], MAPS * torch.arange(n, device=device)[:, None]
        x, y = 0.2 * torch.randn(2, n, CHAINS, device=device)
        visited = []
        for step in range(STEPS):
            chance = torch.rand(n, CHAINS, 1, device=device)
            a, b, tx, c, d, ty = maps[first + (chance > edges[:, None]).sum(2)].unbind(2)
            x, y = a * x + b * y + tx, c * x + d * y + ty
            if step >= BURN_IN:
                visited.append(torch.stack([x, y], 2))
        return torch.cat(visited, 1)


def _system(count: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """((MAPS, 2, 3), (MAPS,)): affine maps and how often each is taken (by its area); absent maps are never taken."""
    total = (5 + count) / 2 - 0.5 * float(torch.rand(1, generator=rng))
    # Singular values s1 >= s2 of each map with sum(s1 + 2 * s2) = total: shares at random, drawn until all are below 1.
    while True:
        shares = torch.rand(count, 2, generator=rng)
        shares[:, 1] *= shares[:, 0]
        values = shares * total / (shares[:, 0] + 2 * shares[:, 1]).sum()
        if values.max() < 1:
            break
    turns = 2 * math.pi * torch.rand(2, count, generator=rng)
    flips = torch.randint(0, 2, (2, count), generator=rng).float() * 2 - 1
    maps, chances = torch.zeros(MAPS, 2, 3), torch.zeros(MAPS)
    for i in range(count):
        left, right = _rotation(float(turns[0, i])), _rotation(float(turns[1, i]))
        maps[i, :, :2] = left @ torch.diag(values[i]) @ right @ torch.diag(flips[:, i])
    maps[:count, :, 2] = 2 * torch.rand(count, 2, generator=rng) - 1
    chances[:count] = (values[:, 0] * values[:, 1]).clamp(min=0.02)
    return maps, chances / chances.sum()


def _rotation(angle: float) -> torch.Tensor:
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
