"""Textures from formulas: gratings that are warped and bent, by class; values in 0..1."""

from __future__ import annotations

import math

import torch

WAVES = 3
PROFILES = 4
"""How a sum of waves becomes a texture: as it is, its edges, its stripes, its lines."""


class Textures:
    """``count`` formulas: the frequencies, directions and strengths of ``WAVES`` gratings, their warp and profile."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        frequency = 1.5 * 8 ** torch.rand(count, WAVES, generator=rng)  # cycles a side
        direction = math.pi * torch.rand(count, WAVES, generator=rng)
        self.waves = torch.stack([frequency * direction.cos(), frequency * direction.sin()], 2).to(device)
        self.strength = torch.rand(count, WAVES, generator=rng).to(device) + 0.2
        self.warp = (2 * torch.rand(count, 2, 2, generator=rng)).to(device)  # cycles a side, of the warp of x and of y
        self.warp_reach = (0.12 * torch.rand(count, 1, 1, generator=rng)).to(device)
        self.profile = torch.randint(0, PROFILES, (count,), generator=rng).to(device)

    def draw(self, which: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(n, H, W) in 0..1 of the formulas ``which`` (n,) at the places x, y (n, H, W) in about -1..1."""
        device, n = x.device, len(which)
        turn = 0.1 * torch.randn(n, 1, 1, device=device)
        zoom = torch.exp(0.08 * torch.randn(n, 1, 1, device=device))
        x, y = zoom * (x * turn.cos() - y * turn.sin()), zoom * (x * turn.sin() + y * turn.cos())
        warp, reach = math.pi * self.warp[which][..., None, None], self.warp_reach[which]
        phase = 2 * math.pi * torch.rand(n, 2 + WAVES, 1, 1, device=device)
        x, y = (
            x + reach * torch.sin(warp[:, 0, 0] * x + warp[:, 0, 1] * y + phase[:, 0]),
            y + reach * torch.sin(warp[:, 1, 0] * x + warp[:, 1, 1] * y + phase[:, 1]),
        )
        value = torch.zeros_like(x)
        for i in range(WAVES):
            wave = math.pi * self.waves[which, i][..., None, None]
            value += self.strength[which, i][:, None, None] * torch.sin(
                wave[:, 0] * x + wave[:, 1] * y + phase[:, 2 + i]
            )
        value /= self.strength[which].sum(1)[:, None, None]
        shaped = torch.stack([
            0.5 + 0.5 * value,
            torch.sigmoid(12 * value),
            0.5 + 0.5 * torch.sin(6 * value),
            1 - (3 * value).abs().clamp(max=1),
        ])  # fmt: skip
        return shaped[self.profile[which], torch.arange(n, device=device)]
