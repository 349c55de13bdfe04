"""A rung of the ladder that ``auto.py`` climbs: a row of the portfolio, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.models.base import AnytimeModel


@dataclass(eq=False)
class Rung:
    """A row on the ladder."""

    name: str
    live: AnytimeModel
    checked: np.ndarray
    """(N, K) predictions by models that had not seen the example; NaN = not predicted."""
    adopted: AnytimeModel | None = None
    """The version that is in the blend."""
    others: list[AnytimeModel] = field(default_factory=list)
    """Networks that learned with other folds left out: the rung predicts the mean of all."""
    spare_folds: list[int] = field(default_factory=list)
    """That no version has been tried without."""
    adopted_checked: np.ndarray | None = None
    """What its best version so far was ``checked`` to be."""
    whole: AnytimeModel | None = None
    """The version that was fitted to all training examples."""
    fit_s: float = 0.0
    test_s: float = 0.0
    """What it takes one version to predict the test set, at most."""
    opened_at: float = 0.0
    gained_at: float = 0.0
    tested: list[tuple[AnytimeModel, Examples, np.ndarray]] = field(default_factory=list)
    """The last test: (version, split, prediction) of each."""

    @property
    def versions(self) -> tuple[AnytimeModel, ...]:
        assert self.adopted is not None
        return self.adopted, *self.others

    @property
    def next_test_s(self) -> float:
        """What the next test takes: versions that predicted already cost nothing."""
        known = {id(model) for model, _, _ in self.tested}
        return self.test_s * sum(id(model) not in known for model in (self.adopted, *self.others))

    def predict(self, split: Examples, remaining_s: float) -> np.ndarray:
        """(N, K), the mean of all versions; each predicts the same split once."""
        known = {id(model): prediction for model, of, prediction in self.tested if of is split}
        self.tested = [(model, split, known[id(model)]) for model in self.versions if id(model) in known]
        for model in self.versions:
            if id(model) not in known:
                start = clock.now_s()
                prediction = np.asarray(model.test(split, remaining_s), np.float64)
                self.test_s = max(self.test_s, clock.now_s() - start)
                self.tested.append((model, split, prediction))
        return np.mean([prediction for _, _, prediction in self.tested], 0)
