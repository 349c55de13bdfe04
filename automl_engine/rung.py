"""A rung of the ladder that ``auto.py`` climbs: a row of the portfolio, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

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
    adopted_checked: np.ndarray | None = None
    """What its best version so far was ``checked`` to be."""
    whole: AnytimeModel | None = None
    """The version that was fitted to all training examples."""
    fit_s: float = 0.0
    test_s: float = 0.0
    """What predicting the test set takes, at most."""
    gained_at: float = 0.0
    tested: tuple[AnytimeModel, Examples, np.ndarray] | None = None
    """The last test: (version, split, prediction)."""

    def predict(self, split: Examples, remaining_s: float) -> np.ndarray:
        """(N, K) by the adopted version; the same split is predicted once."""
        assert self.adopted is not None
        if self.tested is None or self.tested[0] is not self.adopted or self.tested[1] is not split:
            start = clock.now_s()
            self.tested = self.adopted, split, np.asarray(self.adopted.test(split, remaining_s), np.float64)
            self.test_s = max(self.test_s, clock.now_s() - start)
        return self.tested[2]
