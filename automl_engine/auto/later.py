"""What is loaded before the clock starts, and what in a thread once the first prediction is there.

Imports and weights are not on the clock, but whoever waits for the first prediction waits for them, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from automl_engine.models import model_class
from automl_engine.models.configuration import is_quick

Row = Mapping[str, Any]

AHEAD = 2
"""Number of rows that are made before the clock starts whatever they import: with torch on the clock, the second of
pictures came a second later, which cost .04 of the ALC at T = 20."""


def make_ahead(rows: Sequence[Row], device: str, make: Callable[[str], Any]) -> dict[str, Exception | None]:
    """Try to ``make`` the models of those rows before the clock starts, but for the slow ones behind the first two.

    Returns:
        Why each could not be made, by name; None where it could.
    """
    tried: dict[str, Exception | None] = {}
    for row in rows:
        if row in rows[:AHEAD] or is_quick(row["model"], device):
            try:
                make(row["name"])
                tried[row["name"]] = None
            except Exception as error:  # reported once there is a journal
                tried[row["name"]] = error
    return tried


class Later:
    """Rows to load one after the other; it starts with the first call of ``start`` or ``wait_for``."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = list(rows)
        self._loaded = {row["name"]: threading.Event() for row in rows}
        self._thread = threading.Thread(target=self._load, daemon=True)

    def start(self) -> None:
        if self._rows and self._thread.ident is None:
            self._thread.start()

    def wait_for(self, name: str) -> None:
        """Two threads must not import the same libraries at once, since each could meet half of one."""
        if name in self._loaded:
            self.start()
            self._loaded[name].wait()

    def _load(self) -> None:
        for row in self._rows:
            with suppress(Exception):  # whoever makes the model meets it again
                model_class(row["model"]).load_ahead(**row.get("params", {}))
            self._loaded[row["name"]].set()
