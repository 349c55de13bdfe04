"""All meta-classifiers by name: those in use, and those that are compared with them."""

from __future__ import annotations

from pkgutil import resolve_name

from automl_engine.metalearning import selectors
from automl_engine.metalearning.selectors.base import Selector

SELECTORS: dict[str, str] = {
    **selectors.SELECTORS,
    "knn": "automl_engine.lab.meta.selectors.knn:NearestNeighbours",
    "forest": "automl_engine.lab.meta.selectors.forest:RegretForest",
    "ranking": "automl_engine.lab.meta.selectors.ranking:PairwiseRanking",
    "kmeans": "automl_engine.lab.meta.selectors.kmeans:KMeansVotes",
    "mlp_moments": "automl_engine.lab.meta.selectors.mlp_moments:MlpMoments",
    "nearest_centroid": "automl_engine.lab.meta.selectors.nearest_centroid:NearestCentroid",
    "mlp_samples": "automl_engine.lab.meta.selectors.mlp_samples:MlpSamples",
    "vae": "automl_engine.lab.meta.selectors.vae:LatentNearest",
}


def selector_class(name: str) -> type[Selector]:
    """The class behind a name of ``SELECTORS``."""
    if name not in SELECTORS:
        raise ValueError(f"selector must be one of {sorted(SELECTORS)} but got {name!r}")
    return resolve_name(SELECTORS[name])
