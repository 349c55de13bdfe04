"""What was computed for an example is kept as long as its data set is, whatever subset or fold asks for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from automl_engine.dataset.examples import Examples

_KEPT: WeakKeyDictionary[Examples, dict[Hashable, dict[int, Any]]] = WeakKeyDictionary()


def cached(examples: Examples, key: Hashable, compute: Callable[[Examples], Iterable[Any]]) -> list[Any]:
    """``compute``'s value for each example; it is asked only for those whose value under ``key`` is not there yet."""
    root, indices = examples.origin()
    positions = indices.tolist()
    values = _KEPT.setdefault(root, {}).setdefault(key, {})
    missing = [i for i in dict.fromkeys(positions) if i not in values]
    if missing:
        values.update(zip(missing, compute(root.subset(missing)), strict=True))
    return [values[i] for i in positions]
