"""Meta-classifiers by name.  A new one: its file, and one line here.

Each learns from known data sets which rows to try first on a new one: ``fit(features (D, F), scores (D, C))`` where a
score that is not known is NaN, then ``rank(features (F,)) -> order (C,)``, the best row first.  Those with
``of_samples`` get a batch of embedded samples for each data set instead: ``fit(features (D, n, E), scores)``,
``rank(features (n, E))``.  Judged by leave-one-dataset-out regret (evaluate.py).
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_engine.metalearning.selectors.base import Selector

SELECTORS: dict[str, str] = {
    "average": "automl_engine.metalearning.selectors.average:BestAverage",
    "average_rank": "automl_engine.metalearning.selectors.average:BestAverageRank",
    "knn": "automl_engine.metalearning.selectors.knn:NearestNeighbours",
    "linear": "automl_engine.metalearning.selectors.linear:Linear",
    "forest": "automl_engine.metalearning.selectors.forest:RegretForest",
    "ranking": "automl_engine.metalearning.selectors.ranking:PairwiseRanking",
    "kmeans": "automl_engine.metalearning.selectors.kmeans:KMeansVotes",
    "mlp_moments": "automl_engine.metalearning.selectors.mlp_moments:MlpMoments",
    "nearest_centroid": "automl_engine.metalearning.selectors.nearest_centroid:NearestCentroid",
    "mlp_samples": "automl_engine.metalearning.selectors.mlp_samples:MlpSamples",
    "vae": "automl_engine.metalearning.selectors.vae:LatentNearest",
}


def selector_class(name: str) -> type[Selector]:
    """The class behind a name of ``SELECTORS``."""
    if name not in SELECTORS:
        raise ValueError(f"selector must be one of {sorted(SELECTORS)} but got {name!r}")
    return resolve_name(SELECTORS[name])
