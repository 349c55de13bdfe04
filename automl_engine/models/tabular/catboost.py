"""Gradient-boosted trees (CatBoost, Prokhorenkova et al. 2018): symmetric trees, one question a level.

CatBoost trains; the finished trees are plain nodes (``Forest``), so that prediction and export need no CatBoost.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import catboost
import numpy as np
from scipy.special import expit, softmax

from automl_engine import clock
from automl_engine.models.shared.graphs import Graph
from automl_engine.models.tabular.boosting import MAX_ROUNDS, PATIENCE, TabularBoosting, deal, row_weights
from automl_engine.models.tabular.forest import Forest

HARDLY = 1e-6
"""Weight of a row that only has to be there."""


class TabularCatBoost(TabularBoosting):
    """Shallow trees, then deep ones with stronger penalties."""

    name: ClassVar[str] = "tabular_catboost"
    package: ClassVar[str] = "catboost"
    suffix: ClassVar[str] = ".npz"
    first: ClassVar[dict[str, Any]] = {"learning_rate": 0.1, "depth": 4, "rounds": 30}
    candidates: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 0.05, "depth": 4},
        {"learning_rate": 0.05, "depth": 6, "rsm": 0.5},
    )

    booster: Scored

    def describe(self, setting: dict[str, Any]) -> str:
        return f"symmetric trees of depth {setting['depth']}"

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.booster.predict(inputs)

    def fit(self, setting: dict[str, Any], rounds: int, stop_at: float) -> Scored:
        everything = np.arange(len(self.inputs))
        with clock.work("catboost") as lap:
            model = self._boost(setting, everything, rounds, _Watch(self._amounts(setting), stop_at, lap))
        return Scored.from_catboost(model, self.labels.shape[1], self.multi_label)

    def cross_validate(self, setting: dict[str, Any], stop_at: float) -> tuple[float, int]:
        """Fold by fold, each for its share of the time; rounds that all folds reached count."""
        folds, curves = list(deal(self.labels, self.seed)), []
        for done, (inside, held) in enumerate(folds):
            end = clock.now_s() + (stop_at - clock.now_s()) / (len(folds) - done)
            with clock.work("catboost cv") as lap:
                watch = _Watch(self._amounts(setting), end, lap)
                model = self._boost(setting, inside, MAX_ROUNDS, watch, held)
            curves.append(next(iter(model.get_evals_result()["validation"].values())))
        shortest = min(map(len, curves))
        losses = np.mean([curve[:shortest] for curve in curves], 0)
        return float(losses.min()), int(losses.argmin()) + 1

    def _boost(
        self, setting: dict[str, Any], rows: np.ndarray, rounds: int, watch: _Watch, held: np.ndarray | None = None
    ) -> catboost.CatBoost:
        loss = "MultiLogloss" if self.multi_label else "MultiClass"
        task = {"loss_function": loss} | ({} if self.multi_label else {"classes_count": self.labels.shape[1]})
        model = catboost.CatBoost(
            {
                **task,
                **setting,
                "iterations": rounds,
                "thread_count": self.threads,
                "random_seed": self.seed,
                "allow_writing_files": False,
                "logging_level": "Silent",
                "boosting_type": "Plain",
            }
        )
        stop = {} if held is None else {"eval_set": self._pool(held), "early_stopping_rounds": PATIENCE}
        return model.fit(self._pool(rows), callbacks=[watch], use_best_model=False, **stop)

    def _pool(self, rows: np.ndarray) -> catboost.Pool:
        """CatBoost wants a row of each class, and for each label one with and one without: copies that hardly weigh."""
        labels = self.labels[rows]
        if self.multi_label:
            more, targets = 1, np.append(labels, 1 - labels[:1], 0).astype(int)
        else:
            absent = np.flatnonzero(~labels.any(0))
            more, targets = len(absent), np.append(labels.argmax(1), absent)
        known = np.ones(len(rows)) if self.multi_label else row_weights(self.labels)[rows]
        inputs = self.inputs[np.append(rows, rows[:1].repeat(more))]
        return catboost.Pool(inputs, targets, weight=np.append(known, np.full(more, HARDLY)))

    def _amounts(self, setting: dict[str, Any]) -> dict[str, float]:
        """For the clock: a round; in the first the cells are sorted into bins."""
        classes, depth = self.labels.shape[1], setting["depth"]
        return {"scores": classes * len(self.labels), "cells": self.inputs.size * classes * depth, "leaves": 2**depth}

    @property
    def tree_count(self) -> int:
        return len(self.booster.forest.roots)

    def write(self, path: Path) -> None:
        self.booster.write(path)

    @classmethod
    def read(cls, path: Path) -> Scored:
        return Scored.read(path)

    def export(self, dir: Path) -> list[dict[str, Any]]:
        graph = f"{self.name}.onnx"
        self.booster.to_onnx(dir / graph)
        return [{"name": self.name, "weight": 1, "feature": "tabular_values", "params": {}, "graph": graph}]


class _Watch:
    """Tells the clock of each round and stops in time."""

    def __init__(self, amounts: dict[str, float], stop_at: float, lap: clock.Lap) -> None:
        self.amounts, self.stop_at, self.lap = amounts, stop_at, lap

    def after_iteration(self, info: Any) -> bool:
        """Whether boosting goes on."""
        cells = self.amounts["cells"] * (info.iteration == 1)
        self.lap(**self.amounts, sorted=cells, starts=float(info.iteration == 1))
        return clock.now_s() < self.stop_at


@dataclass(frozen=True)
class Scored:
    """A forest whose summed scores a softmax or sigmoid turns into probabilities."""

    forest: Forest
    bias: np.ndarray
    """(K,) float32."""
    multi_label: bool

    @classmethod
    def from_catboost(cls, model: catboost.CatBoost, classes: int, multi_label: bool) -> Scored:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            saved = json.loads(path.read_text(encoding="utf-8"))
        scale, bias = saved["scale_and_bias"]
        trees = [_nodes(tree, classes, scale) for tree in saved["oblivious_trees"]]
        roots = np.cumsum([0, *(len(tree["features"]) for tree in trees[:-1])])
        for tree, root in zip(trees, roots, strict=True):
            for side in ("left", "right"):
                tree[side] = np.where(tree["features"] < 0, -1, tree[side] + root)
        joined = {key: np.concatenate([tree[key] for tree in trees]) for key in trees[0]}
        return cls(Forest(roots.astype(np.int32), **joined), np.resize(bias, classes).astype(np.float32), multi_label)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """(N, F) float32 -> (N, K) probabilities."""
        scores = self.forest.predict(inputs) * len(self.forest.roots) + self.bias
        return expit(scores) if self.multi_label else softmax(scores, axis=1)

    def to_onnx(self, path: Path) -> None:
        graph, width = Graph(features=(np.float32, ["n", "f"])), len(self.bias)
        mean = self.forest.add_to(graph)
        scores = graph.add("Add", graph.add("Mul", mean, float(len(self.forest.roots))), self.bias)
        graph.probabilities(scores, self.multi_label)
        graph.save(path, width)

    def write(self, path: Path) -> None:
        nodes = {field.name: getattr(self.forest, field.name) for field in fields(Forest)}
        np.savez(path, bias=self.bias, multi_label=self.multi_label, **nodes)

    @classmethod
    def read(cls, path: Path) -> Scored:
        with np.load(path, allow_pickle=False) as saved:
            forest = Forest(**{field.name: saved[field.name] for field in fields(Forest)})
            return cls(forest, saved["bias"], bool(saved["multi_label"]))


def _nodes(tree: dict[str, Any], classes: int, scale: float) -> dict[str, np.ndarray]:
    """A symmetric tree, node 0 first and level by level: every node of a level asks the same; a missing value is the
    smallest.  Bit i of the number of a leaf answers question i."""
    splits, leaves = (tree["splits"] or [])[::-1], np.reshape(tree["leaf_values"], (-1, classes)) * scale
    inner = len(leaves) - 1
    level = np.log2(np.arange(1, inner + 1)).astype(int)
    features = np.full(2 * inner + 1, -1)
    features[:inner] = [splits[i]["float_feature_index"] for i in level]
    thresholds = np.zeros(2 * inner + 1)
    thresholds[:inner] = [splits[i]["border"] for i in level]
    values = np.zeros((2 * inner + 1, classes))
    values[inner:] = leaves
    places = np.arange(2 * inner + 1)
    return {
        "features": features.astype(np.int32),
        "thresholds": thresholds.astype(np.float32),
        "left": (2 * places + 1).astype(np.int32),
        "right": (2 * places + 2).astype(np.int32),
        "missing_left": np.ones(len(places), bool),
        "values": values.astype(np.float32),
    }
