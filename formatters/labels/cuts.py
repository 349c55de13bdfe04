"""A label column of many numbers becomes ranges as the user says (``--label-cuts``); nobody else can know them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Question

EACH = "each"  # every number is a class
CUTS_HELP = "ranges of a label column of numbers: median, quantiles, limits such as 10,20, or each (no ranges)"
MAX_OTHERS = 20  # further columns to choose from
Values = Sequence[float | None]


class LabelQuestion(Question):
    """The label column holds many numbers; a page asks for ranges or another column."""

    def __init__(self, column: str, where: str, values: Values, others: Sequence[str]) -> None:
        known = sorted({value for value in values if value is not None})
        low, high = (f"{value:g}" for value in (known[0], known[-1]))
        instead = f", or another label column with --target ({', '.join(map(repr, others[:5]))})" if others else ""
        sentence = (
            f"the label column {column!r} of {where} holds {len(known):,} different numbers ({low} to {high}), which "
            "are no classes; choose ranges with --label-cuts median, --label-cuts quantiles or --label-cuts with "
            f"limits such as {np.median(known):g}, each number as a class with --label-cuts {EACH}{instead}."
        )
        asked = {"column": column, "distinct": len(known), "low": low, "high": high}
        super().__init__(sentence, asked | {"others": list(others[:MAX_OTHERS])})


def cut(values: Values, how: str) -> tuple[list[str | None], list[str]]:
    """(the range of each value, the ranges from low to high); a limit belongs to the range below it.

    Raises:
        DataError: ``how`` is no way to cut, or leaves fewer than two ranges with values.
    """
    numbers = np.array([np.nan if value is None else value for value in values], float)
    known = np.unique(numbers[~np.isnan(numbers)])
    limits = _limits(how, numbers, known)
    places = np.searchsorted(limits, numbers)  # of NaN: behind all, not used
    names = _names(limits)
    used = sorted({int(place) for place, number in zip(places, numbers, strict=True) if not np.isnan(number)})
    if len(used) < 2:
        raise DataError(
            f"the label cuts {how} leave one range, since the values lie between {known[0]:g} and {known[-1]:g}; "
            "give limits within."
        )
    cells = [None if np.isnan(number) else names[place] for place, number in zip(places, numbers, strict=True)]
    return cells, [names[place] for place in used]


def _limits(how: str, numbers: np.ndarray, known: np.ndarray) -> np.ndarray:
    if how in ("median", "quantiles"):
        limits = np.nanquantile(numbers, [0.5] if how == "median" else [0.25, 0.5, 0.75])
        below = known[known < known[-1]]  # a limit at the greatest value would leave nothing above
        return np.unique(np.minimum(limits, below[-1] if len(below) else known[-1]))
    try:
        limits = np.unique([float(part) for part in re.split(r"\s*[,;]\s*|\s+", how.strip())])
    except ValueError:
        limits = np.array([np.nan])
    if not np.isfinite(limits).all():
        raise DataError(f"label cuts must be median, quantiles, {EACH} or limits such as 10,20 but got {how!r}.")
    return limits


def _names(limits: np.ndarray) -> list[str]:
    """Of the ranges between, with no more digits than they need to differ."""
    digits = next((d for d in (6, 9, 12) if len({f"{limit:.{d}g}" for limit in limits}) == len(limits)), 17)
    told = [f"{limit:.{digits}g}" for limit in limits]
    between = [f"> {low} to {high}" for low, high in pairwise(told)]
    return [f"≤ {told[0]}", *between, f"> {told[-1]}"]
