"""Gradient-boosted trees (LightGBM, Ke et al. 2017).

A multi-label table is boosted in one booster too, one tree a label and round, by the logistic loss of every label.
The tree file is LightGBM's own text; it is saved as "one against all", whose output is one sigmoid a label.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
from scipy.special import expit

from automl_engine import clock
from automl_engine.features.tabular import category_columns
from automl_engine.models.shared.linear import log_loss
from automl_engine.models.tabular.boosting import MAX_ROUNDS, PATIENCE, TabularBoosting, deal, row_weights


class TabularLightGBM(TabularBoosting):
    """Small trees for small tables, large random trees for large ones, random thresholds against noise; last, where
    there are any, sets of categories as LightGBM splits them."""

    name: ClassVar[str] = "tabular_lightgbm"
    package: ClassVar[str] = "lightgbm"
    suffix: ClassVar[str] = ".txt"
    first: ClassVar[dict[str, Any]] = {"learning_rate": 0.1, "num_leaves": 7, "rounds": 30}
    candidates: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 0.05, "num_leaves": 7},
        {"learning_rate": 0.05, "num_leaves": 31, "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1},
        {"learning_rate": 0.05, "num_leaves": 15, "feature_fraction": 0.5, "extra_trees": True},
        {"learning_rate": 0.05, "num_leaves": 7, "categories": True, "min_data_per_group": 20},
    )

    own_settings: ClassVar[tuple[str, ...]] = (
        "extra_trees",
        "feature_fraction",
        "lambda_l2",
        "learning_rate",
        "min_data_in_leaf",
        "num_leaves",
    )

    booster: lgb.Booster

    def describe(self, setting: dict[str, Any]) -> str:
        return f"{setting['num_leaves']} leaves a tree" + (", sets of categories" if "categories" in setting else "")

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(inputs))

    def fit(self, setting: dict[str, Any], rounds: int, stop_at: float) -> lgb.Booster:
        with clock.work("lightgbm") as lap:
            callbacks = [self._stop_in_time(setting, stop_at, lap)]
            booster = lgb.train(self._parameters(setting), self._data(setting), rounds, callbacks=callbacks)
        return lgb.Booster(model_str=_with_sigmoid(booster)) if self.multi_label else booster

    def cross_validate(self, setting: dict[str, Any], stop_at: float) -> tuple[float, int]:
        if "categories" in setting and not category_columns(self.inputs):
            return np.inf, 0
        folds = list(deal(self.labels, self.seed))
        with clock.work("lightgbm cv") as lap:
            stop = self._stop_in_time(setting, stop_at, lap, len(folds))
            found = lgb.cv(
                self._parameters(setting) | {"metric": "None" if self.multi_label else "multi_logloss"},
                self._data(setting),
                MAX_ROUNDS,
                folds=folds,
                feval=_logistic_loss(self.labels) if self.multi_label else None,
                callbacks=[lgb.early_stopping(PATIENCE, verbose=False), stop],
            )
        losses = next(values for name, values in found.items() if isinstance(values, list) and name.endswith("-mean"))
        return float(min(losses)), int(np.argmin(losses)) + 1

    def _parameters(self, setting: dict[str, Any]) -> dict[str, Any]:
        return {
            "objective": _logistic_objective(self.labels) if self.multi_label else "multiclass",
            "num_class": self.labels.shape[1],
            "min_data_in_leaf": min(20, max(1, len(self.inputs) // 50)),
            "num_threads": self.threads,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": clock.is_virtual(),  # else it is measured which way is faster
            "verbosity": -1,
            **{key: value for key, value in setting.items() if key != "categories"},
        }

    def _data(self, setting: dict[str, Any]) -> lgb.Dataset:
        """The target is the class, or for several labels the row's position: the objective looks the labels up."""
        return lgb.Dataset(
            self.inputs,
            np.arange(len(self.inputs)) if self.multi_label else self.labels.argmax(1),
            weight=None if self.multi_label else row_weights(self.labels),
            categorical_feature=category_columns(self.inputs) if "categories" in setting else [],
            free_raw_data=False,
        )

    @property
    def tree_count(self) -> int:
        return self.booster.num_trees()

    def write(self, path: Path) -> None:
        self.booster.save_model(path, num_iteration=-1)

    @classmethod
    def read(cls, path: Path) -> lgb.Booster:
        return lgb.Booster(model_file=path)

    def _stop_in_time(
        self, setting: dict[str, Any], stop_at: float, lap: clock.Lap, folds: int = 1
    ) -> Callable[[lgb.callback.CallbackEnv], None]:
        trees, cells = folds * self.labels.shape[1], folds * self.inputs.size
        amounts = {"trees": trees, "leaves": trees * setting["num_leaves"], "cells": cells * self.labels.shape[1]}

        def stop(state: lgb.callback.CallbackEnv) -> None:
            first = state.iteration == state.begin_iteration
            lap(**amounts, sorted=cells * first, starts=folds * first)
            if clock.now_s() > stop_at:
                raise lgb.callback.EarlyStopException(state.iteration, state.evaluation_result_list or [])

        return stop


def _logistic_objective(labels: np.ndarray) -> Callable[[np.ndarray, lgb.Dataset], tuple[np.ndarray, np.ndarray]]:
    """Gradient and second derivative of every label's logistic loss, (N, K) each; targets are rows of ``labels``."""

    def objective(scores: np.ndarray, data: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
        probability = expit(scores)
        return probability - labels[_positions(data)], probability * (1 - probability)

    return objective


def _logistic_loss(labels: np.ndarray) -> Callable[[np.ndarray, lgb.Dataset], tuple[str, float, bool]]:
    def loss(scores: np.ndarray, data: lgb.Dataset) -> tuple[str, float, bool]:
        return "logloss", log_loss(scores, labels[_positions(data)], multi_label=True), False

    return loss


def _positions(data: lgb.Dataset) -> np.ndarray:
    """Of the rows, which are the target of several labels."""
    target = data.get_label()
    assert isinstance(target, np.ndarray)
    return target.astype(np.int64)


def _with_sigmoid(booster: lgb.Booster) -> str:
    """The model text of a booster with our own objective, told that its output is one sigmoid a label."""
    objective = f"objective=multiclassova num_class:{booster.num_model_per_iteration()} sigmoid:1\n"
    return booster.model_to_string().replace("feature_names=", objective + "feature_names=", 1)
