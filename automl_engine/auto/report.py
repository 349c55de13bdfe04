"""What the members of an ensemble have to say, as events of the run's journal."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from automl_engine.portfolio import GIVEN, KNOWN_SETS


class Reporter:
    """Passes on progress together with a validation, each note once, and failures with their traceback."""

    def __init__(self, emit: Callable[..., None], fraction: Callable[[], float]) -> None:
        self._emit, self._fraction = emit, fraction
        self._progress, self._notes = "", set[str]()

    def order(self, rows: Sequence[Mapping[str, Any]], left_out: Mapping[str, str], modality: str) -> None:
        """What is tried, in which order, and what is left out and why."""
        self._emit(
            "order",
            rows=[{"row": row["name"], "place": row.get("place", GIVEN)} for row in rows],
            left_out=[{"row": name, "reason": reason} for name, reason in left_out.items()],
            known_sets=KNOWN_SETS[modality],
            all_known_sets=sum(KNOWN_SETS.values()),
        )

    def forget_progress(self) -> None:
        """A new model has nothing to report yet."""
        self._progress = ""

    def relay(self, kind: str, **fields: Any) -> None:
        """An event of a member.  Its progress waits for the validation; a note would come again with every fold."""
        if kind == "progress":
            self._progress = fields["text"]
        elif kind != "note" or fields["text"] not in self._notes:
            self._notes.add(fields.get("text", ""))
            self._emit(kind, **fields)

    def progress(self, name: str, text: str, after: bool = True, **fields: float) -> None:
        """A text before or ``after`` what the member itself last reported."""
        own = self._progress or (name if after else "")
        text = ": ".join(filter(None, (own, text) if after else (text, own)))
        self._emit("progress", by=name, text=text, fraction=self._fraction(), **fields)

    def failure(self, name: str, error: Exception) -> None:
        text, trace = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
        self._emit("failed", what=name, error=text, traceback=trace, fatal=False)
