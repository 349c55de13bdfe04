"""Which configurations a run tries, in which order and why, and which it leaves out (event ``order``, docs/formats.md).

Runs of earlier versions have no such event, or lost its rows when they were imported: nothing is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PLACES = {
    "given": "as set by an administrator",
    "gain": "by the gain in shared runs on this site",
    "early": "early in this run to measure the gain",
    "last": "last since no gain is known",
}
"""Why configurations stand where they do that are not in the engine's own order."""


@dataclass(frozen=True)
class Choice:
    sentence: str
    left_out: list[tuple[str, str]]
    """Configuration, and why it was not tried or not used to its end."""


def explained(events: Sequence[dict[str, Any]]) -> Choice | None:
    order = next((event for event in events if event.get("rows")), None)
    if order is None:
        return None
    names = [told["row"] for told in order["rows"]]
    has_ended = events[-1]["event"] == "finished"
    opened = {event["row"] for event in events if event["event"] == "chosen"}
    tried = [name for name in names if name in opened or not has_ended] or names
    alone = ", the only configuration that can run here"
    how = f" in this order: {'; '.join(_reasons(order))}" if len(names) > 1 else alone
    sentence = f"The engine {'tried' if has_ended else 'tries'} {_listed(tried)}{how}."
    failed = [event["what"] for event in events if event["event"] == "failed" and event.get("what") in names]
    left_out = {told["row"]: told["reason"] for told in order["left_out"]} | dict.fromkeys(failed, "it failed")
    if has_ended:
        late = [name for name in names if name not in opened and name not in left_out]
        left_out |= dict.fromkeys(late, "the run ended before its turn")
    return Choice(sentence, list(left_out.items()))


def _reasons(order: dict[str, Any]) -> Iterable[str]:
    if any(told["place"] == "measured" for told in order["rows"]):
        yield (
            f"the fixed order that no other beat on average over {order['all_known_sets']} known data sets, "
            f"{order['known_sets']} of them of this kind"
        )
    for place, words in PLACES.items():
        if names := [told["row"] for told in order["rows"] if told["place"] == place]:
            yield f"{_listed(names)} {words}"


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
