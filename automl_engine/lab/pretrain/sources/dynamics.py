"""Series from random dynamical systems, one channel each; which system made it is what a network learns to tell.

From where to where it is seen, how fast, on which trend, and behind how much noise say nothing about the system; how
high and how large a series is says nothing either, but is asked for: or else a network learns not to see it.
"""

from __future__ import annotations

import math

import torch

from automl_engine.lab.pretrain.sources import Targets
from automl_engine.lab.pretrain.sources.shapes import shares
from automl_engine.lab.pretrain.sources.systems import (
    Chirps,
    Courses,
    flows,
    maps,
    networks,
    noises,
)

KINDS = (flows, networks, maps, noises, Courses, Chirps)
FORMULAS, LEVELS = 64, 8
"""Of each kind; classes of height (the mean) and of size (the deviation)."""

HEIGHT, SIZE = 0.8, (-0.3, 0.6)
"""Deviation of the mean; mean and deviation of the natural log of the scale."""


class Dynamics:
    channels = 1
    classes = {"system": len(KINDS) * FORMULAS, "height": LEVELS, "size": LEVELS}

    def __init__(self, seed: int, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.device = device
        self.kinds = [kind(FORMULAS, rng, device) for kind in KINDS]

    def draw(self, count: int, side: int) -> tuple[torch.Tensor, Targets]:
        """(count, 1, 1, side) float32 of about mean 0 and deviation 1: pictures of one row."""
        which = torch.randint(0, self.classes["system"], (count,), device=self.device)
        at, series = _times(count, side, self.device), torch.empty(count, side, device=self.device)
        for number, kind in enumerate(self.kinds):
            rows = (which // FORMULAS == number).nonzero()[:, 0]
            series[rows] = kind.play(which[rows] % FORMULAS, at[rows])
        heard = torch.ones(1, count, device=self.device)
        series = _measured(series)
        known = {
            "system": which,
            "height": _level(series.mean(1) / HEIGHT),
            "size": _level((series.std(1).log() - SIZE[0]) / SIZE[1]),
        }
        targets = {name: shares(number[None], heard, self.classes[name]) for name, number in known.items()}
        return series[:, None, None], targets


def _times(count: int, side: int, device: torch.device) -> torch.Tensor:
    """(count, side) in steps, rising from 0 or more, at a speed about 1 that changes smoothly."""
    speed = (0.15 * torch.randn(count, 1, device=device)).exp()
    bend, phase, turns = torch.rand(3, count, 1, device=device)
    share = torch.linspace(0, 1, side, device=device)
    angle = 2 * math.pi * (1 + turns)
    warped = share + 0.3 * bend * (torch.sin(angle * share + 6.3 * phase) - torch.sin(6.3 * phase)) / angle
    return side * speed * warped + 0.08 * side * torch.rand(count, 1, device=device)


def _measured(series: torch.Tensor) -> torch.Tensor:
    """(n, L) on a trend, behind noise, at some scale and height."""
    n, length, device = *series.shape, series.device
    series = (series - series.mean(1, keepdim=True)) / series.std(1, keepdim=True).clamp(min=1e-3)
    trend = 0.7 * torch.randn(n, 1, device=device) * (torch.rand(n, 1, device=device) < 0.3)
    loudness = 0.5 * torch.rand(n, 1, device=device) ** 2
    series = series + trend * torch.linspace(-1, 1, length, device=device) + loudness * torch.randn_like(series)
    scale = (SIZE[0] + SIZE[1] * torch.randn(n, 1, device=device)).exp()
    return scale * series + HEIGHT * torch.randn(n, 1, device=device)


def _level(values: torch.Tensor) -> torch.Tensor:
    """(n,), normally distributed -> (n,) numbers of levels, about as many of each."""
    return (LEVELS * torch.special.ndtr(values)).long().clamp(max=LEVELS - 1)
