"""Gradient-boosted trees (XGBoost, Chen & Guestrin 2016): the second opinion beside LightGBM.

Trees grow level by level, with stronger penalties; several labels are boosted together, one tree a label and round.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xgboost as xgb

from automl_engine import clock
from automl_engine.models.tabular.boosting import MAX_ROUNDS, PATIENCE, TabularBoosting, deal, row_weights


class TabularXGBoost(TabularBoosting):
    """Shallow and deep trees, both on random parts of rows and columns."""

    name: ClassVar[str] = "tabular_xgboost"
    package: ClassVar[str] = "xgboost"
    suffix: ClassVar[str] = ".ubj"
    first: ClassVar[dict[str, Any]] = {"eta": 0.1, "max_depth": 3, "rounds": 30}
    candidates: ClassVar[tuple[dict[str, Any], ...]] = (
        {"eta": 0.05, "max_depth": 4, "subsample": 0.8, "colsample_bynode": 0.5},
        {"eta": 0.05, "max_depth": 6, "subsample": 0.8, "colsample_bynode": 0.5, "min_child_weight": 0.5},
    )

    own_settings: ClassVar[tuple[str, ...]] = (
        "colsample_bynode",
        "eta",
        "max_depth",
        "min_child_weight",
        "reg_lambda",
        "subsample",
    )

    booster: xgb.Booster

    def describe(self, setting: dict[str, Any]) -> str:
        return f"trees of depth {setting['max_depth']}"

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.booster.inplace_predict(inputs).reshape(len(inputs), -1)

    def fit(self, setting: dict[str, Any], rounds: int, stop_at: float) -> xgb.Booster:
        data = self._data()
        booster = xgb.Booster(self._parameters(setting), [data])
        for number in range(rounds):
            with clock.work("xgboost", **self._amounts(setting, first=number == 0)):
                booster.update(data, number)
            if clock.now_s() > stop_at:
                break
        return booster

    def cross_validate(self, setting: dict[str, Any], stop_at: float) -> tuple[float, int]:
        """Round by round over all folds (xgb.cv cannot stop by the clock)."""
        data, folds, losses = self._data(), [], [np.inf]
        for inside, held in deal(self.labels, self.seed):
            parts = data.slice(inside), data.slice(held)
            folds.append((xgb.Booster(self._parameters(setting), parts), *parts))
        while len(losses) <= MAX_ROUNDS and len(losses) - int(np.argmin(losses)) <= PATIENCE:
            with clock.work("xgboost cv", **self._amounts(setting, len(losses) == 1, len(folds))):
                for booster, learned, _ in folds:
                    booster.update(learned, len(losses) - 1)
                losses.append(float(np.mean([_loss(booster, unseen) for booster, _, unseen in folds])))
            if clock.now_s() > stop_at:
                break
        return min(losses), int(np.argmin(losses))

    def _amounts(self, setting: dict[str, Any], first: bool, folds: int = 1) -> dict[str, float]:
        """For the clock: a round of all folds; in the first the cells are sorted into bins."""
        trees, cells = folds * self.labels.shape[1], folds * self.inputs.size
        levels = setting["max_depth"]
        return {
            "trees": trees,
            "leaves": trees * 2**levels,
            "cells": cells * self.labels.shape[1] * levels,
            "sorted": cells * first,
            "starts": folds * first,
        }

    @property
    def tree_count(self) -> int:
        return self.booster.num_boosted_rounds() * self.spec.output_dim

    def _parameters(self, setting: dict[str, Any]) -> dict[str, Any]:
        task: dict[str, Any] = (
            {"objective": "binary:logistic", "eval_metric": "logloss"}
            if self.multi_label
            else {"objective": "multi:softprob", "num_class": self.labels.shape[1], "eval_metric": "mlogloss"}
        )
        return {**task, "tree_method": "hist", "nthread": self.threads, "seed": self.seed, **setting}

    def _data(self) -> xgb.DMatrix:
        if self.multi_label:
            return xgb.DMatrix(self.inputs, self.labels)
        return xgb.DMatrix(self.inputs, self.labels.argmax(1), weight=row_weights(self.labels))

    def write(self, path: Path) -> None:
        self.booster.save_model(path)

    @classmethod
    def read(cls, path: Path) -> xgb.Booster:
        return xgb.Booster(model_file=path)


def _loss(booster: xgb.Booster, data: xgb.DMatrix) -> float:
    return float(booster.eval(data).rpartition(":")[2])
