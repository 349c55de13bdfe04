"""The AnytimeModel protocol: the challenge's API plus save, load and export.

The ingestion loop calls ``train`` and ``test`` in turn until ``done_training`` or the budget ends; each
``train`` returns when a new prediction is worth writing.  ``auto`` drives its members in the same way.
"""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec

if TYPE_CHECKING:
    import torch


class AnytimeModel(ABC):
    """Learns step by step and can predict after every step.

    Construction (imports, weight loading) is not on the clock.  Arguments are kept as they are; all checks
    and all work happen in ``train``.
    """

    name: ClassVar[str]
    """Its key in MODELS."""
    refits: ClassVar[bool] = True
    """Whether it is cheap to refit: auto validates it on several folds and then fits it again on all examples."""

    def __init__(self, spec: Spec, **params: Any) -> None:
        self.spec = spec
        self.params = params
        self.done_training = False
        self.emit: Callable[..., None] = _silent
        """Set by the ingestion loop: writes one event of the run's journal (events.KINDS)."""

    @classmethod
    def load_ahead(cls, **params: Any) -> None:
        """What takes long, beside imports, before a model can be made; it may run in a thread beside other work."""
        return

    @property
    def made_by(self) -> str:
        """Who made the last prediction."""
        return self.name

    @property
    def why(self) -> str:
        """Why these; empty if there was no choice."""
        return ""

    @property
    def device(self) -> torch.device | str:
        """Where it computes: where it was asked to, if torch is loaded and sees a GPU."""
        loaded, asked = sys.modules.get("torch"), self.params.get("device", "auto")
        if not (loaded and loaded.cuda.is_available()):
            return "cpu"
        return "cuda" if asked == "auto" else asked

    @abstractmethod
    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """Learn for one step (seconds, not minutes); sets ``done_training`` when more would be no use."""

    @abstractmethod
    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray | None:
        """(N, K) float array of probabilities, softmax (single-label) or sigmoid (multi-label); None = stop."""

    def frozen(self) -> AnytimeModel:
        """A copy for ``test``, ``save`` and ``export`` that further training of this model does not touch."""
        emit, self.emit = self.emit, _silent
        try:
            return copy.deepcopy(self)
        finally:
            self.emit = emit

    def save(self, dir: Path) -> None:
        """Write what made the last prediction, quickly and torch-natively (JSON, safetensors, .txt booster)."""
        raise TypeError(f"model {type(self).name!r} cannot be saved")

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> AnytimeModel:
        """The saved model, ready for ``test`` and ``export``."""
        raise TypeError(f"model {cls.name!r} cannot be loaded")

    def export(self, dir: Path) -> list[dict[str, Any]]:
        """Write graphs for ``predictor.py`` into ``dir`` and return its members (see docs/formats.md)."""
        raise TypeError(f"model {type(self).name!r} cannot be exported")


def _silent(kind: str, **fields: Any) -> None:
    """Nobody listens."""


def is_multi_label(labels: np.ndarray) -> bool:
    """Single-label iff every row has exactly one class; decided on the train split."""
    return not (np.isclose(labels.sum(1), 1).all() and np.isclose(labels.max(1), 1).all())
