"""Meta-classifiers by name that a run may ask; ``lab/meta/selectors`` has more.  A new one: its file, and one line.

Each learns from known data sets which rows to try first on a new one: ``fit(features (D, F), scores (D, C))`` where a
score that is not known is NaN, then ``rank(features (F,)) -> order (C,)``, the best row first.  Those with
``of_samples`` get a batch of embedded samples for each data set instead: ``fit(features (D, n, E), scores)``,
``rank(features (n, E))``.  Judged by leave-one-dataset-out regret (lab/meta/evaluate.py).
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_engine.metalearning.selectors.base import Selector

SELECTORS: dict[str, str] = {
    "average": "automl_engine.metalearning.selectors.average:BestAverage",
    "average_rank": "automl_engine.metalearning.selectors.average:BestAverageRank",
    "linear": "automl_engine.metalearning.selectors.linear:Linear",
}


def selector_class(name: str) -> type[Selector]:
    """The class behind a name of ``SELECTORS``."""
    if name not in SELECTORS:
        raise ValueError(f"selector must be one of {sorted(SELECTORS)} but got {name!r}")
    return resolve_name(SELECTORS[name])
