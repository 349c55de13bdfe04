"""The run page in every state, its stream and files, quotas, and who may see or do what."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from tests.webapp import toys
from webapp import engine
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow
from webapp.runs import start, tryout
from webapp.runs import words as run_words
from webapp.runs.models import Prediction, Run, ScorePoint, SpentRun
from webapp.runs.pages import figure, live, page, stream


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


@pytest.fixture
def run(owner: User, make_dataset: Any, make_run: Any) -> Run:
    """A finished run of the owner, with a packed model."""
    run = make_run(make_dataset(owner), export_state="ready", reason="It was done before the budget ended.")
    (run.dir / "toy.predict_2").write_text("0.9 0.1\n0.2 0.8\n0.9 0.1\n0.7 0.3\n1 0\n0 1\n")
    with zipfile.ZipFile(run.dir / "model.zip", "w") as archive:
        archive.writestr("predict.py", "print()")
        archive.writestr("lib/formatters/image.py", "x" * 10)
        archive.writestr(
            "verify.json", json.dumps({"samples": 32, "agree": 32, "max_difference": 3e-7, "tolerance": 1e-3})
        )
    return run


def test_accuracy_comes_first(owner_client: Any, run: Run) -> None:
    html = owner_client.get(run.get_absolute_url()).content.decode()
    numbers = html[html.index('data-region="numbers"') :]
    places = [numbers.index(text) for text in ("accuracy", "Always the most common class", ">NAUC<", ">ALC<")]
    assert places == sorted(places)
    assert "50\N{NO-BREAK SPACE}%" in numbers[places[1] : places[2]]
    listed = owner_client.get("/runs/").content.decode()
    assert listed.index(">accuracy<") < listed.index("NAUC</a>") < listed.index("ALC</a>")


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0"), (1e-5, "0.1"), (0.5, "50"), (0.994, "99.4"), (0.99999, "99.9"), (1, "100")]
)
def test_accuracy_is_never_rounded_to_all_or_nothing(share: float, shown: str) -> None:
    assert run_words.percent(share) == f"{shown}\N{NO-BREAK SPACE}%"


def test_finished_page_says_it_in_words(owner_client: Any, run: Run) -> None:
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert "classified correctly; the most common mistake: “light” predicted as “dark”." in html
    assert "5 of 6 test images correct" in html
    assert "It was done before the budget ended." in html
    assert "Use the model" in html
    assert "Most confident mistakes" in html
    assert 'aria-label="Learning curve. 3 predictions.' in html


@pytest.mark.parametrize("state", Run.State.values)
def test_every_state_has_a_sentence(
    owner_client: Any, owner: User, make_dataset: Any, make_run: Any, state: str
) -> None:
    run = make_run(make_dataset(owner), state=state, error="It broke; your data is safe." if state == "failed" else "")
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert 'class="sentence"' in html or "It broke; your data is safe." in html
    assert run.get_state_display() in html


@pytest.mark.parametrize("name", ["run", "model", "run-list", "boards", "run-samples"])
def test_no_inline_script_and_nothing_from_outside(owner_client: Any, run: Run, name: str) -> None:
    arguments = [] if name in ("run-list", "boards") else [run.pk]
    query = "?true=light&predicted=dark" if name == "run-samples" else ""
    response = owner_client.get(reverse(name, args=arguments) + query)
    html = response.content.decode()
    assert response.status_code == 200
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html)
    assert not re.findall(r'\son\w+="', html)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def test_points_shown_are_predictions_scored(owner_client: Any, run: Run) -> None:
    state = owner_client.get(f"/runs/{run.pk}/state").json()
    scored = [event for event in engine.events.read(run.dir / "events.jsonl")[0] if event["event"] == "score"]
    shown = [(point["k"], point["t"], point["nauc"]) for point in state["points"]]
    assert shown == [(event["k"], event["t"], event["nauc"]) for event in scored]
    trace = state["figure"]["data"][0]
    markers = [y for y, size in zip(trace["y"], trace["marker"]["size"], strict=True) if size]
    assert markers == [event["nauc"] for event in scored]
    assert trace["line"]["shape"] == "hv"
    lines = owner_client.get(f"/runs/{run.pk}/curve.csv").content.decode().splitlines()
    assert len(lines) == 1 + len(scored)


def test_what_a_model_noted_stays_to_be_read(owner_client: Any, run: Run) -> None:
    note = "image_resnet uses weights of our own: small (mixed: 512 <fractals>; 1.2 M examples)."
    later = [{"event": "chosen", "row": f"row-{n}", "reason": "tried"} for n in range(9)]
    lines = [{"event": "chosen", "row": "first", "reason": "old"}, {"event": "note", "text": note}, *later]
    (run.dir / "events.jsonl").write_text("".join(json.dumps(line | {"time": 0, "t": 0.1}) + "\n" for line in lines))
    html = owner_client.get(f"/runs/{run.pk}/state").json()["regions"]["doing"]
    assert html.count("<li") == 9
    assert html.index("row-1”") < html.index("weights of our own: small (mixed: 512 &lt;fractals&gt;; 1.2 M examples)")
    assert "row-0" not in html


def test_axis_is_log_time_with_ticks_in_seconds() -> None:
    main = figure.Curve("run 1", [{"t": 60.0, "nauc": 0.5, "by": "toy"}], 1200, 60)
    drawn = figure.figure(main)
    axis = drawn["layout"]["xaxis"]
    assert axis["tickvals"][-1] == pytest.approx(3.0445, abs=1e-4)  # ln(1 + 1200/60)
    assert drawn["data"][0]["x"][2] == pytest.approx(0.6931, abs=1e-4)
    assert axis["ticktext"][-1] == "20 min"
    assert "1 min" in axis["ticktext"]
    assert drawn["layout"]["uirevision"] == "keep"
    assert figure.svg(main, 100, 10)["line"].startswith("M0 10H22.8V5.0")  # protocol: 60 s are 22.8 % of the axis


def test_late_predictions_are_not_drawn() -> None:
    main = figure.Curve("run 1", [{"t": 21.0, "nauc": 0.5, "by": "toy"}], 20, 60)
    assert figure.svg(main, 100, 10) == {"line": "", "area": ""}


def test_compare_with_my_other_run(owner_client: Any, run: Run, make_run: Any, stranger: User) -> None:
    other = make_run(run.dataset)
    foreign = make_run(run.dataset, owner=stranger)
    state = owner_client.get(f"/runs/{run.pk}/state?with={other.pk}&with={foreign.pk}").json()
    assert [trace["name"] for trace in state["figure"]["data"]] == ["run 1", "run 2"]


def _messages(run: Run, user: User, last: str = "", most: int = 50) -> list[dict[str, str]]:
    """SSE messages until the end, or the first ``most``."""

    async def collect() -> list[str]:
        found = []
        async for text in stream.messages(run.pk, user, last=last):
            found.append(text)
            if len(found) >= most:
                break
        return found

    texts = async_to_sync(collect)()
    return [dict(line.split(": ", 1) for line in text.strip().split("\n")) for text in texts if "event: " in text]


def test_stream_replays_what_came_after_last_event_id(run: Run, owner: User) -> None:
    fresh = _messages(run, owner)
    assert [message["event"] for message in fresh] == ["point"] * 3 + ["page", "end"]
    assert [message["id"] for message in fresh[:3]] == ["0-0", "0-1", "0-2"]
    again = _messages(run, owner, last="0-1")
    assert [message.get("id") for message in again] == ["0-2", None, None]
    retried = _messages(run, owner, last="7-2")
    assert len(retried) == 5


def test_stream_follows_a_run_to_its_end(owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any) -> None:
    run = make_run(make_dataset(owner), state="running")
    monkeypatch.setattr(live, "POLL_S", 0)
    looks = []
    original = live._versions

    def look(*arguments: Any) -> Any:
        looks.append(1)
        if len(looks) == 3:
            ScorePoint.objects.create(run=run, k=3, t=8, nauc=0.9, alc=0.5, by="toy")
            Run.objects.update(event_offset=10_000)
        if len(looks) == 5:
            Run.objects.update(state="finished")
        return original(*arguments)

    monkeypatch.setattr(live, "_versions", look)
    found = [message["event"] for message in _messages(run, owner)]
    assert found == ["point"] * 3 + ["page", "point", "page", "page", "end"]


def test_stream_of_a_deleted_run_ends(run: Run, owner: User) -> None:
    run.delete()
    assert json.loads(_messages(Run(id="gone"), owner)[-1]["data"])["state"] == "gone"


def test_stream_response_headers(owner_client: Any, run: Run) -> None:
    response = owner_client.get(f"/runs/{run.pk}/stream")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"


def test_stop_is_shown_by_a_heartbeat_when_nothing_moves(
    owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    run = make_run(make_dataset(owner), state="running")
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0)
    monkeypatch.setattr(live, "POLL_S", 0)

    async def third_quiet() -> str:
        async for text in stream.messages(run.pk, owner):
            if text.startswith(":"):
                return text
            await asyncio.sleep(0)
        return ""

    assert async_to_sync(third_quiet)() == ": still here\n\n"


# --- Who may what --------------------------------------------------------------------------------------------

READ = ["run", "run-state", "run-stream", "run-scores", "run-predictions", "run-samples", "model", "model-download"]
OWNERS_READ = ["run-log"]
CHANGE = ["run-stop", "run-cancel", "run-share", "run-delete", "model-export"]


def _get(client: Any, name: str, run: Run) -> int:
    query = "?true=light&predicted=dark" if name == "run-samples" else ""
    return client.get(reverse(name, args=[run.pk]) + query).status_code


@pytest.mark.parametrize("name", READ + OWNERS_READ)
def test_private_runs_are_seen_by_owner_and_administrator_only(
    name: str, run: Run, owner_client: Any, stranger_client: Any, admin_client: Any, client: Any
) -> None:
    assert _get(owner_client, name, run) == 200
    assert _get(admin_client, name, run) == 200
    assert _get(stranger_client, name, run) == 404
    assert _get(client, name, run) == 404


@pytest.mark.parametrize("name", READ)
def test_public_runs_on_private_data_show_no_samples(name: str, run: Run, client: Any) -> None:
    Run.objects.update(public=True)
    hidden = name in ("run-predictions", "run-samples", "model-download")
    assert _get(client, name, run) == (404 if hidden else 200)
    assert client.get(f"/api/runs/{run.pk}/model").status_code in (401, 404)
    Dataset.objects.update(public=True)
    assert _get(client, name, run) == 200
    assert _get(client, "run-log", run) == 404


@pytest.mark.parametrize("name", CHANGE)
def test_changes_are_the_owners(name: str, run: Run, stranger_client: Any, client: Any, owner_client: Any) -> None:
    Run.objects.update(public=True)
    address = reverse(name, args=[run.pk])
    assert stranger_client.post(address).status_code == 404
    assert client.post(address).status_code == 404
    assert owner_client.get(address).status_code == 405
    assert owner_client.post(address).status_code == 302


def test_run_list_and_start_need_a_login(client: Any, run: Run) -> None:
    assert client.get("/runs/").status_code == 302
    assert client.post(f"/data/{run.dataset_id}/learn", {"budget_s": 20}).status_code == 302
    assert Run.objects.count() == 1


def test_my_runs_are_listed_with_few_queries(
    owner_client: Any, run: Run, make_run: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        make_run(run.dataset)
    with django_assert_max_num_queries(9):
        html = owner_client.get("/runs/").content.decode()
    assert html.count('class="spark"') == 11


def test_delete_removes_rows_and_files_but_not_the_charge(
    owner_client: Any, owner: User, run: Run, django_capture_on_commit_callbacks: Any
) -> None:
    before = start.quota(owner)
    with django_capture_on_commit_callbacks(execute=True):
        owner_client.post(f"/runs/{run.pk}/delete")
    assert not Run.objects.exists()
    assert not run.dir.exists()
    assert start.quota(owner) == before


def test_a_user_can_be_deleted_with_runs(owner: User, run: Run) -> None:
    owner.delete()
    assert not Run.objects.exists()
    assert not SpentRun.objects.exists()


# --- Starting ------------------------------------------------------------------------------------------------


def test_start_creates_and_enqueues(owner_client: Any, run: Run, jobs: Any) -> None:
    response = owner_client.post(f"/data/{run.dataset_id}/learn", {"budget_s": "60", "seed": "7"})
    started = Run.objects.latest("created")
    assert response.headers["Location"] == started.get_absolute_url()
    assert (started.number, started.budget_s, started.seed, started.model) == (2, 60, 7, "auto")
    assert jobs == [("train", "webapp.runs.jobs.train", (started.pk,))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget_s": "7"},
        {"budget_s": "x"},
        {"budget_s": "20", "model": "no-such-row"},
        {"budget_s": "20", "seed": "-1"},
    ],
)
def test_start_refuses_wrong_choices_with_a_sentence(owner_client: Any, run: Run, wrong: dict[str, str]) -> None:
    response = owner_client.post(f"/data/{run.dataset_id}/learn", wrong)
    assert response.headers["Location"] == run.dataset.get_absolute_url()
    assert Run.objects.count() == 1


def test_a_full_storage_starts_nothing(owner: User, owner_client: Any, run: Run) -> None:
    User.objects.update(storage_max_bytes=10)
    page = owner_client.get(run.dataset.get_absolute_url()).content.decode()
    assert "Your storage is full" in page
    assert "Start training" not in page
    with pytest.raises(start.StartError, match="storage is full"):
        start.create_run(run.dataset, User.objects.get(pk=owner.pk), budget_s=20)


def test_series_with_gaps_are_drawn(owner_client: Any, run: Run) -> None:
    previews = run.dataset.autodl_dir / "previews" / "test.jsonl"
    series = {"index": 1, "source": "case 2", "labels": ["light"], "kind": "series", "series": [[1.0, None, 3.0]]}
    previews.write_text(json.dumps(series) + "\n")
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert '<polyline points="0.0,40.0 100.0,0.0"/>' in html


def test_numbers_beyond_measure_are_refused_or_ignored(owner_client: Any, run: Run) -> None:
    many = "9" * 5000
    assert owner_client.get(f"/boards?budget_s={many}").status_code == 200
    assert owner_client.get(f"/data/{run.dataset_id}?page={many}").status_code == 200
    assert owner_client.get(f"/api/runs/{run.pk}/events?offset={many[:30]}").status_code == 200
    assert owner_client.post(f"/data/{run.dataset_id}/learn", {"budget_s": many}).status_code == 302
    assert owner_client.get(f"/runs/{run.pk}/stream", headers={"Last-Event-ID": f"0-{many}"}).status_code == 200


def test_quota_counts_today_and_in_all_and_refunds_our_faults(owner: User, run: Run, make_run: Any) -> None:
    owner.runs_per_day, owner.runs_total = 2, 3
    owner.save()
    assert start.quota(owner) == start.Quota(left_today=1, left_total=2, per_day=2)
    make_run(run.dataset, state="failed", charged=False)
    assert start.quota(owner).left_today == 1
    start.create_run(run.dataset, owner, budget_s=20)
    with pytest.raises(start.StartError, match="All 2 runs of today are used up"):
        start.create_run(run.dataset, owner, budget_s=20)
    Run.objects.update(created=timezone.now() - timedelta(days=2))
    start.create_run(run.dataset, owner, budget_s=20)
    with pytest.raises(start.StartError, match="All your runs"):
        start.create_run(run.dataset, owner, budget_s=20)


def test_forecast_before_the_click(run: Run, owner: User, make_run: Any, monkeypatch: Any) -> None:
    assert start.forecast().sentence == "A worker is free: training starts immediately."
    make_run(run.dataset, state="running", budget_s=60, state_since=timezone.now())
    monkeypatch.setattr(start, "_last_starts", lambda: {owner.pk: timezone.now().timestamp()})
    waiting = make_run(run.dataset, state="queued", budget_s=300)
    assert start.forecast().ahead == 1  # of somebody else, whose turn is first
    forecast = start.forecast(user=owner)
    assert forecast.ahead == 2
    assert forecast.starts_in_s == pytest.approx(60 + 300 + 2 * start.START_UP_S, abs=2)
    assert start.forecast(waiting).ahead == 1
    monkeypatch.setattr(start, "worker_count", lambda: 2)
    assert start.forecast(waiting).starts_in_s == 0
    Run.objects.exclude(pk=waiting.pk).delete()
    monkeypatch.setattr(start, "worker_count", lambda: 0)
    assert "No training worker is running" in start.forecast(waiting).sentence


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


def test_panel_tells_what_comes_first(owner_client: Any, run: Run) -> None:
    PortfolioRow.objects.create(
        name="toy-linear", modality="image", model="image_linear", origin="a closed form, so at once"
    )
    PortfolioRow.objects.create(name="switched-off", modality="image", model="image_linear", enabled=False)
    html = owner_client.get(run.dataset.get_absolute_url()).content.decode()
    assert "toy-linear" in html
    assert "a closed form, so at once" in html
    assert "switched-off" not in html
    assert "4 of 5 runs left today" in html


# --- The model -----------------------------------------------------------------------------------------------


def test_gallery_of_a_cell(owner_client: Any, run: Run) -> None:
    html = owner_client.get(f"/runs/{run.pk}/samples?true=light&predicted=dark").content.decode()
    assert "light/test3.png" in html  # 0.7 dark, though light
    assert "light/test1.png" not in html
    assert owner_client.get(f"/runs/{run.pk}/samples?true=no&predicted=dark").status_code == 404


def test_predictions_as_csv(owner_client: Any, run: Run) -> None:
    response = owner_client.get(f"/runs/{run.pk}/predictions.csv")
    lines = response.content.decode().splitlines()
    assert lines[:2] == ["index,name,prediction,dark,light", "0,dark/test0.png,dark,0.9,0.1"]
    assert len(lines) == 1 + toys.COUNTS["test"]


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1"]


def test_no_cell_of_a_csv_is_a_formula(owner_client: Any, owner: User, run: Run) -> None:
    results = json.loads((run.dir / "results.json").read_text())
    (run.dir / "results.json").write_text(json.dumps(results | {"labels": ["=1+1", "-1.5"]}))
    for path in run.dir.glob("*.predict_2"):
        path.unlink()
    (run.dir / "toy.predict_2").write_text("0.9 0.1\n")
    rows = list(csv.reader(owner_client.get(f"/runs/{run.pk}/predictions.csv").content.decode().splitlines()))
    assert rows[0][3:] == ["'=1+1", "-1.5"]
    assert rows[1][2:] == ["'=1+1", "0.9", "0.1"]

    asked = Prediction.objects.create(owner=owner, run=run, state="ready", input_name="x.csv")
    asked.output_path.parent.mkdir(parents=True)
    with open(asked.output_path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", *FORMULAS], ["-1.5", *["+2e3"] * len(FORMULAS)]])
    answer = owner_client.get(f"/models/{run.pk}/predictions/{asked.pk}.csv")
    text = b"".join(_blocks(answer)).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0][1:] == [f"'{formula}" for formula in FORMULAS]
    assert rows[1] == ["-1.5", *["+2e3"] * len(FORMULAS)]

    Dataset.objects.update(name="=cmd", public=True)
    Run.objects.update(public=True)
    assert ",'=cmd," in owner_client.get("/boards/datasets.csv").content.decode()


def test_model_page_shows_proof_and_contents(owner_client: Any, run: Run) -> None:
    html = owner_client.get(f"/models/{run.pk}").content.decode()
    assert "32 of 32 samples: the downloaded model predicts the same as this site" in html
    assert "predict.py" in html
    assert "Bearer" in html


@pytest.mark.parametrize(("state", "words"), [("queued", "being packed"), ("failed", "Pack it again")])
def test_model_page_before_the_model_is_there(owner_client: Any, run: Run, state: str, words: str) -> None:
    Run.objects.update(export_state=state)
    assert words in owner_client.get(f"/models/{run.pk}").content.decode()


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
    assert b"new.png,light" in b"".join(_blocks(owner_client.get(fragment + ".csv")))


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


def _blocks(response: Any) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [block async for block in response.streaming_content]

    return async_to_sync(collect)() if response.is_async else list(response.streaming_content)


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
    assert b"new.png,light" in b"".join(_blocks(response))
    assert client.post(address, **key).status_code == 422


def test_sharing_is_said_and_reversed(owner_client: Any, client: Any, run: Run) -> None:
    owner_client.post(f"/runs/{run.pk}/share", {"public": "1"})
    assert client.get(run.get_absolute_url()).status_code == 200
    owner_client.post(f"/runs/{run.pk}/share", {"public": "0"})
    assert client.get(run.get_absolute_url()).status_code == 404


def test_regions_carry_no_form(owner_client: Any, run: Run) -> None:
    """They are replaced while somebody reads: nothing to fill in, no token to go stale."""
    regions: dict[str, str] = owner_client.get(f"/runs/{run.pk}/state").json()["regions"]
    assert set(regions) == set(page.REGIONS) - {"curve"}
    assert not any("<form" in html or "csrf" in html for html in regions.values())


def test_context_needs_few_queries(run: Run, owner: User, django_assert_max_num_queries: Callable[..., Any]) -> None:
    with django_assert_max_num_queries(6):
        page.payload(Run.objects.select_related("dataset").get(pk=run.pk), owner)


def test_administrators_find_runs_and_refund_them(admin_client: Any, run: Run) -> None:
    assert str(run) in admin_client.get("/admin/runs/run/").content.decode()
    admin_client.post(f"/admin/runs/run/{run.pk}/change/", {"public": "on"})
    run.refresh_from_db()
    assert (run.charged, run.public, run.state) == (False, True, "finished")


def test_a_run_as_challenge_result(client: Any, owner_client: Any, stranger_client: Any, run: Run) -> None:
    address = reverse("run-challenge-result", args=[run.pk])
    assert owner_client.get(address).status_code == 404, "the clock never started"
    (run.dir / "start.txt").write_text("ingestion_pid: 1\ntask_name: toy\ntime_budget: 20\nstart_time: 0\n2: 6.0\n")
    (run.dir / "end.txt").write_text("ingestion_duration: 9\ningestion_success: 1\nend_time: 9\n")
    with zipfile.ZipFile(io.BytesIO(b"".join(_blocks(owner_client.get(address))))) as archive:
        assert archive.namelist() == ["start.txt", "end.txt", "toy.predict_2", "scores.txt"]
        assert archive.read("toy.predict_2") == (run.dir / "toy.predict_2").read_bytes()
        assert b"nauc_scores: [0.2, 0.8, 1.0]\n" in archive.read("scores.txt")
    Run.objects.filter(pk=run.pk).update(public=True)
    assert [who.get(address).status_code for who in (client, stranger_client)] == [404, 404]
    Run.objects.filter(pk=run.pk).update(state="running")
    assert owner_client.get(address).status_code == 404
