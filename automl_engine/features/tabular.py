"""Rows of a table as arrays: plain values for trees, and a basis in which a linear model can bend."""

from __future__ import annotations

from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples

_LARGEST = np.float32(3e38)
_TABLES: WeakKeyDictionary[Examples, tuple[np.ndarray, np.ndarray]] = WeakKeyDictionary()
"""The table of a data set, and which rows of it have been read: each is read once, whatever subset asks for it."""
PART = 65_536
"""Number of rows that are read at once."""
MAX_CATEGORIES = 12
BASIS_WIDTH = 4000  # a table whose basis would be wider gets straight lines only


def tabular_values(examples: Examples) -> np.ndarray:
    """(N, F) float32, NaN where missing; an infinity becomes the largest number."""
    root, positions = examples.origin()
    if root not in _TABLES:
        spec = root.spec
        width = spec.row_count * spec.col_count * (1 if spec.format == "SPARSE" else spec.num_channels)
        _TABLES[root] = np.empty((len(root), width), np.float32), np.zeros(len(root), bool)
    values, is_read = _TABLES[root]
    unread = np.unique(positions[~is_read[positions]])
    if len(unread):
        with clock.work("read rows", rows=len(unread), cells=len(unread) * values.shape[1]):
            for part in np.array_split(unread, len(unread) // PART + 1):
                rows = _sparse_rows(root, part, values.shape[1]) if root.spec.format == "SPARSE" else root.rows(part)
                values[part] = np.clip(rows, -_LARGEST, _LARGEST)
        is_read[unread] = True
    return values[positions]


def _sparse_rows(examples: Examples, indices: np.ndarray, width: int) -> np.ndarray:
    """(n, width) float32; cells that are not given are 0."""
    rows = np.zeros((len(indices), width), np.float32)
    for row, index in zip(rows, indices.tolist(), strict=True):
        pairs = np.asarray(examples.steps(index), np.float32).reshape(-1, 2)
        row[pairs[:, 0].astype(np.int64)] = pairs[:, 1]
    return rows


def tabular_basis(examples: Examples, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(N, D) float32: entry d is how far the value of column ``columns[d]`` has gone from ``low[d]`` to ``high[d]``,
    0 to 1; where both are NaN it tells whether the value is missing, where both are equal whether it is that value.

    A column cut into ranges this way is piecewise linear (Gorishniy et al. 2022, "On embeddings for numerical
    features", section 3.2).  A missing value counts as 0.5 everywhere but in its own indicator.
    """
    values = tabular_values(examples)
    with clock.work("basis", cells=len(values) * len(columns)):
        values = values[:, columns].astype(np.float64)
        missing = np.isnan(values)
        indicator, equal = np.isnan(low), low == high
        span = np.where(indicator | equal, 1, high - low)
        progress = np.clip((values - np.where(indicator, 0, low)) / span, 0, 1)
        basis = np.where(missing, 0.5, np.where(equal, values == low, progress))
        return np.where(indicator, missing, basis).astype(np.float32)


def fit_basis(values: np.ndarray, range_count: int, chosen: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The arrays of ``tabular_basis`` for training values (N, F): categories for columns of few whole numbers,
    up to ``range_count`` ranges between quantiles for the others, an indicator where values are missing; of all columns
    or the ``chosen`` ones."""
    entries: list[tuple[int, float, float]] = []
    chosen = np.arange(values.shape[1]) if chosen is None else chosen
    if len(chosen) * range_count > BASIS_WIDTH:
        range_count = 1
    with clock.work("fit basis", columns=len(chosen), cells=len(values) * len(chosen)):
        for column in chosen.tolist():
            cells = values[:, column]
            known = cells[~np.isnan(cells)]
            if len(known) < len(cells):
                entries.append((column, np.nan, np.nan))
            entries += [(column, *ends) for ends in _column_ranges(known, range_count)]
    columns, low, high = np.array(entries, np.float64).reshape(-1, 3).T
    return {"columns": columns.astype(np.int64), "low": low, "high": high}


def category_columns(values: np.ndarray) -> list[int]:
    """Columns of more than two, but few, whole numbers: codes of categories, or as good as that."""
    return [column for column, cells in enumerate(values.T) if _is_category(np.unique(cells[~np.isnan(cells)]))]


def _is_category(distinct: np.ndarray) -> bool:
    return 2 < len(distinct) <= MAX_CATEGORIES and np.array_equal(distinct, distinct.round())


def _column_ranges(known: np.ndarray, range_count: int) -> list[tuple[float, float]]:
    distinct = np.unique(known)
    if len(distinct) < 2:
        return []
    if _is_category(distinct):
        return [(value, value) for value in distinct.tolist()] + [(float(distinct[0]), float(distinct[-1]))]
    edges = np.unique(np.quantile(known.astype(np.float64), np.linspace(0, 1, range_count + 1))).tolist()
    ranges = list(pairwise(edges))
    return ranges + [(edges[0], edges[-1])] * (len(ranges) > 1)
