"""What time it is for the engine: the wall's, or a virtual time that only work moves.

Every decision of the engine asks ``now_s``; every piece of its work that takes time says what it is and how much:

    with clock.work("gram", products=n * d * d):
        gram += x.T @ x

On the wall that changes nothing.  A virtual clock stands still but for such work, which moves it by what the operation
takes on a reference machine (a table of costs), whatever it takes here; so the same seed gives the same learning curve
on a loaded laptop and on an idle server.  After "Meta-learning for image/video classification", section 5.4: there,
too, the ALC comes from a table of measured times.  A recording clock notes what work takes;
``lab/meta/costs.py`` makes the table of that.

Only the outermost work of the thread that drives counts: what happens inside it, or in threads, is part of it.
"""

from __future__ import annotations

import csv
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from automl_engine.errors import DataError

MODES = ("wall", "virtual")
COSTS = Path(__file__).parent / "metalearning" / "tables" / "costs.csv"
LEAST_S = 1e-6
"""An operation takes so long at least: a loop that waits for the end of its time must get there."""

Amounts = Mapping[str, float]
Lap = Callable[..., None]
"""Measured amounts split the work that contains them, so that the time is right inside of it too."""


def now_s() -> float:
    """Seconds on a clock that never runs backwards; only differences mean something."""
    return _present.now_s()


def work(
    operation: str, later: Callable[[], Amounts] | None = None, /, **amounts: float
) -> AbstractContextManager[Lap]:
    """Around work that takes time.

    Args:
        operation: its name in the table of costs.
        later: tells amounts when the work is done, for what is known only then, or takes time to find out.
        amounts: what its time is proportional to, each with a factor of its own (beside a fixed part).
    """
    return _present.work(operation, later, amounts)


def is_virtual() -> bool:
    return isinstance(_present, Virtual)


def reference() -> str | None:
    """The machine whose time a virtual clock tells; None on the wall."""
    return _present.costs.device if isinstance(_present, Virtual) else None


def knows(operation: str) -> bool:
    """Whether the table of the virtual clock has it."""
    return isinstance(_present, Virtual) and operation in _present.costs.factors


def threads(available: int) -> int:
    """How many to use where they change the last digits: one under a virtual clock (two were seen to differ)."""
    return 1 if is_virtual() else available


@contextmanager
def using(clock: Clock) -> Iterator[None]:
    """In this process, until the end of the block."""
    global _present
    before, _present = _present, clock
    try:
        yield
    finally:
        _present = before


class Clock(Protocol):
    def now_s(self) -> float: ...

    def work(
        self, operation: str, later: Callable[[], Amounts] | None, amounts: Amounts
    ) -> AbstractContextManager[Lap]: ...


class Wall:
    """The real time; work is not looked at."""

    def now_s(self) -> float:
        return time.monotonic()

    def work(
        self, operation: str, later: Callable[[], Amounts] | None, amounts: Amounts
    ) -> AbstractContextManager[Lap]:
        return _UNSEEN


class _Counting(ABC):
    """A clock that looks at the work of the thread that it was made in."""

    def __init__(self) -> None:
        self._thread, self.is_busy = threading.get_ident(), False

    def work(
        self, operation: str, later: Callable[[], Amounts] | None, amounts: Amounts
    ) -> AbstractContextManager[Lap]:
        if self.is_busy or threading.get_ident() != self._thread:
            return _UNSEEN
        return self._seen(operation, later, amounts)

    @contextmanager
    def _seen(self, operation: str, later: Callable[[], Amounts] | None, amounts: Amounts) -> Iterator[Lap]:
        laps = 0

        def lap(**done: float) -> None:
            nonlocal laps
            laps += 1
            self.account(operation, lambda: done)

        self.is_busy = True
        self.begin()
        try:
            yield lap
            if later or amounts or not laps:
                self.account(operation, lambda: {**amounts, **(later() if later else {})})
        finally:
            self.is_busy = False

    @abstractmethod
    def begin(self) -> None:
        """Work begins."""

    @abstractmethod
    def account(self, operation: str, amounts: Callable[[], Amounts]) -> None:
        """So much of it was done since it began or was accounted for last."""


class Virtual(_Counting):
    """Time by a table of costs."""

    def __init__(self, costs: Costs) -> None:
        super().__init__()
        self.costs, self._now_s = costs, 0.0

    def now_s(self) -> float:
        return self._now_s

    def begin(self) -> None:
        """Nothing to mark: the table tells what work takes."""

    def account(self, operation: str, amounts: Callable[[], Amounts]) -> None:
        self._now_s += self.costs.seconds(operation, amounts())


class Recorder(_Counting):
    """Notes what work takes, as if nothing else ran on the machine: the lesser of real and processor time counts."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: dict[tuple[str, tuple[tuple[str, float], ...]], list[float]] = {}
        """Seconds by operation and its amounts."""
        self._mark = 0.0, 0.0
        """Real and processor time at which the work began."""

    def now_s(self) -> float:
        return _processor_s()

    def begin(self) -> None:
        self._mark = time.monotonic(), _processor_s()

    def account(self, operation: str, amounts: Callable[[], Amounts]) -> None:
        seconds = min(time.monotonic() - self._mark[0], _processor_s() - self._mark[1])
        key = operation, tuple(sorted((name, float(amount)) for name, amount in amounts().items()))
        self.notes.setdefault(key, []).append(seconds)
        self.begin()


def _processor_s() -> float:
    """Of all threads of this process and of its forks that have ended."""
    import resource  # not on every system

    forks = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + forks.ru_utime + forks.ru_stime


@dataclass(frozen=True)
class Costs:
    """What operations take on the reference machine."""

    factors: dict[str, dict[str, float]]
    """By operation: seconds by amount; that of "" is the fixed part."""
    device: str
    """The reference machine, and when it was measured."""

    @classmethod
    def read(cls, path: Path = COSTS) -> Costs:
        """
        Raises:
            DataError: there is no such table.
        """
        try:
            with open(path, newline="", encoding="utf-8") as file:
                lines = list(csv.DictReader(file))
            factors: dict[str, dict[str, float]] = {}
            for line in lines:
                factors.setdefault(line["operation"], {})[line["amount"]] = float(line["seconds"])
            return cls(factors, f"{lines[0]['device']}, {lines[0]['date']}")
        except (OSError, KeyError, IndexError, ValueError) as error:
            raise DataError(
                f"The table of costs {path.name} cannot be read ({error!r}); "
                "python -m automl_engine meta costs makes it."
            ) from error

    def seconds(self, operation: str, amounts: Amounts) -> float:
        """
        Raises:
            DataError: the table doesn't know the operation, or one of its amounts.
        """
        factors = self.factors.get(operation)
        unknown = [name for name in amounts if factors is None or name not in factors]
        if factors is None or unknown:
            what = f"{operation!r}" + (f" with {', '.join(unknown)}" if factors is not None else "")
            raise DataError(
                f"The virtual clock does not know what {what} takes: measure it with python -m automl_engine meta "
                "costs, or run with --clock wall."
            )
        return max(LEAST_S, factors.get("", 0.0) + sum(factors[name] * amount for name, amount in amounts.items()))


def _no_lap(**done: float) -> None:
    """Nobody counts."""


_UNSEEN: AbstractContextManager[Lap] = nullcontext(_no_lap)
_present: Clock = Wall()
