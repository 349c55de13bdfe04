"""Which configurations to try first on new data, and why.

The tables are read and the selector is fitted before the clock starts; only the meta-features are on the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.metalearning import sources
from automl_engine.metalearning.features import distances
from automl_engine.metalearning.selectors import selector_class
from automl_engine.metalearning.tables import HERE, features_path, read_features, read_scores, wide

SELECTOR = "linear"
"""The selector with the least regret on our own tables, of those that choose by similarity (docs/results.md)."""
FEWEST_SETS = 3
"""Number of known data sets below which no order is chosen."""
FAR = 4.0
"""Ratio of budgets beyond which the tables do not apply: with more time larger networks win."""
REPORTED = 4
"""Number of similar data sets that are reported, at most."""


@dataclass(frozen=True)
class Choice:
    """An order of configurations, and the reason for it."""

    order: list[str]
    """The configurations that the tables know, the best first."""
    by: str
    """average or resemblance (Selector.by)."""
    reason: str
    resembles: list[dict[str, Any]]
    """{"dataset", "source", "distance", "alc": of the first row there | None}; of each source the nearest, in order."""


class MetaModel:
    """A selector fitted to the meta-dataset of one modality, for configurations that this machine can run."""

    def __init__(self, modality: str, rows: Sequence[str], folder: Path = HERE) -> None:
        self.modality = modality
        features = read_features(features_path(modality, folder))
        table = wide(read_scores(folder / "scores.csv"), modality)
        self.budget_s = table.budget_s or 0.0
        columns = [j for j, row in enumerate(table.rows) if row in rows]
        lines = [i for i, name in enumerate(table.datasets) if name in features]
        scores = table.alc[np.ix_(lines, columns)]
        known_lines = ~np.isnan(scores).all(1)
        self.rows = [table.rows[j] for j in columns]
        self.scores = scores[known_lines]
        self.sources = [table.sources[i] for i, some in zip(lines, known_lines, strict=True) if some]
        self.datasets = [table.datasets[i] for i, some in zip(lines, known_lines, strict=True) if some]
        self.columns = list(features[self.datasets[0]]) if self.datasets else []
        known = [[features[name][column] for column in self.columns] for name in self.datasets]
        self.features = np.array(known, np.float64).reshape(len(self.datasets), len(self.columns))
        self.usable = len(self.datasets) >= FEWEST_SETS and len(self.rows) > 1
        if self.usable:
            self.selector = selector_class(SELECTOR)().fit(self.features, self.scores)

    def choose(self, features: Mapping[str, float], among: Sequence[str], budget_s: float) -> Choice | None:
        """Those of ``among`` that the tables know, best first; None if the tables know too little."""
        is_far = not self.budget_s / FAR <= budget_s <= self.budget_s * FAR
        if not self.usable or is_far or not set(among) & set(self.rows):
            return None
        new = np.array([features[column] for column in self.columns])
        order = [j for j in self.selector.rank(new) if self.rows[j] in among]
        apart = distances(self.features, new)
        nearest: dict[str, dict[str, Any]] = {}  # of each source the nearest variation
        for i in np.argsort(apart, kind="stable"):
            nearest.setdefault(self.sources[i], self._reported(i, apart[i], order[0]))
        reported = list(nearest.values())[:REPORTED]
        reason = _in_words(self.rows[order[0]], reported)
        if self.selector.by == "average":
            reason = f"{self.rows[order[0]]} is best on average over {len(self.datasets)} data sets; {reason}"
        return Choice([self.rows[j] for j in order], self.selector.by, reason, reported)

    def _reported(self, i: int, distance: float, row: int) -> dict[str, Any]:
        alc = self.scores[i, row]
        return {
            "dataset": self.datasets[i],
            "source": self.sources[i],
            "distance": round(float(distance), 3),
            "alc": None if np.isnan(alc) else round(float(alc), 4),
        }


def _in_words(row: str, nearest: Sequence[Mapping[str, Any]]) -> str:
    first = nearest[0]
    text = f"your data resembles {sources.in_words(first['dataset'])}"
    return text if first["alc"] is None else f"{text}; there {row} reached ALC {first['alc']:.2f}"
