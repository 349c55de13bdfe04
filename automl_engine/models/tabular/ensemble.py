"""AutoEnsemble, Algorithm 2 of DeepWisdom's slides on the original Self-Service.

Every fold splits the rows into train, valid1 and valid2.  In every fold each model's hyper-parameters are searched on
valid1; how well the winner does on valid2, which nothing has looked at, is its weight in the mean of all.
Of DeepWisdom's models CatBoost is missing: it is a configuration of its own (catboost.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from automl_engine import clock
from automl_engine.auto.ensemble import objective, validation_nauc
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.splits import fold_numbers
from automl_engine.models import model_class
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.tabular.boosting import rows_in_time

FOLDS, PARTS = 3, 6
"""Number of folds, and of parts of the data: fold i validates on parts 2 i and 2 i + 1 and trains on the others."""
SPACE: dict[str, tuple[dict[str, Any], ...]] = {
    "tabular_linear": ({"head": "logistic", "l2": 100}, {"head": "logistic", "l2": 10}),
    "tabular_forest": ({"trees": [100]}, {"trees": [100], "min_leaf": 3}),
    "tabular_xgboost": ({},),
    "tabular_lightgbm": ({},),
    "tabular_network": ({}, {"ranges": 2, "dropout": 0.5}),
}
"""The boosted ones search by themselves, by cross-validation inside train."""
MOST_ROWS = 50_000


@dataclass(frozen=True)
class Member:
    """The best setting of a model in a fold; ``score`` on valid2 is its weight."""

    name: str
    model: AnytimeModel
    score: float


class TabularEnsemble(AnytimeModel):
    """Each step finds one member.  Params: ``seed``."""

    name: ClassVar[str] = "tabular_ensemble"

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.members: tuple[Member, ...] = ()
        self._todo: Iterator[Member] | None = None
        self._end_s, self._multi_label = 0.0, False

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self._end_s = clock.now_s() + remaining_time_budget
        if self._todo is None:
            self._multi_label = is_multi_label(split.labels)
            stop_at = clock.now_s() + 0.1 * remaining_time_budget
            self._todo = self._search(rows_in_time(split, stop_at, MOST_ROWS, self._seed))
        found = next(self._todo, None)
        if found:
            self.members += (found,)
            self.emit("progress", by=self.name, text=f"ensemble: {found.name} ({found.score:.3f} on its second part)")
        self.done_training = found is None or len(self.members) == FOLDS * len(SPACE)

    @property
    def _seed(self) -> int:
        return int(self.params.get("seed", 0))

    def _search(self, split: Examples) -> Iterator[Member]:
        labels = split.labels
        part = fold_numbers(labels, PARTS, self._seed)
        for fold in range(FOLDS):
            inside, *valid = (np.flatnonzero(w) for w in (part // 2 != fold, part == 2 * fold, part == 2 * fold + 1))
            if min(map(len, (inside, *valid))) == 0:  # fewer rows than parts
                inside, *valid = (np.arange(len(split)),) * 3
            train, valid1, valid2 = (split.subset(rows) for rows in (inside, *valid))
            for number, name in enumerate(SPACE):
                models = [self._fit(name, params, train, len(SPACE) - number) for params in SPACE[name]]
                objectives = [objective(valid1.labels, _answer(m, valid1, 60), self._multi_label) for m in models]
                best = models[int(np.argmax(objectives))]
                score = max(1e-3, validation_nauc(valid2.labels, _answer(best, valid2, 60)))
                yield Member(f"{name}-{fold}", best, score)

    def _fit(self, name: str, params: dict[str, Any], train: Examples, share: int) -> AnytimeModel:
        model = model_class(name)(self.spec, seed=self._seed, **params)
        while not model.done_training:
            model.train(train, max(0.1, (self._end_s - clock.now_s()) / share))
        return model

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        total = sum(member.score for member in self.members)
        parts = (member.score / total * _answer(member.model, split, remaining_time_budget) for member in self.members)
        return np.asarray(sum(parts))

    def frozen(self) -> Self:
        """Members are never changed."""
        twin = type(self)(self.spec, **self.params)
        twin.members, twin.done_training = self.members, True
        return twin

    def save(self, dir: Path) -> None:
        members = [{"name": m.name, "model": m.model.name, "score": m.score} for m in self.members]
        (dir / "ensemble.json").write_text(json.dumps({"params": self.params, "members": members}))
        for member in self.members:
            (dir / member.name).mkdir()
            member.model.save(dir / member.name)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        saved = json.loads((dir / "ensemble.json").read_text())
        ensemble = cls(spec, **saved["params"])
        ensemble.members = tuple(
            Member(m["name"], model_class(m["model"]).load(dir / m["name"], spec), m["score"]) for m in saved["members"]
        )
        return ensemble

    def export(self, dir: Path) -> list[dict[str, Any]]:
        exported: list[dict[str, Any]] = []
        for member in self.members:
            (dir / member.name).mkdir()
            for found in member.model.export(dir / member.name):
                files: dict[str, Any] = {
                    key: f"{member.name}/{found[key]}" for key in ("graph", "booster", "arrays") if key in found
                }
                exported.append({**found, **files, "name": member.name, "weight": found["weight"] * member.score})
        return exported


def _answer(model: AnytimeModel, split: Examples, remaining_time_budget: float) -> np.ndarray:
    prediction = model.test(split, remaining_time_budget)
    assert prediction is not None, f"{model.name} is not asked to stop"
    return prediction
