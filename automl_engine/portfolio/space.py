"""What a parameter may be, in the compact notation of the portfolio's ``space:``.

batch: [16, 32, 64, 128]           one of these (numbers, words, lists ...)
dropout: {uniform: [0.01, 0.99]}   anything between; two whole numbers mean whole numbers
lr: {log: [1e-5, 0.5]}             the same, evenly over orders of magnitude
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl_engine.errors import DataError

if TYPE_CHECKING:
    from optuna import Trial

NOTATION = "a list of values, {uniform: [low, high]} or {log: [low, high]}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def suggest(self, name: str, trial: Trial) -> Any:
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))

    def stored(self, value: Any) -> Any:
        """As the study keeps it, where every choice is JSON text; None if it is none of the values."""
        return json.dumps(value) if value in self.values else None


@dataclass(frozen=True)
class Range:
    """A number between two others, both included."""

    low: float
    high: float
    log: bool

    def suggest(self, name: str, trial: Trial) -> float:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def stored(self, value: Any) -> Any:
        """As the study keeps it; None if it lies outside."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number and self.low <= value <= self.high else None


Space = dict[str, Choice | Range]


def parse(notation: Mapping[str, Any], of: str) -> Space:
    """The parameters by name.

    Args:
        of: whose space it is, for messages.

    Raises:
        DataError: an entry is not written in the notation, or there is none.
    """
    if not isinstance(notation, Mapping) or not notation:
        raise DataError(f"{of} has no space to search in: under space, give each parameter {NOTATION}.")
    return {str(name): _parameter(entry, f"{name} in the space of {of}") for name, entry in notation.items()}


def _parameter(entry: Any, what: str) -> Choice | Range:
    if isinstance(entry, list):
        texts = [json.dumps(value) for value in entry]
        if len(texts) < 2 or len(set(texts)) < len(texts):
            raise DataError(f"{what} must list two or more different values but got {entry!r}.")
        return Choice(tuple(entry))
    if not isinstance(entry, Mapping) or len(entry) != 1 or not set(entry) <= {"uniform", "log"}:
        raise DataError(f"{what} must be {NOTATION} but got {entry!r}.")
    (kind, bounds), *_ = entry.items()
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise DataError(f"{what} must have two bounds, [low, high], but got {bounds!r}.")
    low, high = (_number(bound, what) for bound in bounds)
    if not low < high or (kind == "log" and low <= 0):
        above = "0 < low < high" if kind == "log" else "low < high"
        raise DataError(f"{what} must have bounds with {above} but got {bounds!r}.")
    return Range(low, high, kind == "log")


def _number(bound: Any, what: str) -> float:
    """YAML reads 1e-5 (without a dot) as text, so a text that is a number is one."""
    if isinstance(bound, int) and not isinstance(bound, bool):
        return bound
    try:
        value = float(bound)
    except (TypeError, ValueError):
        value = float("nan")
    if isinstance(bound, bool) or value != value or abs(value) == float("inf"):
        raise DataError(f"{what} must have two numbers as bounds but got {bound!r}.")
    return value


def suggest(space: Space, trial: Trial) -> dict[str, Any]:
    """The parameters of a trial."""
    return {name: parameter.suggest(name, trial) for name, parameter in space.items()}


def stored(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``params`` that lie in the space, as a study keeps them."""
    kept = {name: space[name].stored(value) for name, value in params.items() if name in space}
    return {name: value for name, value in kept.items() if value is not None}
