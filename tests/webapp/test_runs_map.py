"""The map of the test samples: alike predictions are near each other, and only who sees the data sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from webapp.accounts.models import User
from webapp.runs.models import Run
from webapp.runs.pages import results

LABELS = ["dark", "light", "red"]


@pytest.fixture
def three(owner: User, make_dataset: Any, make_run: Any) -> Run:
    """Six test samples in two groups; the last is dark and looks light."""
    run = make_run(make_dataset(owner))
    path = run.dir / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": LABELS}))
    rows = [(0.9, 0.05, 0.05), (0.1, 0.8, 0.1), (0.9, 0.06, 0.04), (0.1, 0.7, 0.2), (0.8, 0.1, 0.1), (0.7, 0.2, 0.1)]
    (run.dir / "toy.predict_2").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    return run


def test_alike_predictions_are_near(three: Run) -> None:
    found = results.load(three)
    assert found
    points = results.sample_map(three, found)
    assert [point["predicted"] for point in points] == [LABELS[at] for at in (0, 1, 0, 1, 0, 0)]
    across = [point["x"] for point in points]
    assert abs(across[0] - across[2]) < 10 < 40 < abs(across[0] - across[1])
    assert {0.0, 100.0} <= set(across)


def test_the_map_shows_classes_and_mistakes(three: Run, owner_client: Client, client: Client) -> None:
    assert f'href="/runs/{three.pk}/map"' in owner_client.get(three.get_absolute_url()).content.decode()
    page = owner_client.get(f"/runs/{three.pk}/map").content.decode()
    assert page.count("<circle") == 6
    assert page.count('class="wrong"') == 1
    assert "light/test5.png: light, predicted as dark" in page
    Run.objects.update(public=True)  # the data is still private
    assert client.get(f"/runs/{three.pk}/map").status_code == 404


def test_two_classes_have_no_plane(owner: User, make_dataset: Any, make_run: Any, owner_client: Client) -> None:
    run = make_run(make_dataset(owner))
    assert owner_client.get(f"/runs/{run.pk}/map").status_code == 404
    assert f"/runs/{run.pk}/map" not in owner_client.get(run.get_absolute_url()).content.decode()
