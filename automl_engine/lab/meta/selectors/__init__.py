"""Meta-classifiers by name, compared by ``meta evaluate``.  A new one: its file, and one line here.

Each learns from known data sets which rows to try first on a new one: ``fit(features (D, F), scores (D, C))`` where a
score that is not known is NaN, then ``rank(features (F,)) -> order (C,)``, the best row first.  Those with
``of_samples`` get a batch of embedded samples for each data set instead: ``fit(features (D, n, E), scores)``,
``rank(features (n, E))``.  A run asks none of them: no order that they choose beats the fixed one (docs/results.md).
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_engine.lab.meta.selectors.base import Selector

HERE = "automl_engine.lab.meta.selectors"
SELECTORS: dict[str, str] = {
    "average": f"{HERE}.average:BestAverage",
    "average_rank": f"{HERE}.average:BestAverageRank",
    "linear": f"{HERE}.linear:Linear",
    "knn": f"{HERE}.knn:NearestNeighbours",
    "forest": f"{HERE}.forest:RegretForest",
    "ranking": f"{HERE}.ranking:PairwiseRanking",
    "kmeans": f"{HERE}.kmeans:KMeansVotes",
    "mlp_moments": f"{HERE}.mlp_moments:MlpMoments",
    "nearest_centroid": f"{HERE}.nearest_centroid:NearestCentroid",
    "mlp_samples": f"{HERE}.mlp_samples:MlpSamples",
    "vae": f"{HERE}.vae:LatentNearest",
}


def selector_class(name: str) -> type[Selector]:
    """The class behind a name of ``SELECTORS``."""
    if name not in SELECTORS:
        raise ValueError(f"selector must be one of {sorted(SELECTORS)} but got {name!r}")
    return resolve_name(SELECTORS[name])
