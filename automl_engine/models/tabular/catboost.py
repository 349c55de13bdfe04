"""Gradient-boosted symmetric trees (CatBoost, Prokhorenkova et al. 2018), as DeepWisdom used them on tables.

After ``Auto_Tabular/model_lib/cb.py`` of its code: the loss MultiClass, 1200 rounds at a learning rate of 0.02, codes
of categories taken as numbers; 15 random settings compared after 300 rounds on a fifth that is held out; the best one
boosted until 20 rounds bring nothing there, then as long on all rows.

Ours: the drawn setting is used (the published code forgets to pass it on), and so is the number of rounds; several
labels are boosted together (MultiLogloss) and not one by one; all columns are used, not the 300 that LightGBM prefers;
processors alone; a first prediction after 30 rounds, where DeepWisdom's came from LightGBM.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from catboost import CatBoost, Pool

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.metrics import class_naucs
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.splits import even_folds
from automl_engine.models.tabular.boosting import TabularBoosting

ROUNDS, PATIENCE = 1200, 20
DRAWS, DRAW_ROUNDS, DRAW_ROWS = 15, 300, 20_000
DEPTHS = (4, 6, 8, 10, 12)
PARTS = 5
SHARES = np.array([1.0] * DRAWS + [4.0, 4.0, 1.0])
"""How the time is shared by the steps after the first, where it is short; the last part is left."""
LOOKED_AT = 1000
"""Number of rows, at most, whose values are counted for the clock."""
FAINT = 1e-6
"""Weight of the rows that are added."""


class TabularCatBoost(TabularBoosting):
    """A step: the first trees; a setting of the ``DRAWS``; the best one with early stopping; that one on all rows."""

    name: ClassVar[str] = "tabular_catboost"
    package: ClassVar[str] = "catboost"
    suffix: ClassVar[str] = ".cbm"
    first: ClassVar[dict[str, Any]] = {"learning_rate": 0.1, "depth": 4, "rounds": 30}
    candidates: ClassVar[tuple[dict[str, Any], ...]] = ({"learning_rate": 0.02},)
    own_settings: ClassVar[tuple[str, ...]] = ()

    booster: CatBoost

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self._best, self._best_score, self._rounds = self.candidates[0], -np.inf, 1

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        if self._steps == 0:
            super().train(split, remaining_time_budget)
            return
        left = SHARES[self._steps - 1 :]
        stop_at = clock.now_s() + remaining_time_budget * left[0] / left.sum()
        if self._steps <= DRAWS:
            self._draw(stop_at)
        elif self._steps == DRAWS + 1:
            loss, self._rounds = self.cross_validate(self._best, stop_at)
            text = f"{self.describe(self._best)}, {self._rounds} rounds (validation loss {loss:.4f})"
            self.emit("progress", by=self.name, text=f"boosted trees: {text}")
        else:
            self.booster = self.fit(self._best, self._rounds, stop_at)
            self.done_training = True
        self._steps += 1

    def _draw(self, stop_at: float) -> None:
        """Compares one more setting; its trees predict as long as it is the best."""
        generator = np.random.default_rng([self.seed, self._steps])
        setting = {
            "learning_rate": float(np.exp(generator.uniform(np.log(0.01), np.log(0.1)))),
            "depth": int(generator.choice(DEPTHS)),
            "l2_leaf_reg": float(generator.uniform(0.1, 2)),
        }
        inside, held = self._split()
        before, self.booster = self.booster, self._boost(setting, inside[:DRAW_ROWS], DRAW_ROUNDS, stop_at)
        scores = class_naucs(self.labels[held], self._ask(self.inputs[held]))
        score = float(np.nan_to_num(scores).mean())
        if score > self._best_score:
            self._best_score, self._best = score, setting
        else:
            self.booster = before

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from, in random order, and the fifth that is held out."""
        fold_of = even_folds(self.labels.argmax(1), PARTS, self.seed)
        order = np.random.default_rng(self.seed).permutation(len(self.labels))
        return order[fold_of[order] > 0], np.flatnonzero(fold_of == 0)

    def describe(self, setting: dict[str, Any]) -> str:
        return f"trees of depth {setting.get('depth', 6)}, learning rate {setting['learning_rate']:.3f}"

    def fit(self, setting: dict[str, Any], rounds: int, stop_at: float) -> CatBoost:
        return self._boost(setting, np.arange(len(self.labels)), rounds, stop_at)

    def cross_validate(self, setting: dict[str, Any], stop_at: float) -> tuple[float, int]:
        """By one fifth, as DeepWisdom did; those trees predict until all rows are learned."""
        inside, held = self._split()
        self.booster = self._boost(setting, inside, ROUNDS, stop_at, held)
        losses = self.booster.evals_result_["validation"][self._loss]
        return float(min(losses)), int(np.argmin(losses)) + 1

    @property
    def _loss(self) -> str:
        return "MultiLogloss" if self.multi_label else "MultiClass"

    def parameters(self, setting: dict[str, Any], rounds: int) -> dict[str, Any]:
        """What CatBoost is given."""
        return {
            "loss_function": self._loss,
            "iterations": rounds,
            "random_seed": self.seed,
            "thread_count": self.threads,
            "logging_level": "Silent",
            "allow_writing_files": False,
            **({} if self.multi_label else {"class_names": list(range(self.labels.shape[1]))}),
            **setting,
        }

    def _boost(
        self, setting: dict[str, Any], rows: np.ndarray, rounds: int, stop_at: float, held: np.ndarray | None = None
    ) -> CatBoost:
        booster = CatBoost(self.parameters(setting, rounds))
        with clock.work("catboost") as lap:
            watch = _Watch(stop_at, lap, self._amounts(setting, rows), self.inputs[rows].size)
            early = {} if held is None else {"early_stopping_rounds": PATIENCE, "use_best_model": True}
            pools = None if held is None else self._pool(held)
            booster.fit(self._pool(rows), eval_set=pools, callbacks=[watch], **early)
        return booster

    def _amounts(self, setting: dict[str, Any], rows: np.ndarray) -> dict[str, float]:
        """For the clock: a round.  It counts each value of each column (at most 255) in each leaf of each output."""
        depth, outputs = setting.get("depth", 6), self.labels.shape[1]
        looked_at = self.inputs[:: -(-len(self.inputs) // LOOKED_AT)]
        values = sum(min(255, len(np.unique(column))) for column in looked_at.T)
        leaves = outputs * 2**depth
        cells = self.inputs[rows].size * outputs * depth
        return {"trees": outputs, "leaves": leaves, "values": values * leaves, "cells": cells}

    def _pool(self, rows: np.ndarray) -> Pool:
        """The rows, and faint ones with which every label and every column varies: CatBoost refuses others."""
        labels, count = self.labels[rows], self.labels.shape[1]
        more = np.stack([np.zeros(count), np.ones(count)]) if self.multi_label else np.eye(count)
        inputs = np.zeros((len(more), self.inputs.shape[1]), self.inputs.dtype)
        inputs[::2] = np.nan
        weights = np.append(np.ones(len(rows)), np.full(len(more), FAINT))
        labels = np.concatenate([labels, more])
        return Pool(
            np.concatenate([self.inputs[rows], inputs]),
            labels if self.multi_label else labels.argmax(1),
            weight=weights,
        )

    @property
    def tree_count(self) -> int:
        return int(self.booster.tree_count_) * self.spec.output_dim

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(inputs, prediction_type="Probability"))

    def write(self, path: Path) -> None:
        self.booster.save_model(str(path))

    @classmethod
    def read(cls, path: Path) -> CatBoost:
        return CatBoost().load_model(str(path))


class _Watch:
    """CatBoost asks it after each round whether to go on."""

    def __init__(self, stop_at: float, lap: clock.Lap, amounts: dict[str, float], cells: int) -> None:
        self.stop_at, self.lap, self.amounts, self.cells, self.first = stop_at, lap, amounts, cells, True

    def after_iteration(self, info: Any) -> bool:
        self.lap(**self.amounts, sorted=self.cells * self.first, starts=int(self.first))
        self.first = False
        return clock.now_s() <= self.stop_at
