"""Images: extremely randomised trees on edges, colours and textures (see ``features/image.py``)."""

from __future__ import annotations

from typing import ClassVar

from automl_engine.dataset.examples import Examples
from automl_engine.models.image.linear import appearance_params
from automl_engine.models.tabular.forest import FeatureForest


class ImageForest(FeatureForest):
    """Params: ``size``, ``levels`` and ``grid`` of the feature (chosen by the data if absent), and those of
    ``FeatureForest``."""

    name: ClassVar[str] = "image_forest"
    feature: ClassVar[str] = "appearance"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.params = {**appearance_params(split), **self.params}
        super().train(split, remaining_time_budget)
