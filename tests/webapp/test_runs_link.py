"""The link where anybody may try a model: its owner makes and revokes it, and it opens nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.webapp import toys
from tests.webapp.conftest import blocks
from webapp.accounts.models import AuditEntry, User
from webapp.datasets.models import Dataset
from webapp.runs import tryout
from webapp.runs.models import Prediction, Run

JSON = {"headers": {"accept": "application/json"}}


@pytest.fixture
def shared(owner_client: Client, run: Run) -> Run:
    owner_client.post(f"/models/{run.pk}/link", {"shared": "1"})
    run.refresh_from_db()
    return run


def _file(size_bytes: int = 0) -> SimpleUploadedFile:
    return SimpleUploadedFile("new.png", toys.png() + bytes(size_bytes))


def test_a_visitor_sends_a_picture_and_gets_the_answer(
    client: Client, owner_client: Client, shared: Run, jobs: Any
) -> None:
    page = client.get(f"/try/{shared.link}")
    html = page.content.decode()
    assert page["X-Robots-Tag"] == "noindex"
    assert '<meta name="robots" content="noindex">' in html
    assert "Drop or paste new pictures" in html
    assert all(address not in html for address in (shared.pk, shared.dataset_id, "model.zip"))

    sent = client.post(f"/try/{shared.link}/predict", {"files": [_file()]}, **JSON)
    prediction = Prediction.objects.get(pk=sent.json()["id"])
    assert prediction.owner is None
    assert jobs == [("predict", "webapp.runs.jobs.predict", (prediction.pk,))]
    answer = f"/try/{shared.link}/predictions/{prediction.pk}"
    assert client.get(answer)["X-State"] == "queued"
    prediction.output_path.write_text("name,prediction,dark,light\nnew.png,light,0.25,0.75\n")
    Prediction.objects.update(state="ready")
    html = client.get(answer).content.decode()
    assert '<strong class="answer">light</strong>' in html
    assert f'href="{answer}.csv"' in html
    assert b"new.png,light" in b"".join(blocks(client.get(answer + ".csv")))
    assert "new.png" in client.get(f"/try/{shared.link}?prediction={prediction.pk}").content.decode()
    assert "Earlier predictions" not in owner_client.get(f"/models/{shared.pk}").content.decode()
    assert client.get(f"/models/{shared.pk}/predictions/{prediction.pk}").status_code == 404


def test_a_form_without_script_and_a_row(client: Client, owner: User, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner, modality="tabular"), export_state="ready", link="open-to-anybody")
    assert 'name="value"' in client.get(f"/try/{run.link}").content.decode()
    response = client.post(f"/try/{run.link}/predict", {"value": ["1.5", ""]})
    assert response["Location"] == f"/try/{run.link}?prediction={Prediction.objects.get().pk}#answer"


def test_a_revoked_link_opens_nothing(client: Client, owner_client: Client, shared: Run) -> None:
    client.post(f"/try/{shared.link}/predict", {"files": [_file()]})
    answer = f"/try/{shared.link}/predictions/{Prediction.objects.get().pk}"
    owner_client.post(f"/models/{shared.pk}/link", {"shared": "0"})
    for address in (f"/try/{shared.link}", answer, f"{answer}.csv"):
        assert client.get(address).status_code == 404
    assert client.post(f"/try/{shared.link}/predict", {"files": [_file()]}).status_code == 404
    owner_client.post(f"/models/{shared.pk}/link", {"shared": "1"})
    assert Run.objects.get().link not in ("", shared.link)
    assert AuditEntry.objects.filter(subject__contains=shared.pk).count() == 3


def test_only_the_owner_makes_a_link(
    client: Client, stranger_client: Client, guest_client: Client, owner_client: Client, run: Run
) -> None:
    Run.objects.update(public=True)
    Dataset.objects.update(public=True)
    for visitor in (client, stranger_client, guest_client):
        assert visitor.post(f"/models/{run.pk}/link", {"shared": "1"}).status_code == 404
        assert "Make a link" not in visitor.get(f"/models/{run.pk}").content.decode()
    assert not Run.objects.get().link
    assert "Make a link" in owner_client.get(f"/models/{run.pk}").content.decode()


def test_visitors_are_limited(client: Client, shared: Run, settings: Any, monkeypatch: Any) -> None:
    def error(size_bytes: int = 0) -> str:
        return (
            client.post(f"/try/{shared.link}/predict", {"files": [_file(size_bytes)]}, **JSON).json().get("error", "")
        )

    monkeypatch.setattr(tryout, "VISITOR_MAX_BYTES", 1000)
    assert "At most" in error(1000)
    monkeypatch.setattr(tryout, "MAX_WAITING", 1)
    assert not error()
    assert "Many visitors" in error()
    Prediction.objects.update(state="ready")
    settings.ACCOUNT_RATE_LIMITS = {"try": "1/h/key"}
    assert not error()
    assert "asked very often" in error()
