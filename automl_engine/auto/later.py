"""Models whose libraries take long to import are loaded in a thread, once the first prediction is there."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from automl_engine.models import model_class

Row = Mapping[str, Any]


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
