"""The first rung for images: ridge regression on gradient histograms and mean colours (see ``features/image.py``)."""

from __future__ import annotations

from automl_engine.models.linear import FeatureLinear


class ImageLinear(FeatureLinear):
    name = "image_linear"
    feature = "gradients"
