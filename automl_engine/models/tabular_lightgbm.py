"""Gradient-boosted trees (LightGBM, Ke et al. 2017): a few rounds at once, then settings compared by cross-validation.

A multi-label table is boosted in one booster too, one tree a label and round, by the logistic loss of every label.
The tree file is LightGBM's own text; it is saved as "one against all", whose output is one sigmoid a label.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm as lgb
import numpy as np
from scipy.special import expit

from automl_engine.dataset.examples import Examples
from automl_engine.features.tabular import tabular_values
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.linear import log_loss
from automl_engine.spec import Spec

MAX_ROUNDS = 600
PATIENCE = 25  # rounds without a better validation loss
FIRST = {"learning_rate": 0.1, "num_leaves": 7}
FIRST_ROUNDS = 30
CANDIDATES: tuple[dict[str, Any], ...] = (
    {"learning_rate": 0.05, "num_leaves": 7},
    {"learning_rate": 0.05, "num_leaves": 31, "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1},
    {"learning_rate": 0.05, "num_leaves": 15, "feature_fraction": 0.5, "extra_trees": True},
)
"""Small trees for small tables, large random trees for large ones, random thresholds against noise."""
FOLDS = 4
FOLDS_UP_TO = 10_000  # rows; above, one fold tells enough

SMALL = 200_000
"""Cells; below, threads wait for each other longer than they work."""


class TabularLightGBM(AnytimeModel):
    """First step: a few rounds.  Then each step cross-validates one of CANDIDATES and refits if it is the best yet.

    Params: ``seed``.
    """

    name: ClassVar[str] = "tabular_lightgbm"

    booster: lgb.Booster
    _steps = 0
    _best_loss = np.inf

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        if self._steps == 0:
            self._read(split)
            self.booster = self._fit(FIRST, FIRST_ROUNDS)
        else:
            self._try(CANDIDATES[self._steps - 1], time.monotonic() + min(8.0, 0.2 * remaining_time_budget))
        self._steps += 1
        self.done_training = self._steps > len(CANDIDATES)

    def _read(self, split: Examples) -> None:
        self._inputs, self._labels = tabular_values(split), split.labels
        self._multi_label = is_multi_label(self._labels)

    def _try(self, candidate: dict[str, Any], stop_at: float) -> None:
        loss, rounds = self._cross_validate(candidate, stop_at)
        if loss < self._best_loss:
            self._best_loss = loss
            self.booster = self._fit(candidate, rounds)
            text = f"{candidate['num_leaves']} leaves a tree, {rounds} rounds"
            self.emit("progress", by=self.name, text=f"boosted trees: {text} (validation loss {loss:.4f})")

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        return self.booster.predict(tabular_values(split))

    def _parameters(self, candidate: dict[str, Any], row_count: int) -> dict[str, Any]:
        classes = self._labels.shape[1]
        return {
            "objective": _logistic_objective(self._labels) if self._multi_label else "multiclass",
            "num_class": classes,
            "min_data_in_leaf": min(20, max(1, row_count // 50)),
            "num_threads": 1 if self._inputs.size < SMALL else os.cpu_count(),
            "seed": self.params.get("seed", 0),
            "deterministic": True,
            "verbosity": -1,
            **candidate,
        }

    def _data(self, rows: np.ndarray) -> lgb.Dataset:
        """The target is the class, or for several labels the row's position: the objective looks the labels up."""
        target = rows if self._multi_label else self._labels[rows].argmax(1)
        return lgb.Dataset(self._inputs[rows], target, free_raw_data=False)

    def _fit(self, candidate: dict[str, Any], rounds: int) -> lgb.Booster:
        rows = np.arange(len(self._inputs))
        booster = lgb.train(self._parameters(candidate, len(rows)), self._data(rows), rounds)
        return lgb.Booster(model_str=_with_sigmoid(booster)) if self._multi_label else booster

    def _cross_validate(self, candidate: dict[str, Any], stop_at: float) -> tuple[float, int]:
        """The lowest validation loss, and after how many rounds."""

        def stop_in_time(state: lgb.callback.CallbackEnv) -> None:
            if time.monotonic() > stop_at:
                raise lgb.callback.EarlyStopException(state.iteration, state.evaluation_result_list)

        row_count = len(self._inputs)
        found = lgb.cv(
            self._parameters(candidate, row_count) | {"metric": "None" if self._multi_label else "multi_logloss"},
            self._data(np.arange(row_count)),
            MAX_ROUNDS,
            folds=list(self._folds()),
            feval=_logistic_loss(self._labels) if self._multi_label else None,
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False), stop_in_time],
        )
        losses = next(values for name, values in found.items() if name.endswith("-mean"))
        return float(min(losses)), int(np.argmin(losses)) + 1

    def _folds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(training rows, validation rows); the rows of each class are dealt out in turn."""
        classes = self._labels.argmax(1)
        order = np.lexsort([np.random.default_rng(self.params.get("seed", 0)).permutation(len(classes)), classes])
        fold_of = np.empty(len(order), np.int64)
        fold_of[order] = np.arange(len(order)) % FOLDS
        for fold in range(FOLDS if len(order) <= FOLDS_UP_TO else 1):
            yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        self.booster.save_model(dir / "booster.txt", num_iteration=-1)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        model.booster = lgb.Booster(model_file=dir / "booster.txt")
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        booster = f"{self.name}.txt"
        self.booster.save_model(dir / booster, num_iteration=-1)
        return [{"name": self.name, "weight": 1, "feature": "tabular_values", "params": {}, "booster": booster}]


def _logistic_objective(labels: np.ndarray) -> Callable[[np.ndarray, lgb.Dataset], tuple[np.ndarray, np.ndarray]]:
    """Gradient and second derivative of every label's logistic loss, (N, K) each; targets are rows of ``labels``."""

    def objective(scores: np.ndarray, data: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
        probability = expit(scores)
        return probability - labels[data.get_label().astype(np.int64)], probability * (1 - probability)

    return objective


def _logistic_loss(labels: np.ndarray) -> Callable[[np.ndarray, lgb.Dataset], tuple[str, float, bool]]:
    def loss(scores: np.ndarray, data: lgb.Dataset) -> tuple[str, float, bool]:
        return "logloss", log_loss(scores, labels[data.get_label().astype(np.int64)], multi_label=True), False

    return loss


def _with_sigmoid(booster: lgb.Booster) -> str:
    """The model text of a booster with our own objective, told that its output is one sigmoid a label."""
    objective = f"objective=multiclassova num_class:{booster.num_model_per_iteration()} sigmoid:1\n"
    return booster.model_to_string().replace("feature_names=", objective + "feature_names=", 1)
