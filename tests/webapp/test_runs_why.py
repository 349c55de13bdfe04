"""Why a model gave its answer: who may ask, what the page says, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webapp import engine
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops import queues
from webapp.runs import jobs as run_jobs
from webapp.runs import why
from webapp.runs.models import Prediction, Run

PIXEL = "data:image/png;base64,AAAA"
AREA = {"picture": PIXEL, "width": 40, "height": 30, "weights": [[0, 0.1], [1, -0.5]], "without": [[1, 1], [0.2, 1]]}
LINE = {"weights": [-0.2, 1], "without": [0.93, 0.4]}
KINDS = {
    "picture": (AREA, "Most important: at the bottom left."),
    "clip": (AREA, "The picture is the middle frame."),
    "sound": (AREA | {"seconds": 2.0}, "Most important: low frequencies from 0 to 1 s."),
    "text": (LINE | {"parts": ["an", "offer"], "glue": " "}, "Most important: “offer”."),
    "row": (LINE | {"parts": ["age", "<b>fare"]}, "“&lt;b&gt;fare”"),
    "series": (
        LINE | {"spans": [[0, 0.5], [0.5, 1]], "lines": [[1, None, 3]]},
        "from 50\N{NO-BREAK SPACE}% to 100\N{NO-BREAK SPACE}% of its length",
    ),
}


def told(kind: str) -> dict[str, Any]:
    return {"version": 1, "kind": kind, "label": "light", "probability": 0.9, **KINDS[kind][0]}


@pytest.fixture
def run(owner: User, make_dataset: Any, make_run: Any) -> Run:
    return make_run(make_dataset(owner), export_state="ready")


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_told_in_a_sentence(owner_client: Any, run: Run, kind: str) -> None:
    write(why.path(run, 1), told(kind))
    html = owner_client.get(f"/runs/{run.pk}/why/1").content.decode()
    assert "Why “light” (90\N{NO-BREAK SPACE}%)" in html
    assert KINDS[kind][1] in html
    assert "light/test1.png" in html  # the file
    assert "<script>" not in html


def test_no_part_decides(owner_client: Any, run: Run) -> None:
    write(why.path(run, 1), told("row") | {"without": [0.9, 0.895]})
    assert "No single part decides" in owner_client.get(f"/runs/{run.pk}/why/1").content.decode()
    empty = {"weights": [], "without": [], "parts": [], "glue": ""}
    write(why.path(run, 1), told("text") | empty)
    assert "nothing in this input" in owner_client.get(f"/runs/{run.pk}/why/1").content.decode()


def test_a_test_item_is_explained_once_for_everybody_who_sees_the_data(
    owner_client: Any, stranger_client: Any, client: Any, run: Run, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/runs/{run.pk}/why/1"
    assert f'href="{address}"' in owner_client.get(run.get_absolute_url()).content.decode()
    assert "Explain the answer" in owner_client.get(address).content.decode()
    assert stranger_client.get(address).status_code == stranger_client.post(address).status_code == 404
    assert owner_client.get(f"/runs/{run.pk}/why/6").status_code == 404  # there are six
    assert owner_client.post(address).headers["Location"] == address
    assert jobs == [("predict", "webapp.runs.why.explain", (f"{run.pk}-1",))]
    monkeypatch.setattr(queues, "is_alive", lambda job_id: True)
    assert owner_client.get(f"{address}?part").headers["X-State"] == "queued"
    assert owner_client.post(address, headers={"accept": "application/json"}).status_code == 200
    assert len(jobs) == 1
    monkeypatch.setattr(engine, "explain", lambda model, data, out, stop, test_index: write(out, told("picture")))
    why.explain(f"{run.pk}-1")
    fragment = owner_client.get(f"{address}?part")
    assert fragment.headers["X-State"] == ""
    assert fragment.content.decode().lstrip().startswith("<section")
    Dataset.objects.update(public=True)
    Run.objects.update(public=True)
    assert "at the bottom left" in client.get(address).content.decode()
    assert client.post(address).status_code == 302  # to the log-in


def test_what_cannot_be_explained_is_told_and_can_be_asked_again(
    owner_client: Any, run: Run, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*arguments: Any, **options: Any) -> None:
        raise engine.DataError("The file is damaged.")

    monkeypatch.setattr(engine, "explain", unreadable)
    why.explain(f"{run.pk}-0")
    assert "The file is damaged." in owner_client.get(f"/runs/{run.pk}/why/0").content.decode()
    owner_client.post(f"/runs/{run.pk}/why/0")
    assert len(jobs) == 1
    run.delete()
    why.explain(f"{run.pk}-0")  # nothing to do


@pytest.mark.parametrize(("rows", "explained"), [(1, True), (2, False)])
def test_a_single_new_input_is_explained_after_its_answer(
    owner_client: Any, owner: User, run: Run, monkeypatch: pytest.MonkeyPatch, rows: int, explained: bool
) -> None:
    prediction = Prediction.objects.create(run=run, owner=owner, input_name="x.png")
    (prediction.dir / "input").mkdir(parents=True)
    (prediction.dir / "input" / "x.png").write_text("x")
    answers = "name,prediction,dark,light\n" + "x.png,light,0.1,0.9\n" * rows
    monkeypatch.setattr(engine, "predict", lambda model, source, out, stop: out.write_text(answers))

    def explain(model: Path, source: Path, out: Path, stop: Any) -> None:
        assert source.read_text() == "x"
        assert Prediction.objects.get().state == "ready"
        write(out, told("picture"))

    monkeypatch.setattr(engine, "explain", explain)
    run_jobs.predict_and_explain(prediction.pk)
    assert not (prediction.dir / "input").exists()
    shown = owner_client.get(f"/models/{run.pk}?prediction={prediction.pk}").content.decode()
    assert ("at the bottom left" in shown) == explained
    part = f"/models/{run.pk}/predictions/{prediction.pk}/why"
    assert ("at the bottom left" in owner_client.get(part).content.decode()) == explained
    assert ("send one input alone" in shown) != explained
