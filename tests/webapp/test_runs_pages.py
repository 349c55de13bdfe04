"""The run page in every state, its regions, curve and files, and the list of runs."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import plotly.graph_objects as plotly
import pytest
from django.urls import reverse

from tests.webapp import toys
from tests.webapp.conftest import blocks
from webapp import engine
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs import start
from webapp.runs import words as run_words
from webapp.runs.models import Prediction, Run
from webapp.runs.pages import figure, page


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


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
    assert '<polyline points="0.0,80.0 100.0,20.0"/>' in html, "how the recall of a class has changed"
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
    plotly.Figure(drawn)  # raises what plotly.js would pass over in silence
    assert figure.svg(main, 100, 10)["line"].startswith("M0 10H22.8V5.0")  # protocol: 60 s are 22.8 % of the axis


def test_late_predictions_are_not_drawn() -> None:
    main = figure.Curve("run 1", [{"t": 21.0, "nauc": 0.5, "by": "toy"}], 20, 60)
    assert figure.svg(main, 100, 10) == {"line": "", "area": ""}


def test_compare_with_my_other_run(owner_client: Any, run: Run, make_run: Any, stranger: User) -> None:
    other = make_run(run.dataset)
    foreign = make_run(run.dataset, owner=stranger)
    state = owner_client.get(f"/runs/{run.pk}/state?with={other.pk}&with={foreign.pk}").json()
    assert [trace["name"] for trace in state["figure"]["data"]] == ["run 1", "run 2"]


def test_my_runs_are_listed_with_few_queries(
    owner_client: Any, run: Run, make_run: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        make_run(run.dataset)
    with django_assert_max_num_queries(9):
        html = owner_client.get("/runs/").content.decode()
    assert html.count('class="spark"') == 11


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
    text = b"".join(blocks(answer)).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0][1:] == [f"'{formula}" for formula in FORMULAS]
    assert rows[1] == ["-1.5", *["+2e3"] * len(FORMULAS)]

    Dataset.objects.update(name="=cmd", public=True)
    Run.objects.update(public=True)
    assert ",'=cmd," in owner_client.get("/boards/datasets.csv").content.decode()


def test_regions_carry_no_form(owner_client: Any, run: Run) -> None:
    """They are replaced while somebody reads: nothing to fill in, no token to go stale."""
    regions: dict[str, str] = owner_client.get(f"/runs/{run.pk}/state").json()["regions"]
    assert set(regions) == set(page.REGIONS) - {"curve"}
    assert not any("<form" in html or "csrf" in html for html in regions.values())


def test_context_needs_few_queries(run: Run, owner: User, django_assert_max_num_queries: Callable[..., Any]) -> None:
    with django_assert_max_num_queries(6):
        page.payload(Run.objects.select_related("dataset").get(pk=run.pk), owner)


def test_a_run_as_challenge_result(client: Any, owner_client: Any, stranger_client: Any, run: Run) -> None:
    address = reverse("run-challenge-result", args=[run.pk])
    assert owner_client.get(address).status_code == 404, "the clock never started"
    (run.dir / "start.txt").write_text("ingestion_pid: 1\ntask_name: toy\ntime_budget: 20\nstart_time: 0\n2: 6.0\n")
    (run.dir / "end.txt").write_text("ingestion_duration: 9\ningestion_success: 1\nend_time: 9\n")
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks(owner_client.get(address))))) as archive:
        assert archive.namelist() == ["start.txt", "end.txt", "toy.predict_2", "scores.txt"]
        assert archive.read("toy.predict_2") == (run.dir / "toy.predict_2").read_bytes()
        assert b"nauc_scores: [0.2, 0.8, 1.0]\n" in archive.read("scores.txt")
    Run.objects.filter(pk=run.pk).update(public=True)
    assert [who.get(address).status_code for who in (client, stranger_client)] == [404, 404]
    Run.objects.filter(pk=run.pk).update(state="running")
    assert owner_client.get(address).status_code == 404


def test_a_class_that_is_a_number_is_told_with_its_column(run: Run, owner_client: Any) -> None:
    assert run_words.called("1", "Survived") == "Survived = 1"
    assert run_words.called(["no", "dark"], "Rain") == "Rain = no, dark"
    assert run_words.called("1", "") == "1"
    report = run.dataset.report
    report["columns"] = [{"name": "Lit", "role": "target"}, {"name": "x", "role": "feature"}]
    (run.dataset.autodl_dir / "report.json").write_text(json.dumps(report))
    path = run.dir / "results.json"
    path.write_text(path.read_text().replace('"dark"', '"0"').replace('"light"', '"1"'))
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert "“Lit = 1” predicted as “Lit = 0”" in html
    assert "of “Lit”" in html


def test_the_first_prediction_is_told_on_both_clocks(run: Run, owner_client: Any) -> None:
    Run.objects.update(created=run.started - timedelta(seconds=1.5))
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert "First prediction after 0.5 s of training, 2 s after it was requested" in html
    Run.objects.update(created=run.started + timedelta(hours=1))  # as an imported one has it
    assert "after it was requested" not in owner_client.get(run.get_absolute_url()).content.decode()
