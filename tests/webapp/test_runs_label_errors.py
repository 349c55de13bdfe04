"""Probable label errors: where the model is as sure of another class as it usually is when that class is right."""

from __future__ import annotations

from typing import Any

from django.test import Client

from webapp.accounts.models import User
from webapp.runs.pages.label_errors import probable_errors

LABELS = ["cat", "dog", "eel"]


def test_swapped_labels_are_found_and_doubtful_ones_are_not() -> None:
    sure = {"cat": [0.9, 0.1, 0.0], "dog": [0.1, 0.9, 0.0]}
    predictions = [sure["cat"]] * 5 + [sure["dog"]] * 5 + [[0.45, 0.55, 0.0]]
    given = [["cat"]] * 4 + [["dog"]] * 6 + [["cat"]]  # sample 4 is a cat that is called dog
    found = probable_errors(LABELS, enumerate(predictions), dict(enumerate(given)))
    assert [(one["index"], one["true"], one["predicted"]) for one in found] == [(4, ["dog"], ["cat"])]
    assert found[0]["confidence"] == 0.9


def test_the_surest_comes_first_and_nobody_else_counts() -> None:
    predictions = [[3.0, 1.0, 0.0], [8.0, 0.0, 0.0], [1.0, 9.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]
    given = {0: ["dog"], 1: ["dog"], 2: ["dog"], 3: ["cat"], 4: ["cat", "dog"]}
    found = probable_errors(LABELS, enumerate(predictions), given)
    assert [one["index"] for one in found] == [1, 0]


def test_they_come_before_the_mistakes(owner: User, make_dataset: Any, make_run: Any, owner_client: Client) -> None:
    run = make_run(make_dataset(owner))
    assert "Probable label errors" not in owner_client.get(run.get_absolute_url()).content.decode()
    rows = ["0.9 0.1", "0.95 0.05", "0.9 0.1", "0.1 0.9", "0.9 0.1", "0.1 0.9"]  # sample 1 is labelled light
    (run.dir / "toy.predict_2").write_text("\n".join(rows) + "\n")
    page = owner_client.get(run.get_absolute_url()).content.decode()
    assert "Probable label errors" in page
    assert page.count('value="light/test1.png"') == 1
    assert 'data-suggested="dark"' in page
    assert "Most confident mistakes" not in page
