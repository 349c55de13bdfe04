"""A plain random forest on regret: features of a data set -> what each row loses there against the best."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.vectors import UNSCALED, Scale, filled


class RegretForest(Selector):
    """Extremely randomised or ordinary trees with one output a row of the portfolio."""

    SPACE: ClassVar[dict[str, Any]] = {
        "trees": [100, 200, 400],
        "leaf": {"uniform": [1, 6]},
        "features": {"uniform": [0.2, 1.0]},
        "kind": ["random", "extra"],
    }

    def __init__(
        self, seed: int = 0, trees: int = 200, leaf: int = 2, features: float = 0.5, kind: str = "random"
    ) -> None:
        super().__init__(seed)
        self.trees, self.leaf, self.features, self.kind = trees, leaf, features, kind
        self.scale = UNSCALED
        self.forest: Any = None

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

        full = filled(scores)
        self.scale = Scale(features)
        kind = RandomForestRegressor if self.kind == "random" else ExtraTreesRegressor
        self.forest = kind(
            self.trees, min_samples_leaf=self.leaf, max_features=self.features, random_state=self.seed
        ).fit(self.scale(features), full.max(1, keepdims=True) - full)
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        regret = self.forest.predict(self.scale(features)[None]).reshape(-1)
        return np.argsort(regret, kind="stable")
