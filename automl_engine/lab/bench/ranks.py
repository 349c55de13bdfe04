"""Average ranks, and which of them differ: Demšar, "Statistical comparisons of classifiers", JMLR 2006, 3.2.2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import friedmanchisquare, studentized_range

from automl_engine.lab.bench.comparisons import with_winners
from automl_engine.run.scoring import average_rank

ALPHA = 0.05
EVERY = "all kinds of data"
FEWEST_MODELS, FEWEST_SETS = 3, 2


@dataclass(frozen=True)
class Ranking:
    """Models by average rank, best first, over the sets that all of them were run on."""

    kind: str
    """``EVERY``, or the modality of the sets."""
    models: list[str]
    ranks: list[float]
    sets: int
    critical_difference: float
    """Nemenyi's: two models whose average ranks are closer do not differ significantly."""
    p_value: float | None
    """Friedman's: of seeing such ranks if all were equally good; None where all are equal on every set."""

    def alike(self) -> list[tuple[int, int]]:
        """(first, last) of each longest row of models of which no two differ."""
        ends = np.searchsorted(self.ranks, np.array(self.ranks) + self.critical_difference, side="right") - 1
        return [
            (start, int(end)) for start, end in enumerate(ends) if end > start and (start == 0 or end > ends[start - 1])
        ]


def rankings(sets: Sequence[Mapping[str, Any]]) -> list[Ranking]:
    """Over all kinds of data, with the winners as one model, then on the sets of each kind."""
    modalities = list(dict.fromkeys(row["modality"] for row in sets))
    found = [ranking(EVERY, with_winners(sets))] if len(modalities) > 1 else []
    for modality in modalities:
        found.append(ranking(modality, [row["cells"] for row in sets if row["modality"] == modality]))
    return [ranked for ranked in found if ranked]


def ranking(kind: str, sets: Sequence[Mapping[str, Any]]) -> Ranking | None:
    """In the largest table without holes of those with the models that were run on most sets.

    None where there is nothing to compare: fewer than three models on the same two sets.
    """
    counts = Counter(model for cells in sets for model in cells)
    tables = []
    for fewest in {count for count in counts.values() if count >= FEWEST_SETS}:
        models = [model for model, count in counts.items() if count >= fewest]
        common = [cells for cells in sets if all(model in cells for model in models)]
        if len(models) >= FEWEST_MODELS and len(common) >= FEWEST_SETS:
            tables.append((models, common))
    if not tables:
        return None
    models, common = max(tables, key=lambda table: (len(table[0]) * len(table[1]), len(table[0])))
    alcs = np.array([[cells[model]["alc"][0] for model in models] for cells in common])
    ranks = average_rank(alcs)
    order = np.argsort(ranks, kind="stable")
    count = len(models)
    quantile = float(studentized_range.ppf(1 - ALPHA, count, np.inf)) / 2**0.5
    difference = quantile * (count * (count + 1) / (6 * len(common))) ** 0.5
    p_value = float(friedmanchisquare(*alcs.T).pvalue)
    known = p_value if np.isfinite(p_value) else None
    return Ranking(kind, [models[i] for i in order], ranks[order].tolist(), len(common), difference, known)
