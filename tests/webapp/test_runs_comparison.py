"""Runs beside each other, and other decision thresholds: from the predictions of the test set."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs import words
from webapp.runs.models import Run
from webapp.runs.pages import comparison, threshold

RIGHT = ["0.9 0.1", "0.2 0.8", "0.7 0.3", "0.4 0.6", "1 0", "0 1"]  # the labels alternate
NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture
def dataset(owner: User, make_dataset: Any) -> Dataset:
    return make_dataset(owner)


@pytest.fixture
def run(dataset: Dataset, make_run: Any) -> Run:
    return _predicted(make_run(dataset), RIGHT)


def _predicted(run: Run, rows: list[str]) -> Run:
    (run.dir / "toy.predict_2").write_text("\n".join(rows) + "\n")
    return run


def _several(run: Run) -> None:
    path = run.dir / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "multi_label", "confusion": None}))


def test_the_difference_on_the_same_test_items(owner: User, run: Run, make_run: Any, owner_client: Any) -> None:
    worse = _predicted(make_run(run.dataset, budget_s=60), ["0.9 0.1"] * 6)  # half of them wrong
    same = _predicted(make_run(run.dataset), RIGHT)
    told = comparison.difference(run, worse, owner)
    assert told.startswith("−50.0 points of accuracy")
    assert "−93.8 to −6.2), on 6 test items." in told  # 0.5 ± 1.96 · 0.548 / √6
    assert comparison.difference(run, same, owner) == "The same accuracy on each of 6 test items."
    html = owner_client.get(f"{run.get_absolute_url()}?with={worse.pk}").content.decode()
    assert "Run 2 against this run: −50.0 points" in html
    assert "Run 3 against" not in html
    regions = owner_client.get(f"/runs/{run.pk}/state?with={same.pk}").json()["regions"]
    assert "Run 3 against this run: The same accuracy" in regions["comparison"]


def test_several_labels_are_compared_by_their_f1(owner: User, run: Run, make_run: Any, owner_client: Any) -> None:
    other = _predicted(make_run(run.dataset), ["0.9 0.9"] * 6)
    for one in (run, other):
        _several(one)
    assert comparison.difference(run, other, owner).startswith("−33.3 points of F1 per sample")  # 1 and 2/3
    html = owner_client.get(f"{run.get_absolute_url()}?with={other.pk}").content.decode()
    assert '<th scope="row">mean F1</th>' in html
    assert '<th scope="row">accuracy</th>' not in html


def test_a_small_difference_may_be_chance(owner: User, run: Run, make_run: Any) -> None:
    other = _predicted(make_run(run.dataset), [*RIGHT[:5], "1 0"])
    assert comparison.difference(run, other, owner).endswith("on 6 test items; this may be chance.")


def test_other_test_sets_and_private_predictions_are_refused(
    owner: User, stranger: User, run: Run, make_run: Any, make_dataset: Any, owner_client: Any
) -> None:
    newer = make_dataset(owner, family=run.dataset_id, version=2)
    other = make_run(newer)
    assert "have different test sets" in comparison.difference(run, other, owner)
    html = owner_client.get(f"{run.get_absolute_url()}?with={other.pk}").content.decode()
    assert "version 2, run 1" in html
    assert comparison.difference(run, make_run(run.dataset), stranger) == "The predictions are private."
    assert "have ended" in comparison.difference(run, make_run(run.dataset, state="running"), owner)
    assert "are missing" in comparison.difference(run, make_run(run.dataset), owner)


def test_thresholds_of_two_classes(run: Run, owner_client: Any) -> None:
    html = owner_client.get(run.get_absolute_url()).content.decode()
    section = html[html.index("data-thresholds") :]
    points = json.loads(re.search(r'data-points="([^"]*)"', section)[1])  # type: ignore[index]
    assert len(points) == 49
    assert points[24] == [1, 1, 1, 1]  # 50 %
    assert points[34] == [0.8333, 1, 0.6667, 0.8]  # 70 %: 0.6 is missed
    assert points[4] == [0.6667, 0.6, 1, 0.75]  # 10 %: 0.1 and 0.3 count as yes
    assert f'<th scope="row">70{NBSP}%</th>' in section
    assert "<script>" not in html


def test_thresholds_of_several_labels_and_where_there_are_none(run: Run, make_run: Any) -> None:
    found = json.loads((run.dir / "results.json").read_text())
    assert [choice["label"] for choice in threshold.choices(run, found)] == ["light", "dark"]
    several = threshold.choices(run, found | {"task": "multi_label"})
    assert [choice["label"] for choice in several] == [threshold.ALL, "dark", "light"]
    assert several[0]["at_half"] == [("precision", 1), ("recall", 1), ("F1", 1)], "no accuracy of yes-or-no answers"
    assert threshold.choices(run, found | {"labels": ["a", "b", "c"]}) == []
    assert threshold.choices(make_run(run.dataset, state="running"), found) == []
    assert threshold.choices(run, None) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1340.4, "1,340"),
        (374.5, "374"),
        (12.345, "12.3"),
        (0.00771, "0.00771"),
        (3e-7, "0.0000003"),
        (7, "7"),
    ],
)
def test_numbers_have_sensible_digits(value: float, shown: str) -> None:
    assert words.number(value) == shown


def test_several_labels_are_told_by_their_f1(run: Run, owner_client: Any) -> None:
    classes = [
        {"label": "rain", "n": 8, "nauc": 0.5, "precision": 0.5, "recall": 1.0},
        {"label": "fog", "n": 2, "nauc": 0.5, "precision": None, "recall": 0.0},
    ]
    path = run.dir / "results.json"
    results = json.loads(path.read_text()) | {
        "task": "multi_label",
        "confusion": None,
        "n_test": 10,
        "classes": classes,
    }
    path.write_text(json.dumps(results))
    html = re.sub(r"<[^>]+>", "", owner_client.get(run.get_absolute_url()).content.decode()).replace(NBSP, " ")
    assert "33 % mean F1 of the labels" in html
    assert "Always all labels: 61 %" in html  # 2p / (1 + p) for 0.8 and 0.2
    assert "Scores by label" in html
    assert "“fog” is found least often: in 0 % of the test" in html
    assert "yes-or-no" not in html
