"""What runs teach the meta-learner: who agrees, what is kept, where it goes, and that deleted is deleted."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from automl_engine.metalearning import tables
from tests.webapp.conftest import ENGINE
from webapp import engine
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.portfolio import rows
from webapp.portfolio.models import PortfolioRow, Score
from webapp.portfolio.scores import name_of
from webapp.runs import jobs as runs_jobs
from webapp.runs import knowledge, start
from webapp.runs.models import Lesson, Run

FEATURES = {"classes": 2.0, "samples": 12.0}


@pytest.fixture(autouse=True)
def built_in(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The engine knows one data set; the site's folder is a fresh one."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    here = tmp_path / "tables"
    here.mkdir()
    monkeypatch.setattr(tables, "HERE", here)
    _built_in_line(here, "mnist", FEATURES)
    return here


def _built_in_line(here: Path, name: str, features: dict[str, float]) -> None:
    about = {"dataset": name, "source": name, "modality": "image", "row": "linear", "version": 1, "budget_s": 60.0}
    numbers = {"alc": 0.9, "nauc": 0.95, "first_prediction_s": 0.4, "wall_s": 30.0}
    rest = {"t0_s": 60.0, "seed": 0, "device": "cpu", "engine": "0.1.0", "date": "2026-11-22"}
    tables.append_scores([tables.Score(**about, **numbers, **rest)], here / "scores.csv")  # type: ignore[arg-type]
    tables.write_features(tables.features_path("image", here), {name: features}, {name: name})


@pytest.fixture
def dataset(owner: User, make_dataset: Any) -> Dataset:
    return make_dataset(owner, name="secret patients")


@pytest.fixture
def run(dataset: Dataset, make_run: Any) -> Run:
    return _with_features(make_run(dataset, teaches=True))


def _with_features(run: Run, **features: float) -> Run:
    told = {"modality": run.dataset.modality, "features": features or FEATURES}
    (run.dir / "features.json").write_text(json.dumps(told))
    return run


def _names(folder: Path | None = None) -> tuple[list[str], list[str]]:
    """The data sets of the site's score table and of its feature table."""
    folder = folder or knowledge.folder()
    assert folder is not None
    scores = [score.dataset for score in tables.read_scores(folder / "scores.csv")]
    return scores, tables.read_numbers(tables.features_path("image", folder))[0]


# --- Agreeing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("public", [True, False])
def test_the_panel_asks_and_is_on_for_public_data_only(owner_client: Any, dataset: Dataset, public: bool) -> None:
    Dataset.objects.update(public=public)
    html = owner_client.get(dataset.get_absolute_url()).content.decode()
    box = html[html.index('name="teaches"') :].split(">")[0]
    assert ("checked" in box) == public
    assert "Share this run's scores to improve future runs" in html
    assert "never samples" in html
    owner_client.post(f"/data/{dataset.pk}/learn", {"budget_s": "20"})
    owner_client.post(f"/data/{dataset.pk}/learn", {"budget_s": "20", "teaches": "1"})
    assert list(Run.objects.order_by("number").values_list("teaches", flat=True)) == [False, True]


@pytest.mark.parametrize(("public", "order", "teaches"), [(1, {}, 1), (0, {}, 0), (1, {"teaches": False}, 0)])
def test_the_api_takes_the_same_wish(
    client: Any, owner: User, dataset: Dataset, public: int, order: dict[str, bool], teaches: int
) -> None:
    Dataset.objects.update(public=bool(public))
    key = {"headers": {"authorization": f"Bearer {ApiToken.make(owner, 'test')[1]}"}}
    answer = client.post(f"/api/datasets/{dataset.pk}/runs", order, content_type="application/json", **key)
    assert answer.status_code == 201
    assert answer.json()["teaches"] is bool(teaches)


def test_strangers_neither_see_nor_change_it(
    run: Run, stranger_client: Any, client: Any, admin_client: Any, owner_client: Any
) -> None:
    knowledge.teach(run)
    Run.objects.update(public=True)
    address = reverse("run-teach", args=[run.pk])
    for visitor in (stranger_client, client):
        assert visitor.post(address).status_code == 404
        assert visitor.post(address, {"teaches": "1"}).status_code == 404
        assert "meta-learner" not in visitor.get(run.get_absolute_url()).content.decode()
    assert stranger_client.get(f"/api/runs/{run.pk}").json()["teaches"] is None
    assert owner_client.get(address).status_code == 405
    assert admin_client.post(address, {"teaches": "1"}).status_code == 404  # nobody agrees for the owner
    assert Lesson.objects.count() == 1
    assert admin_client.post(address).status_code == 302
    assert not Lesson.objects.exists()


def test_the_owner_changes_their_mind_before_and_after(owner_client: Any, dataset: Dataset, make_run: Any) -> None:
    waiting, over = make_run(dataset, state="running"), _with_features(make_run(dataset))
    for run, taught in ((waiting, 0), (over, 1)):
        address = reverse("run-teach", args=[run.pk])
        assert "Share</button>" in owner_client.get(run.get_absolute_url()).content.decode()
        owner_client.post(address, {"teaches": "1"})
        assert Run.objects.get(pk=run.pk).teaches
        assert Lesson.objects.filter(run=run).count() == taught
        html = owner_client.get(run.get_absolute_url()).content.decode()
        assert ("2 statistics of the data, no samples" if taught else "When this run ends") in html
        owner_client.post(address)
        assert not Run.objects.get(pk=run.pk).teaches
    assert not Lesson.objects.exists()
    assert _names() == (["mnist"], ["mnist"])


# --- Keeping -------------------------------------------------------------------------------------------------


def test_numbers_are_kept_under_a_name_without_meaning(run: Run, built_in: Path) -> None:
    PortfolioRow.objects.create(name="linear", modality="image", model="linear", version=3)
    Run.objects.update(model="linear", seed=7)
    assert knowledge.folder() is None
    assert knowledge.teach(run)
    assert not knowledge.teach(run)
    folder = knowledge.folder()
    assert folder is not None
    name = name_of(run.dataset)
    assert _names() == (["mnist", name], ["mnist", name])
    line = tables.read_scores(folder / "scores.csv")[1]
    assert (line.source, line.modality, line.row, line.version, line.seed) == (name, "image", "linear", 3, 7)
    assert (line.alc, line.nauc, line.budget_s, line.device, line.engine) == (0.8, 1.0, 20, "cpu", "0.1.0")
    written = "".join(path.read_text() for path in folder.iterdir())
    for hidden in (run.dataset.name, run.dataset.pk, run.pk, run.owner.email, "dark"):
        assert hidden not in written
    assert Score.objects.get(run=run).alc == 0.8  # the table in the database
    assert list(tables.read_features(tables.features_path("image", folder))[name].values()) == [2.0, 12.0]


def test_a_run_of_auto_is_a_line_of_auto_and_may_lack_features(dataset: Dataset, make_run: Any) -> None:
    run = make_run(dataset, teaches=True)
    assert knowledge.teach(run)
    folder = knowledge.folder()
    assert folder is not None
    line = tables.read_scores(folder / "scores.csv")[1]
    assert (line.row, line.version) == ("auto", 1)
    assert _names()[1] == ["mnist"]


def test_two_runs_on_one_data_set_share_its_name(run: Run, make_run: Any) -> None:
    knowledge.teach(run)
    knowledge.teach(_with_features(make_run(run.dataset, teaches=True, seed=1)))
    scores, features = _names()
    assert len(scores) == 3
    assert scores[1] == scores[2] == features[1]
    assert len(features) == 2


@pytest.mark.parametrize("stopped", ["user", "failed", None])
def test_a_run_that_was_cut_short_teaches_nothing(run: Run, owner_client: Any, stopped: str | None) -> None:
    path = run.dir / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stopped": stopped}))
    assert not knowledge.teach(run)
    assert "Share</button>" not in owner_client.get(run.get_absolute_url()).content.decode()


def test_nothing_without_consent_and_nothing_of_others_private_data(run: Run, make_run: Any, stranger: User) -> None:
    Run.objects.update(teaches=False)
    assert not knowledge.teach(run)
    theirs = _with_features(make_run(run.dataset, owner=stranger, teaches=True))
    assert not knowledge.teach(theirs)  # it was public when they began
    Dataset.objects.update(public=True)
    assert knowledge.teach(theirs)


def test_values_that_are_no_numbers_are_gaps(run: Run) -> None:
    (run.dir / "features.json").write_text('{"modality": "image", "features": {"classes": NaN, "samples": 12}}')
    knowledge.teach(run)
    folder = knowledge.folder()
    assert folder is not None
    with open(folder / "features_image.csv", newline="") as file:
        assert [line["classes"] for line in csv.DictReader(file)] == ["2", "nan"]


def test_an_update_of_the_engine_brings_its_new_lines_and_leaves_out_what_does_not_fit(
    run: Run, built_in: Path
) -> None:
    knowledge.teach(run)
    _built_in_line(built_in, "cifar10", FEATURES)
    knowledge.rewrite()  # as manage.py prepare does at each start
    name = name_of(run.dataset)
    assert _names() == (["mnist", "cifar10", name], ["mnist", "cifar10", name])
    (built_in / "features_image.csv").write_text("dataset,source,entropy\nmnist,mnist,1\n")
    knowledge.rewrite()
    assert _names() == (["mnist", "cifar10", name], ["mnist"])
    Lesson.objects.update(score={"row": "linear"})
    knowledge.rewrite()
    assert _names()[0] == ["mnist", "cifar10"]


def test_nobody_taught_nothing_is_written(db: None) -> None:
    knowledge.rewrite()
    assert knowledge.folder() is None


def test_workers_at_once_lose_nothing_and_readers_see_whole_files(monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"version": 1, "budget_s": 1.0, "t0_s": 1.0, "seed": 0, "device": "", "alc": 0.5, "nauc": 0.5}
    score |= {"row": "x", "first_prediction_s": 1.0, "wall_s": 1.0, "engine": "", "date": ""}
    lessons: list[Lesson] = []
    monkeypatch.setattr(Lesson.objects, "order_by", lambda *_: list(lessons))
    torn: list[str] = []

    def work(i: int) -> None:
        for k in range(5):
            lessons.append(Lesson(name=f"site-{i}-{k}", modality="image", features=FEATURES, score=score))
            knowledge.rewrite()
            if not all(f"site-{i}-{k}" in names for names in _names()):
                torn.append(f"{i}-{k}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torn == []
    assert len(_names()[0]) == len(_names()[1]) == 31


# --- Deleting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("what", ["run", "dataset", "user"])
def test_delete_is_delete_unless_the_data_is_public(
    run: Run, public: bool, what: str, django_capture_on_commit_callbacks: Any
) -> None:
    Dataset.objects.update(public=public)
    knowledge.teach(run)
    thing = {"run": run, "dataset": run.dataset, "user": run.owner}[what]
    name = name_of(run.dataset)
    with django_capture_on_commit_callbacks(execute=True):
        thing.delete()
    kept = [name] if public else []
    assert _names() == (["mnist", *kept], ["mnist", *kept])
    assert Lesson.objects.count() == len(kept)
    assert Score.objects.count() == 0  # auto has no line there


def test_the_line_in_the_database_goes_too(run: Run, django_capture_on_commit_callbacks: Any) -> None:
    PortfolioRow.objects.create(name="linear", modality="image", model="linear")
    Run.objects.update(model="linear")
    knowledge.teach(run)
    assert Score.objects.count() == 1
    knowledge.withdraw(run)
    assert Score.objects.count() == 0
    knowledge.agree(run)
    assert Score.objects.count() == 1
    with django_capture_on_commit_callbacks(execute=True):
        run.delete()
    assert Score.objects.count() == 0


# --- With the engine -----------------------------------------------------------------------------------------


@pytest.fixture
def toy_engine(monkeypatch: pytest.MonkeyPatch, settings: Any) -> dict[str, Any]:
    """The script of test_runs_jobs, which leaves features.json; returns what it was asked for."""
    asked: dict[str, Any] = {}

    def begin(_data: Path, run_dir: Path, **wishes: Any) -> subprocess.Popen[bytes]:
        asked.update(wishes)
        (run_dir / "features.json").write_text(json.dumps({"modality": "image", "features": FEATURES}))
        plan = json.dumps({"points": [(0.5, 0.2), (2.0, 0.8)]})
        return subprocess.Popen([sys.executable, "-c", ENGINE, str(run_dir), plan], cwd=settings.BASE_DIR)

    monkeypatch.setattr(rows, "write_enabled", lambda path, *_: path.write_text("[]"))
    monkeypatch.setattr(engine, "start_run", begin)
    return asked


def test_a_run_teaches_at_its_end_and_the_next_one_knows(
    dataset: Dataset, make_run: Any, toy_engine: dict[str, Any]
) -> None:
    for number, known in ((1, False), (2, True)):
        run = make_run(dataset, state="queued", teaches=True)
        runs_jobs.train(run.pk)
        assert (toy_engine["knowledge"] is not None) == known
        assert Lesson.objects.get(run=run).features == FEATURES
        assert len(_names()[0]) == 1 + number
    assert knowledge.folder() == toy_engine["knowledge"]


@pytest.mark.parametrize("knows", [True, False])
def test_the_engine_is_given_the_folder_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    commands: list[list[str]] = []

    class Process:
        pid = 1

        def __init__(self, command: list[str], **_: Any) -> None:
            commands.append(command)

    monkeypatch.setattr(subprocess, "Popen", Process)
    folder = tmp_path / "knowledge" if knows else None
    start_run: Callable[..., Any] = engine.start_run
    start_run(tmp_path, tmp_path / "run", budget_s=1, t0_s=60, model="auto", seed=0, portfolio=None, knowledge=folder)
    assert (commands[0][-2:] == ["--knowledge", str(folder)]) == knows


def test_the_engine_says_what_kind_of_data_it_took_it_for(run: Run) -> None:
    (run.dir / "features.json").write_text('{"modality": "video", "features": {"frames": 3}}')
    knowledge.teach(run)
    folder = knowledge.folder()
    assert folder is not None
    assert tables.read_scores(folder / "scores.csv")[1].modality == "video"
    assert tables.read_numbers(folder / "features_video.csv")[1] == ["frames"]
