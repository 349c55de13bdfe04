"""The class frequencies of the training data, for every example: the floor under every other model."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.models.base import AnytimeModel


class ConstantModel(AnytimeModel):
    """Learns in one step; its NAUC is 0 by definition."""

    name = "constant"
    why = "the class frequencies of the training data"

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.priors_: np.ndarray | None = None  # (K,)

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.priors_ = split.labels.mean(0)
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        assert self.priors_ is not None, "train comes first"
        return np.tile(self.priors_, (len(split), 1))
