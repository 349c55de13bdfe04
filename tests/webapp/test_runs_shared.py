"""A shared run shows what its owner was promised: name, settings, curve and scores; more only with public data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from automl_engine.run import events
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs.models import Run
from webapp.runs.pages import stream

SECRET = "secret-of-the-data"


@pytest.fixture
def shared(owner: User, make_dataset: Any, make_run: Any) -> Run:
    """A public run on private data that is named wherever a run may tell of it."""
    dataset = make_dataset(owner, title=f"12 images of {SECRET}")
    run = make_run(dataset, public=True, reason=SECRET, error=SECRET, export_state="failed", export_error=SECRET)
    path = run.dir / "results.json"
    path.write_text(path.read_text().replace('"light"', f'"{SECRET}"').replace('"dark"', f'"{SECRET}-2"'))
    told: dict[str, Any] = {"what": "resnet", "error": f"ValueError: {SECRET}", "traceback": f"File {SECRET}"}
    events.append(run.dir / "events.jsonl", "failed", t=1.0, **told)
    events.append(run.dir / "events.jsonl", "note", t=1.0, text=f"class {SECRET} is rare")
    alike = {"label": SECRET, "known_label": "cat", "dataset": "pets", "distance": 1.0}
    (dataset.autodl_dir / "alike.json").write_text(json.dumps({"alike": [alike]}))
    return run


def _streamed(run: Run, viewer: Any) -> str:
    async def collect() -> str:
        return "".join([text async for text in stream.messages(run.pk, viewer)])

    return async_to_sync(collect)()


def _seen(run: Run, client: Client, viewer: User) -> dict[str, str]:
    """Everything that this viewer gets of the run, by where it comes from."""
    addresses = [f"/runs/{run.pk}", f"/runs/{run.pk}/state", f"/runs/{run.pk}/curve.csv", f"/models/{run.pk}"]
    addresses += [f"/api/runs/{run.pk}{part}" for part in ("", "/points", "/events")] + ["/api/runs"]
    seen = {address: client.get(address).content.decode() for address in addresses}
    return {"stream": _streamed(run, viewer)} | seen


def test_a_shared_run_of_private_data_shows_curve_and_scores_alone(
    shared: Run, stranger_client: Client, stranger: User
) -> None:
    seen = _seen(shared, stranger_client, stranger)
    for where, text in seen.items():
        for hidden in (SECRET, "confusion", "Scores by class", "Confusion matrix", "traceback"):
            assert hidden not in text, f"{where} shows {hidden}"
    assert stranger_client.get(f"/api/runs/{shared.pk}/events").status_code == 404
    for where in ("stream", f"/runs/{shared.pk}", f"/runs/{shared.pk}/state"):
        assert "NAUC" in seen[where]
        assert "0.800" in seen[where]  # the ALC
    assert json.loads(seen[f"/api/runs/{shared.pk}/points"])


def test_its_owner_and_with_public_data_everybody_sees_the_rest(
    shared: Run, owner: User, owner_client: Client, stranger: User, stranger_client: Client
) -> None:
    told = (f"/runs/{shared.pk}", f"/runs/{shared.pk}/state", f"/api/runs/{shared.pk}/events", "stream")
    mine = _seen(shared, owner_client, owner)
    assert all(SECRET in mine[where] for where in told)
    Dataset.objects.update(public=True)
    theirs = _seen(shared, stranger_client, stranger)
    assert all(SECRET in theirs[where] for where in told)


def test_the_footer_links_to_the_glossary(client: Any) -> None:
    page = client.get("/glossary").content.decode()
    assert 'href="/glossary"' in page
    assert page.count("<dt>") <= 12
