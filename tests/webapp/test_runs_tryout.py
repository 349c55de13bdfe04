"""The model's page, and predictions with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp import toys
from tests.webapp.conftest import blocks
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.runs import start, tryout
from webapp.runs.models import Prediction, Run


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


def test_model_page_shows_proof_and_contents(owner_client: Any, run: Run) -> None:
    html = owner_client.get(f"/models/{run.pk}").content.decode()
    assert "32 of 32 samples: the downloaded model predicts the same as this site" in html
    assert "predict.py" in html
    assert "Bearer" in html


@pytest.mark.parametrize(("state", "words"), [("queued", "being packed"), ("failed", "Pack it again")])
def test_model_page_before_the_model_is_there(owner_client: Any, run: Run, state: str, words: str) -> None:
    Run.objects.update(export_state=state)
    assert words in owner_client.get(f"/models/{run.pk}").content.decode()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"type": "number", "histogram": {"edges": [4.3, 5, 7.9], "counts": [1, 2]}}, (4.3, 7.9)),
        ({"type": "number", "top": [["3", 9], ["-1", 2]]}, (-1, 3)),
        ({"type": "number", "top": [["3,5", 9], ["4", 2]]}, None),
        ({"type": "category", "top": [["1", 9]]}, None),
    ],
)
def test_the_row_form_knows_the_range_of_numbers(
    column: dict[str, Any], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "report", {"columns": [{"name": "x", "role": "feature", **column}]})
    (found,) = tryout.inputs(Dataset(modality="tabular"))
    assert (found.get("low"), found.get("high")) == (expected or (None, None))


def _file(name: str = "new.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, toys.png())


def test_try_files(owner_client: Any, run: Run, jobs: Any) -> None:
    response = owner_client.post(
        f"/models/{run.pk}/predict",
        {"files": [_file(), _file("../../etc/new.png")]},
        headers={"accept": "application/json"},
    )
    prediction = Prediction.objects.get(pk=response.json()["id"])
    assert sorted(path.name for path in prediction.source.iterdir()) == ["1-new.png", "new.png"]
    assert jobs == [("predict", "webapp.runs.jobs.predict_and_explain", (prediction.pk,))]
    fragment = f"/models/{run.pk}/predictions/{prediction.pk}"
    assert owner_client.get(fragment).headers["X-State"] == "queued"
    prediction.output_path.write_text("name,prediction,dark,light\nnew.png,light,0.25,0.75\n")
    Prediction.objects.update(state="ready")
    html = owner_client.get(fragment).content.decode()
    assert "75\N{NO-BREAK SPACE}%" in html
    assert '<strong class="answer">light</strong>' in html
    assert b"new.png,light" in b"".join(blocks(owner_client.get(fragment + ".csv")))


def test_what_was_not_read_is_said_beside_its_answer(owner_client: Any, run: Run, jobs: Any) -> None:
    owner_client.post(f"/models/{run.pk}/predict", {"files": [_file()]})
    prediction = Prediction.objects.get()
    rows = ["name,prediction,dark,light,problem", "a.png,light,0.25,0.75,", "b.png,,,,b.png cannot be read (damaged)."]
    prediction.output_path.write_text("\n".join(rows))
    (prediction.dir / "notes.json").write_text('["1 of 2 inputs could not be read <here>"]')
    Prediction.objects.update(state="ready")
    html = owner_client.get(f"/models/{run.pk}/predictions/{prediction.pk}").content.decode()
    assert "1 of 2 inputs could not be read &lt;here&gt;" in html
    assert "b.png cannot be read (damaged)." in html
    assert '<strong class="answer">not read</strong>' in html


def test_try_a_row(owner_client: Any, owner: User, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner, modality="tabular"), export_state="ready")
    assert 'name="value"' in owner_client.get(f"/models/{run.pk}").content.decode()
    response = owner_client.post(f"/models/{run.pk}/predict", {"value": ["1.5", ""]})
    assert response.status_code == 302
    assert json.loads(Prediction.objects.get().source.read_text()) == [{"length": "1.5", "weight": ""}]


def test_try_refuses_with_a_sentence(owner_client: Any, run: Run, monkeypatch: Any) -> None:
    address, ask = f"/models/{run.pk}/predict", {"headers": {"accept": "application/json"}}
    assert "No file was sent" in owner_client.post(address, **ask).json()["error"]
    monkeypatch.setattr(tryout, "MAX_BYTES", 10)
    assert "At most" in owner_client.post(address, {"files": [_file()]}, **ask).json()["error"]
    Run.objects.update(export_state="queued")
    assert "not packed yet" in owner_client.post(address, {"files": [_file()]}, **ask).json()["error"]
    assert not Prediction.objects.exists()


def test_what_i_asked_is_mine_alone(
    owner_client: Any, stranger_client: Any, client: Any, run: Run, stranger: User
) -> None:
    Run.objects.update(public=True)
    Dataset.objects.update(public=True)
    assert stranger_client.post(f"/models/{run.pk}/predict", {"files": [_file()]}).status_code == 302
    prediction = Prediction.objects.get()
    assert prediction.owner == stranger
    address = f"/models/{run.pk}/predictions/{prediction.pk}"
    assert stranger_client.get(address).status_code == 200
    assert owner_client.get(address).status_code == 404
    assert client.get(address).status_code == 404
    assert client.post(f"/models/{run.pk}/predict", {"files": [_file()]}).status_code == 302
    assert Prediction.objects.count() == 1


def test_http_api_answers_with_the_csv(client: Any, owner: User, run: Run, monkeypatch: Any) -> None:
    def answer(prediction: Prediction, explain: bool) -> None:
        assert not explain  # a script waits for answers only
        prediction.output_path.write_text("name,prediction\nnew.png,light\n")
        Prediction.objects.update(state="ready")

    monkeypatch.setattr(tryout.queue, "enqueue_predict", answer)
    address = f"/api/models/{run.pk}/predict"
    assert client.post(address, {"files": [_file()]}).status_code == 401
    key = {"headers": {"authorization": f"Bearer {ApiToken.make(owner, 'test')[1]}"}}
    response = client.post(address, {"files": [_file()]}, **key)
    assert b"new.png,light" in b"".join(blocks(response))
    assert client.post(address, **key).status_code == 422
