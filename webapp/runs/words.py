"""Numbers and journal events as sentences for the page."""

from __future__ import annotations

import math
import re
from statistics import fmean
from typing import Any

NOUNS = {
    "image": "images",
    "video": "clips",
    "audio": "recordings",
    "text": "texts",
    "tabular": "rows",
    "timeseries": "series",
}
KINDS = {"audio": "sound", "tabular": "table", "timeseries": "time series"}
CODE = re.compile(r"[+-]?\d+([.,]\d+)?|true|false|yes|no|[tfyn]", re.IGNORECASE)
LONG_DECIMAL = re.compile(r"[+-]?\d*\.\d{5,}(e[+-]?\d{1,3})?", re.IGNORECASE)
BUDGET_WORDS = {20: "a first impression", 60: "a first model", 300: "a good model", 1200: "thorough"}


def called(labels: str | list[str], target: str) -> str:
    """``Survived = 1``: a class that is only a number or a yes or no, with the column that it is a value of."""
    if isinstance(labels, list):
        return ", ".join(called(label, target) for label in labels)
    return f"{target} = {labels}" if target and CODE.fullmatch(labels) else labels


def noun(modality: str) -> str:
    """The samples of a modality: images, rows, ..."""
    return NOUNS.get(modality, "samples")


def kind(modality: str) -> str:
    """The modality in words: image, video, sound, text, table or time series."""
    return KINDS.get(modality, modality)


def duration(seconds: float) -> str:
    """``0.05 s``, ``0.6 s``, ``20 s``, ``1 min 30 s``, ``5 min``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{round(max(seconds, 0), 1 if seconds >= 0.1 else 2):g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def budget_choice(budget_s: int) -> tuple[str, str]:
    """The length of a budget, and its description."""
    return duration(budget_s), BUDGET_WORDS.get(budget_s, "")


def percent(share: float) -> str:
    """``97 %``.  Near the ends one more digit, never rounded up to 100 % or down to 0 %."""
    value = 100 * share
    if value in (0, 100) or 1 <= value <= 99:
        return f"{value:.0f}\N{NO-BREAK SPACE}%"
    return f"{min(value, 99.9) if value > 99 else max(value, 0.1):.1f}\N{NO-BREAK SPACE}%"


def number(value: float, digits: int = 3) -> str:
    """Whole numbers as they are, others with so many significant digits, never an exponent: ``12,500``, ``0.0043``."""
    decimals = 0 if value == round(value) else digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{value:,.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if decimals > 0 else text


def cell(value: Any) -> Any:
    """A value of a table: long decimals with five significant digits, without groups since it may be a year."""
    if isinstance(value, str) and not LONG_DECIMAL.fullmatch(value.strip()):
        return value
    if value is None or isinstance(value, bool | int) or abs(float(value)) >= 1e15:
        return value
    return number(float(value), 5).replace(",", "")


def score_value(value: float | None) -> str:
    """An NAUC or ALC: three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def shares(row: list[float]) -> list[float]:
    """Scores of one-class predictions as probabilities that add up to 1."""
    if min(row) < 0:
        highest = max(row)
        row = [math.exp(score - highest) for score in row]
    total = sum(row) or 1.0
    return [score / total for score in row]


def probabilities(row: list[float]) -> list[float]:
    """Scores of labels as probabilities."""
    if min(row) < 0 or max(row) > 1:
        return [(math.tanh(score / 2) + 1) / 2 for score in row]
    return row


def accuracy_of(results: dict[str, Any] | None) -> dict[str, str] | None:
    """From ``results.json``: ``{"share": "97 %", "count": "348 of 360", "interval": "95–98 %"}``."""
    found = results["accuracy"] if results else None
    if not found or not found["n"]:
        return None
    share = percent(found["share"])
    digits = 1 if "." in share else 0
    return {
        "share": share,
        "count": f"{found['right']:,} of {found['n']:,}",
        "interval": f"{100 * found['low']:.{digits}f}–{100 * found['high']:.{digits}f}\N{NO-BREAK SPACE}%",
    }


def f1_of(results: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of several labels at once, from ``results.json``: the mean F1, what giving all labels always would reach, and the
    label that is found least often: ``{"share": "71 %", "trivial": "38 %", "label": "cat", "recall": "12 %"}``.
    """
    if not results or results["task"] != "multi_label":
        return None
    known = [found for found in results["classes"] if found["n"]]
    if not known:
        return None
    commons = [found["n"] / results["n_test"] for found in known]
    trivial = [2 * share / (1 + share) for share in commons]  # "yes" finds all of them
    least = min(known, key=lambda found: found["recall"])
    return {
        "share": percent(fmean(_f1(found) for found in known)),
        "trivial": percent(fmean(trivial)),
        "label": least["label"],
        "recall": percent(least["recall"]),
    }


def _f1(found: dict[str, Any]) -> float:
    total = (found["precision"] or 0.0) + found["recall"]
    return 2 * (found["precision"] or 0.0) * found["recall"] / total if total else 0.0


def result_sentence(results: dict[str, Any] | None, modality: str, target: str = "") -> str:
    """One sentence: "97 % of the test images are classified correctly; the most common mistake: 4 predicted as 9." """
    accuracy = accuracy_of(results)
    if not results or not accuracy:
        return ""
    if results["task"] == "multi_label":
        f1 = f1_of(results)
        found = f"; “{f1['label']}” is found least often, in {f1['recall']} of its {noun(modality)}" if f1 else ""
        return f"The mean F1 of the labels is {f1['share'] if f1 else '0 %'}{found}."
    sentence = f"{accuracy['share']} of the test {noun(modality)} are classified correctly"
    worst = [called(label, target) for label in _worst_pair(results) or ()]
    return f"{sentence}; the most common mistake: “{worst[0]}” predicted as “{worst[1]}”." if worst else f"{sentence}."


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
        f"with {score(first)}"
    )
    if len(points) > 1:
        text += f"; the last, after {duration(last['t'])}, has {score(last)}"
    if best["nauc"] > last["nauc"]:
        text += f"; the best by NAUC came after {duration(best['t'])} with {score(best)}"
    return text + "."


def score(point: dict[str, Any]) -> str:
    """``97 % accuracy``, where there is one class a sample; else the NAUC."""
    accuracy = point.get("accuracy")
    return f"NAUC {score_value(point['nauc'])}" if accuracy is None else f"{percent(accuracy)} accuracy"


def members(by: str) -> str:
    """The model behind a prediction: "image_linear", "a + b", or "ensemble of 5 configurations"."""
    count = by.count(" + ") + 1
    return by if count < 3 else f"ensemble of {count} configurations"


def doings(events: list[dict[str, Any]], newest: int = 8) -> list[dict[str, Any]]:
    """Steps of the engine, the newest first, then older notes: ``{"kind", "text", "details", "t", "fraction"}``.

    kind is ``now``, ``done``, ``prediction`` or ``failure``.  Successive progress lines of one model become one line.
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
            return {"kind": "done", "text": f"training started on {device}"}
        case {"event": "chosen", "row": row, "resembles": [_, *_]}:  # of an earlier version; its reason names the data
            return {"kind": "done", "text": f"chose “{row}”, which did best on similar data"}
        case {"event": "chosen", "row": row, "reason": reason}:
            return {"kind": "done", "text": f"chose “{row}”: {reason}"}
        case {"event": "progress", "text": text, **rest}:
            by = rest.get("by", "")
            return {"kind": "now", "text": f"{by}: {text}" if by and not text.startswith(by) else text, "by": by}
        case {"event": "note", "text": text}:
            return {"kind": "done", "text": text, "stays": True}
        case {"event": "score", "k": k, "t": t, "by": by}:
            reason, _, weights = predictions.get(k, {}).get("reason", "").partition("; ")
            what = f"{members(by)}: {'first ' if k == 0 else ''}prediction after {duration(t)}, {score(event)}"
            return {"kind": "prediction", "text": f"{what} ({reason})" if reason else what, "details": weights}
        case {"event": "failed", "error": error, **rest}:
            return {"kind": "failure", "text": f"{rest.get('what', 'a model')} failed: {error}"}
        case {"event": "stopped" | "finished", "reason": reason}:
            return {"kind": "done", "text": f"ended: {reason}"} if event["event"] == "finished" else None
    return None
