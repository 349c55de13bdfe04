"""Images: ridge regression on edges, colours and textures (see ``features/image.py``)."""

from __future__ import annotations

from automl_engine.dataset.examples import Examples
from automl_engine.features.image import typical_side
from automl_engine.models.shared.linear import FeatureLinear

FEW, MANY = 1_000, 10_000
"""Number of examples up to which large images are seen at 128 pixels; with more than ``MANY``, only edges at 32."""


class ImageLinear(FeatureLinear):
    """Params: ``size``, ``levels`` and ``grid`` of the feature (chosen by the data if absent), and those of
    ``FeatureLinear``."""

    name = "image_linear"
    feature = "appearance"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.params = {**appearance_params(split), **self.params}
        super().train(split, remaining_time_budget)


def appearance_params(split: Examples) -> dict[str, int]:
    """What suits the whole data set that the split is part of: so its parts share what is decoded."""
    count = len(split.origin()[0])
    if count > MANY:
        return {"size": 32, "levels": 0, "grid": 8}
    side = typical_side(split)
    size = 32 if side <= 40 else 128 if side > 128 and count <= FEW else 64
    return {"size": size, "levels": size.bit_length() - 3, "grid": 4}
