"""Where pretraining takes its examples from: formulas that are drawn, and whose number is the label.

A source is a class with ``classes`` (by name, how many formulas of each kind), ``channels`` and ``draw``; a new one is
a file here and a line in ``SOURCES``.  The formulas are the same for the same seed, on any machine; every drawing
varies them (Kataoka et al., "Pre-training without natural images", ACCV 2020).
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

Targets = dict[str, "torch.Tensor"]
"""By kind of formula: (n, formulas) float32, each row the shares of the formulas in the example (they add up to 1)."""

SOURCES = {
    "fractal": "automl_engine.lab.pretrain.sources.shapes:Fractals",
    "contour": "automl_engine.lab.pretrain.sources.shapes:Contours",
    "mixed": "automl_engine.lab.pretrain.sources.shapes:Mixed",
    "sound": "automl_engine.lab.pretrain.sources.sound:Sounds",
    "dynamics": "automl_engine.lab.pretrain.sources.dynamics:Dynamics",
}
SERIES = {"dynamics"}
"""Those that draw series, for networks of series."""


class Source(Protocol):
    """What the training asks for examples."""

    channels: int
    classes: dict[str, int]

    def __init__(self, seed: int, device: torch.device) -> None: ...

    def draw(self, count: int, side: int) -> tuple[torch.Tensor, Targets]:
        """(count, channels, height, width) float32 in 0..255, of about ``side`` pixels, and what they show; of
        ``SERIES`` (count, 1, 1, side), standardised."""


def source(name: str) -> type[Source]:
    found: type[Source] = resolve_name(SOURCES[name])
    return found
