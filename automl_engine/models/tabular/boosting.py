"""What boosted trees of all libraries share: a few rounds at once, then settings compared by cross-validation.

Everything here keeps to the clock: a large table is read and boosted only as far as the time for a step allows.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from automl_engine import clock
from automl_engine.dataset.decode import CORES
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.splits import even_folds
from automl_engine.features.tabular import tabular_values
from automl_engine.models.base import AnytimeModel, is_multi_label

MAX_ROUNDS = 600
PATIENCE = 25
"""Number of rounds without a better validation loss after which boosting stops."""
FOLDS = 4
FOLDS_UP_TO = 10_000
"""Number of rows up to which boosting validates on all folds; with more rows, one fold tells enough."""
LONGEST_STEP_S, LONGEST_SHARE = 8.0, 0.2
"""Time after which a step ends, and fraction of the remaining time after which it ends as well."""
CELLS_PER_S = 4_000_000
"""Cells per second that a library sorts into bins, about; boosting itself is watched round by round."""
CHUNK = 5000
"""Number of rows that are read between two looks at the clock."""
FEWEST_ROWS = 24
SMALL = 200_000
"""Cells of a table below which one thread works: several would wait for each other longer than they work."""


def rows_in_time(split: Examples, stop_at: float, most: int, seed: int) -> Examples:
    """The whole table, or at most ``most`` random rows of it: those that could be read until ``stop_at``."""
    order = np.random.default_rng(seed).permutation(len(split))[:most]
    for at in range(CHUNK, len(order), CHUNK):
        tabular_values(split.subset(order[at - CHUNK : at]))  # kept
        if clock.now_s() > stop_at:
            order = order[:at]
            break
    return split.subset(np.sort(order)) if len(order) < len(split) else split


def deal(labels: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(training rows, validation rows) a fold.

    A table of one row is checked on itself: there is no other.
    """
    fold_count = min(FOLDS, len(labels))
    fold_of = even_folds(labels.argmax(1), fold_count, seed)
    for fold in range(fold_count if len(labels) <= FOLDS_UP_TO else 1):
        held = fold_of == fold
        yield np.flatnonzero(~held if fold_count > 1 else held), np.flatnonzero(held)


def row_weights(labels: np.ndarray) -> np.ndarray:
    """(N,) mean 1: rows of rare classes weigh more (by the root of their rarity), since the score counts each class
    like any other."""
    weights = labels.mean(0).clip(1 / len(labels))[labels.argmax(1)] ** -0.5
    return weights / weights.mean()


def enough(inputs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table that the libraries take: they refuse a handful of rows, and columns of which none varies.

    Rows are repeated up to FEWEST_ROWS; where all are alike, as many others are added that have the same labels.
    """
    if not any(np.ptp(known) > 0 for column in inputs.T if len(known := column[~np.isnan(column)])):
        inputs = np.concatenate([inputs, np.nan_to_num(inputs) + 1])
        labels = np.concatenate([labels, labels])
    times = -(-FEWEST_ROWS // len(inputs))
    return np.tile(inputs, (times, 1)), np.tile(labels, (times, 1))


class TabularBoosting(AnytimeModel):
    """First step: a few rounds.  Then each step cross-validates one of ``candidates`` and refits if it is the best yet.

    Params: ``seed``; ``own_settings`` make a setting that is tried instead of the ``candidates``.
    """

    first: ClassVar[dict[str, Any]]
    """The setting of the first step; ``rounds`` is how many."""
    candidates: ClassVar[tuple[dict[str, Any], ...]]
    own_settings: ClassVar[tuple[str, ...]]
    """The parameters of which a configuration may make a setting."""
    package: ClassVar[str]
    suffix: ClassVar[str]
    """Of the booster's file, by which ``predictor.py`` knows the library."""

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.inputs, self.labels, self.multi_label = np.empty((0, 0)), np.empty((0, 0)), False
        self.booster: Any = None
        self._steps, self._best_loss = 0, np.inf

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        share_s = min(LONGEST_STEP_S, LONGEST_SHARE * remaining_time_budget)
        stop_at = clock.now_s() + share_s
        if self._steps == 0:
            self._read(split, share_s)
            setting = dict(self.first)
            self.booster = self.fit(setting, setting.pop("rounds"), stop_at)
        else:
            self._try(self.settings[self._steps - 1], stop_at)
        self._steps += 1
        self.done_training = self._steps > len(self.settings)

    def _read(self, split: Examples, share_s: float) -> None:
        spec = split.spec
        width = max(1, spec.row_count * spec.col_count * spec.num_channels)
        most = max(CHUNK, int(share_s * CELLS_PER_S) // width)
        rows = rows_in_time(split, clock.now_s() + share_s / 2, most, self.seed)
        self.inputs, self.labels = enough(tabular_values(rows), rows.labels)
        self.multi_label = is_multi_label(split.labels)

    def _try(self, candidate: dict[str, Any], stop_at: float) -> None:
        loss, rounds = self.cross_validate(candidate, stop_at)
        if loss < self._best_loss:
            self._best_loss = loss
            self.booster = self.fit(candidate, rounds, stop_at + LONGEST_STEP_S)
            text = f"{self.describe(candidate)}, {rounds} rounds (validation loss {loss:.4f})"
            self.emit("progress", by=self.name, text=f"boosted trees: {text}")

    @property
    def settings(self) -> tuple[dict[str, Any], ...]:
        own = {name: self.params[name] for name in self.own_settings if name in self.params}
        return ({**self.candidates[0], **own},) if own else self.candidates

    @property
    def seed(self) -> int:
        return int(self.params.get("seed", 0))

    @property
    def threads(self) -> int:
        return 1 if self.inputs.size < SMALL else clock.threads(CORES)

    @abstractmethod
    def fit(self, setting: dict[str, Any], rounds: int, stop_at: float) -> Any:
        """A booster on all rows, of fewer rounds where there is no time for more."""

    @abstractmethod
    def cross_validate(self, setting: dict[str, Any], stop_at: float) -> tuple[float, int]:
        """The lowest validation loss that was seen in time, and after how many rounds."""

    @abstractmethod
    def describe(self, setting: dict[str, Any]) -> str:
        """The setting in a few words."""

    @property
    @abstractmethod
    def tree_count(self) -> int:
        """Of the booster, all classes."""

    @abstractmethod
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """(N, K) probabilities of (N, F) values."""

    @abstractmethod
    def write(self, path: Path) -> None:
        """The booster in its library's own format."""

    @classmethod
    @abstractmethod
    def read(cls, path: Path) -> Any:
        """What ``write`` wrote."""

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        return self._ask(tabular_values(split))

    def _ask(self, inputs: np.ndarray) -> np.ndarray:
        def amounts() -> dict[str, float]:
            return {"rows": len(inputs), "trees": self.tree_count, "visits": len(inputs) * self.tree_count}

        with clock.work(f"{self.package} predict", amounts):
            return self.predict(inputs)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        self.write(dir / f"booster{self.suffix}")

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        model.booster = cls.read(dir / f"booster{cls.suffix}")
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        booster = f"{self.name}{self.suffix}"
        self.write(dir / booster)
        return [{"name": self.name, "weight": 1, "feature": "tabular_values", "params": {}, "booster": booster}]
