"""What would help most after a run: at most a few sentences, each drawn from numbers on the page."""

from __future__ import annotations

from statistics import median
from typing import Any

from django.conf import settings

from webapp.runs import words
from webapp.runs.models import Run

CLEAR_GAIN = 0.01  # of NAUC in the second half of the time
USED_UP = 0.9  # of the budget
RARE = 0.5  # of the middle class's samples
HARD = 0.1  # found so much less often than samples on the whole
SURE = 0.95
MANY_SURE = 3


def advice(run: Run, points: list[dict[str, Any]], results: dict[str, Any] | None) -> list[str]:
    """Sentences for a finished run, for those who may see its data; empty when there is nothing to say."""
    return sentences(run.budget_s, points, results, run.dataset.report) if run.state == Run.State.FINISHED else []


def sentences(
    budget_s: float, points: list[dict[str, Any]], results: dict[str, Any] | None, report: dict[str, Any]
) -> list[str]:
    """The most helpful first.

    Args:
        points: scored predictions with t and nauc.
        results: ``results.json``.
        report: the data set's ``report.json``.
    """
    found = [_more_time(budget_s, points)]
    if results:
        found += [_more_samples(results, report), _check_labels(results)]
    found.append(_duplicates(report))
    return [sentence for sentence in found if sentence]


def _more_time(budget_s: float, points: list[dict[str, Any]]) -> str:
    late = [point["nauc"] for point in points if point["t"] > budget_s / 2]
    early = [point["nauc"] for point in points if point["t"] <= budget_s / 2]
    longer = min((budget for budget in settings.BUDGETS_S if budget > budget_s), default=None)
    if not late or not early or not longer or points[-1]["t"] < USED_UP * budget_s - 5:
        return ""
    if max(late) - max(early) < CLEAR_GAIN:
        return ""
    return f"It was still getting better when the time was up: give it {words.duration(longer)}."


def _more_samples(results: dict[str, Any], report: dict[str, Any]) -> str:
    """The rare class that is found much less often than the rest."""
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
    return (
        f"It had only {trained[worst['label']]} samples of “{worst['label']}” to learn from and finds "
        f"{100 * worst['recall']:.0f} % of them: more samples of this class would help most."
    )


def _check_labels(results: dict[str, Any]) -> str:
    sure = sum(mistake["confidence"] >= SURE for mistake in results["mistakes"])
    if sure < MANY_SURE:
        return ""
    return f"{sure} mistakes were made with more than 95 % confidence: look at them below, some labels may be wrong."


def _duplicates(report: dict[str, Any]) -> str:
    across = report.get("duplicates", {}).get("across_split", 0)
    if not across:
        return ""
    those = "1 sample stands" if across == 1 else f"{across} samples stand"
    return f"{those} both in train and in test, so the scores may be a little too good: remove the doubles."
