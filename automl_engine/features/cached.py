"""What was computed for an example is kept as long as its data set is, whatever subset or fold asks for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples

MOST_KEPT = 10_000
"""Number of examples of a data set beyond which ``cached_rows`` keeps nothing: it would take too much memory."""
_KEPT: WeakKeyDictionary[Examples, dict[Hashable, dict[int, Any]]] = WeakKeyDictionary()


def cached(examples: Examples, key: Hashable, compute: Callable[[Examples], Iterable[Any]]) -> list[Any]:
    """``compute``'s value for each example; it is asked only for those whose value under ``key`` is not there yet."""
    root, indices = examples.origin()
    positions = indices.tolist()
    values = _KEPT.setdefault(root, {}).setdefault(key, {})
    missing = [i for i in dict.fromkeys(positions) if i not in values]
    if missing:
        start_s, before_s = clock.now_s(), root.kept_s
        values.update(zip(missing, compute(root.subset(missing)), strict=True))
        root.kept_s = before_s + clock.now_s() - start_s  # whatever was computed and kept within
    return [values[i] for i in positions]


def cached_rows(examples: Examples, key: Hashable, compute: Callable[[Examples], np.ndarray]) -> np.ndarray:
    """(N, D), a row for each example; kept as ``cached`` does, unless the data set is large."""
    if len(examples.origin()[0]) > MOST_KEPT or not len(examples):
        return compute(examples)
    return np.stack(cached(examples, key, compute))
