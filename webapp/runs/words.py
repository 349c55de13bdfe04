"""Numbers and events in words a newcomer understands."""

from __future__ import annotations

from typing import Any

NOUNS = {
    "image": "images",
    "video": "clips",
    "audio": "recordings",
    "text": "texts",
    "tabular": "rows",
    "timeseries": "series",
}
BUDGET_WORDS = {20: "a quick look", 60: "a first idea", 300: "a good model", 1200: "thorough"}


def noun(modality: str) -> str:
    """What one calls the samples: images, rows, ..."""
    return NOUNS.get(modality, "samples")


def duration(seconds: float) -> str:
    """``0.6 s``, ``20 s``, ``1 min 30 s``, ``5 min``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{max(seconds, 0):.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def budget_choice(budget_s: int) -> tuple[str, str]:
    """The length of a budget and what it is good for."""
    return duration(budget_s), BUDGET_WORDS.get(budget_s, "")


def right_of(accuracy: dict[str, Any] | None) -> tuple[str, str] | None:
    """("97 of 100", "95–99") from ``results.json``; the true count where there are fewer than 100 samples."""
    if not accuracy or not accuracy["n"]:
        return None
    if accuracy["n"] < 100:
        low, high = accuracy["low"] * accuracy["n"], accuracy["high"] * accuracy["n"]
        return f"{accuracy['right']} of {accuracy['n']}", f"{low:.0f}–{high:.0f}"
    share, low, high = (100 * accuracy[key] for key in ("share", "low", "high"))
    shown = _percent(share)
    digits = 1 if "." in shown else 0
    return f"{shown} of 100", f"{low:.{digits}f}–{high:.{digits}f}"


def _percent(share: float) -> str:
    """99.97 % is not 100 of 100: near the ends one more digit, and never rounded up to all or down to none."""
    if share in (0, 100) or 1 <= share <= 99:
        return f"{share:.0f}"
    return f"{min(share, 99.9):.1f}" if share > 99 else f"{max(share, 0.1):.1f}"


def result_sentence(results: dict[str, Any] | None, modality: str) -> str:
    """One sentence: "Right on 97 of 100 new images; most often takes 4 for 9." """
    right = right_of(results["accuracy"]) if results else None
    if not results or not right:
        return ""
    if results["task"] == "multi_label":
        return f"Right in {right[0]} of its yes-or-no decisions on new {noun(modality)}."
    sentence = f"Right on {right[0]} new {noun(modality)}"
    worst = _worst_pair(results)
    return f"{sentence}; most often takes “{worst[0]}” for “{worst[1]}”." if worst else f"{sentence}."


def _worst_pair(results: dict[str, Any]) -> tuple[str, str] | None:
    """The (true, predicted) labels of the largest cell off the diagonal."""
    matrix = results["confusion"] or []
    cells = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j and n]
    if not cells:
        return None
    _, i, j = max(cells, key=lambda cell: cell[0])
    return results["labels"][i], results["labels"][j]


def curve_summary(points: list[dict[str, Any]]) -> str:
    """The learning curve for those who cannot see it."""
    if not points:
        return "No prediction yet."
    first, last = points[0], points[-1]
    best = max(points, key=lambda point: point["nauc"])
    text = (
        f"{len(points)} prediction{'s' if len(points) > 1 else ''}. The first came after {duration(first['t'])} "
        f"with an NAUC of {first['nauc']:.2f}"
    )
    if len(points) > 1:
        text += f"; the last, after {duration(last['t'])}, has {last['nauc']:.2f}"
    if best["nauc"] > last["nauc"]:
        text += f"; the best was {best['nauc']:.2f} after {duration(best['t'])}"
    return text + "."


def doings(events: list[dict[str, Any]], newest: int = 8) -> list[dict[str, Any]]:
    """What the engine does and did, the newest first, then the notes of old: ``{"kind", "text", "t", "fraction"}``.

    kind is ``now``, ``done``, ``answer`` or ``trouble``.  Of successive progress lines of one model the last is kept.
    """
    lines: list[dict[str, Any]] = []
    predictions = {event["k"]: event for event in events if event["event"] == "prediction"}
    for event in events:
        line = _line(event, predictions)
        if not line:
            continue
        if lines and event["event"] == "progress" and lines[-1].get("by") == event.get("by"):
            lines.pop()
        lines.append(line | {"t": event.get("t"), "fraction": event.get("fraction")})
    ended = bool(events) and events[-1]["event"] == "finished"
    for index, line in enumerate(lines):
        if line["kind"] == "now" and (ended or index < len(lines) - 1):
            line["kind"], line["fraction"] = "done", None
    lines.reverse()
    return lines[:newest] + [line for line in lines[newest:] if line.get("stays")]


def _line(event: dict[str, Any], predictions: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    match event:
        case {"event": "started", "device": device}:
            return {"kind": "done", "text": f"the clock started (on {device})"}
        case {"event": "chosen", "row": row, "resembles": [_, *_]}:  # choice.py tells which data
            return {"kind": "done", "text": f"chose “{row}”: by what similar data taught"}
        case {"event": "chosen", "row": row, "reason": reason}:
            return {"kind": "done", "text": f"chose “{row}”: {reason}"}
        case {"event": "progress", "text": text, **rest}:
            by = rest.get("by", "")
            return {"kind": "now", "text": f"{by}: {text}" if by and not text.startswith(by) else text, "by": by}
        case {"event": "note", "text": text}:
            return {"kind": "done", "text": text, "stays": True}
        case {"event": "score", "k": k, "nauc": nauc, "t": t, "by": by}:
            reason = predictions.get(k, {}).get("reason", "")
            what = f"{by}: {'first ' if k == 0 else ''}answer after {duration(t)}, NAUC {nauc:.3f}"
            return {"kind": "answer", "text": f"{what} ({reason})" if reason else what}
        case {"event": "failed", "error": error, **rest}:
            return {"kind": "trouble", "text": f"{rest.get('what', 'a model')} failed: {error}"}
        case {"event": "stopped" | "finished", "reason": reason}:
            return {"kind": "done", "text": f"ended: {reason}"} if event["event"] == "finished" else None
    return None
