"""What the papers show of their results, made from ours: table 2 of the AutoCV paper, the times and the duel with
Baseline 3 of the AutoDL Self-Service slides.

Baseline 3 combined the winners of earlier challenges; here it is a configuration for each kind of data (``WINNERS``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from automl_engine.lab.bench.published import AUTOCV_MODELS, autocv_table

WINNERS = {
    "image": "image_autoclint",
    "video": "video_frames",
    "audio": "audio_thin_resnet34",
    "text": "text_svm",
    "tabular": "tabular_ensemble",
}
"""By kind of data: AutoCV, AutoCV2, AutoSpeech, AutoNLP, AutoDL.  No challenge before was about series of numbers."""
TOGETHER = "winners"
AUTOCV_ROWS = {
    "linear": "image_baseline_linear",
    "resnet": "image_resnet50_v2",
    "inception": "image_inception_v3",
}

Sets = Sequence[Mapping[str, Any]]


def comparisons(sets: Sets) -> dict[str, Any]:
    """The parts of summary.json that compare with the papers."""
    return {"autocv": autocv(sets), "times": times(sets), "winners": duel(sets)}


def autocv(sets: Sets) -> dict[str, Any]:
    """The published table, and the same columns of our runs on image sets, None where one is missing."""
    ours = []
    for row in sets:
        cells = [row["cells"].get(AUTOCV_ROWS[name]) for name in AUTOCV_MODELS]
        if any(cells):
            values = [cell[score][0] if cell else None for cell in cells for score in ("nauc", "alc")]
            ours.append({"dataset": row["set"], "budget_s": row["budget_s"], "values": values})
    return {**autocv_table(), "ours": ours, "configurations": list(AUTOCV_ROWS.values())}


def times(sets: Sets) -> list[dict[str, Any]]:
    """Of each model the mean time of the first and of the last prediction, by kind of data and over all sets."""
    modalities = list(dict.fromkeys(row["modality"] for row in sets))
    models = list(dict.fromkeys(model for row in sets for model in row["cells"]))
    found = []
    for model in models:
        told: dict[str, Any] = {"model": model}
        for key in ("first_prediction_s", "duration_s"):
            by = {name: _mean(sets, model, key, name) for name in modalities}
            told[key] = {"by_modality": by, "overall": _mean(sets, model, key)}
        found.append(told)
    return found


def _mean(sets: Sets, model: str, key: str, modality: str = "") -> float | None:
    cells = [row["cells"].get(model) for row in sets if modality in ("", row["modality"])]
    known = [cell[key][0] for cell in cells if cell and cell[key]]
    return mean(known) if known else None


def duel(sets: Sets) -> dict[str, Any] | None:
    """``auto`` against the winner's configuration on each set; None where they never met."""
    rows = [
        {"set": row["set"], "modality": row["modality"], "winner": winner, "auto_alc": auto, "winner_alc": other}
        for row in sets
        for winner in [WINNERS.get(row["modality"], "")]
        if winner in row["cells"] and "auto" in row["cells"]
        for auto, other in [(row["cells"]["auto"]["alc"][0], row["cells"][winner]["alc"][0])]
    ]
    if not rows:
        return None
    by = [
        {"modality": name, "winner": WINNERS[name], "sets": len(own), **_means(own)}
        for name in dict.fromkeys(row["modality"] for row in rows)
        for own in [[row for row in rows if row["modality"] == name]]
    ]
    above = sum(row["auto_alc"] > row["winner_alc"] for row in rows)
    return {"rows": rows, "by_modality": by, "above": above, "sets": len(rows), **_means(rows)}


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: mean(row[key] for row in rows) for key in ("auto_alc", "winner_alc")}


def with_winners(sets: Sets) -> list[dict[str, Any]]:
    """The cells of each set, the winner's also under the name ``winners``."""
    found = []
    for row in sets:
        winner = row["cells"].get(WINNERS.get(row["modality"], ""))
        found.append({**row["cells"], TOGETHER: winner} if winner else dict(row["cells"]))
    return found


def markdown(summary: Mapping[str, Any]) -> list[str]:
    """The sections of ``table.md``, as titles and rows of cells."""
    parts = []
    if summary["autocv"]["ours"]:
        parts.append(("Baselines of the AutoCV paper", _autocv_rows(summary["autocv"])))
    modalities = list(dict.fromkeys(row["modality"] for row in summary["sets"]))
    for title, key in (("Seconds to the first prediction", "first_prediction_s"), ("Duration in s", "duration_s")):
        rows = [["model", *modalities, "overall"]]
        for row in summary["times"]:
            numbers = [row[key]["by_modality"][name] for name in modalities] + [row[key]["overall"]]
            rows.append([row["model"], *(_number(number, 1) for number in numbers)])
        parts.append((title, rows))
    if summary["winners"]:
        rows = [["data", "sets", "auto, mean ALC", "winner, mean ALC", "winner"]]
        for row in summary["winners"]["by_modality"]:
            scores = [_number(row["auto_alc"]), _number(row["winner_alc"])]
            rows.append([row["modality"], str(row["sets"]), *scores, row["winner"]])
        parts.append(("auto against the challenge's winners", rows))
    return [f"## {title}\n{_table(rows)}" for title, rows in parts]


def _autocv_rows(found: Mapping[str, Any]) -> list[list[str]]:
    scores = [f"{name}, {score}" for name in found["models"] for score in ("NAUC", "ALC")]
    rows = [["data set", "source", *scores]]
    rows += [[row["dataset"], f"ours, {row['budget_s']:g} s", *map(_number, row["values"])] for row in found["ours"]]
    source = "paper: other data, 1200 s, P100"
    return rows + [[row["dataset"], source, *map(_number, row["values"])] for row in found["rows"]]


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    first, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([first, "|" + "---|" * (first.count(" | ") + 1), *others])
