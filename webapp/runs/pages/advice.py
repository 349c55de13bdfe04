"""How to improve the result of a run: a few sentences, each drawn from numbers on the page."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from django.conf import settings

from webapp.datasets.models import target_of
from webapp.runs import words
from webapp.runs.models import Run

CLEAR_GAIN = 0.01
"""Gain of NAUC in the second half of the training time that makes more time worthwhile."""
USED_UP = 0.9
"""Share of the training time after which a run counts as one that used all of it."""
RARE = 0.5
"""A class is rare if it has less than this share of the samples of the median class."""
HARD = 0.1
"""A class is hard if its recall is this much below the mean recall."""
SURE = 0.95
"""Confidence from which a mistake may be a wrong label."""
MANY_SURE = 3
"""Number of confident mistakes from which the labels should be checked."""


@dataclass(frozen=True)
class Advice:
    """A sentence, and the training time that it recommends, if it is about that."""

    sentence: str
    budget_s: int | None = None


def advice(run: Run, points: list[dict[str, Any]], results: dict[str, Any] | None) -> list[Advice]:
    """For a finished run, for those who may see its data; empty when there is nothing to say."""
    return advices(run.budget_s, points, results, run.dataset.report) if run.state == Run.State.FINISHED else []


def advices(
    budget_s: float, points: list[dict[str, Any]], results: dict[str, Any] | None, report: dict[str, Any]
) -> list[Advice]:
    """The most helpful first.

    Args:
        points: scored predictions with t and nauc.
        results: ``results.json``.
        report: the data set's ``report.json``.
    """
    longer = _more_time(budget_s, points)
    said = [_more_samples(results, report), _check_labels(results)] if results else []
    said.append(_duplicates(report))
    return [*([longer] if longer else []), *(Advice(sentence) for sentence in said if sentence)]


def _more_time(budget_s: float, points: list[dict[str, Any]]) -> Advice | None:
    late = [point["nauc"] for point in points if point["t"] > budget_s / 2]
    early = [point["nauc"] for point in points if point["t"] <= budget_s / 2]
    longer = min((budget for budget in settings.BUDGETS_S if budget > budget_s), default=None)
    if not late or not early or not longer or points[-1]["t"] < USED_UP * budget_s - 5:
        return None
    if max(late) - max(early) < CLEAR_GAIN:
        return None
    return Advice(f"The score was still improving at the end: train for {words.duration(longer)}.", longer)


def _more_samples(results: dict[str, Any], report: dict[str, Any]) -> str:
    """The rare class whose recall is much lower than that of the others."""
    trained = {label["name"]: label["train"] for label in report.get("labels", [])}
    known = [line for line in results["classes"] if line["recall"] is not None and line["label"] in trained]
    if len(known) < 2:
        return ""
    found = sum(line["recall"] * line["n"] for line in known) / (sum(line["n"] for line in known) or 1)
    middle = median(trained[line["label"]] for line in known)
    rare = [line for line in known if trained[line["label"]] < RARE * middle and line["recall"] < found - HARD]
    if not rare:
        return ""
    worst = min(rare, key=lambda line: line["recall"])
    name = words.called(worst["label"], target_of(report))
    return (
        f"Add samples of “{name}”: the training set has only {trained[worst['label']]}, and the model finds "
        f"{words.percent(worst['recall'])} of them in the test set."
    )


def _check_labels(results: dict[str, Any]) -> str:
    sure = sum(mistake["confidence"] >= SURE for mistake in results["mistakes"])
    if sure < MANY_SURE:
        return ""
    return f"Check the labels: {sure} mistakes have a confidence of more than 95 %. They are shown below."


def _duplicates(report: dict[str, Any]) -> str:
    across = report.get("duplicates", {}).get("across_split", 0)
    if not across:
        return ""
    those = "1 sample is" if across == 1 else f"{across} samples are"
    return f"Remove the duplicates: {those} in both the training and the test set, so the scores may be too high."
