"""Average ranks, and which of them differ: Demšar, "Statistical comparisons of classifiers", JMLR 2006, 3.2.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import friedmanchisquare, studentized_range

from automl_engine.run.scoring import average_rank

ALPHA = 0.05
FEWEST_MODELS, FEWEST_SETS = 3, 2


@dataclass(frozen=True)
class Ranking:
    """Models by average rank, best first, over the sets that all of them were run on."""

    models: list[str]
    ranks: list[float]
    sets: int
    critical_difference: float
    """Nemenyi's: two models whose average ranks are closer do not differ significantly."""
    p_value: float
    """Friedman's: of seeing such ranks if all were equally good."""

    def alike(self) -> list[tuple[int, int]]:
        """(first, last) of each longest row of models of which no two differ."""
        ends = np.searchsorted(self.ranks, np.array(self.ranks) + self.critical_difference, side="right") - 1
        return [
            (start, int(end)) for start, end in enumerate(ends) if end > start and (start == 0 or end > ends[start - 1])
        ]


def ranking(summary: dict[str, Any]) -> Ranking | None:
    """None where there is nothing to compare: fewer than three models on the same two sets."""
    sets = [row["cells"] for row in summary["sets"]]
    models = [row["model"] for row in summary["models"] if all(row["model"] in cells for cells in sets)]
    if len(models) < FEWEST_MODELS or len(sets) < FEWEST_SETS:
        return None
    alcs = np.array([[cells[model]["alc"][0] for model in models] for cells in sets])
    ranks = average_rank(alcs)
    order = np.argsort(ranks, kind="stable")
    count = len(models)
    quantile = float(studentized_range.ppf(1 - ALPHA, count, np.inf)) / 2**0.5
    difference = quantile * (count * (count + 1) / (6 * len(sets))) ** 0.5
    p_value = float(friedmanchisquare(*alcs.T).pvalue)
    return Ranking([models[i] for i in order], ranks[order].tolist(), len(sets), difference, p_value)
