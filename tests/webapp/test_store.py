"""Machines with a DATA_DIR each share their files through a store; here a folder stands for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from automl_engine.run import child
from tests.webapp import toys
from webapp import engine, store
from webapp.accounts.models import User
from webapp.datasets import jobs as conversions
from webapp.datasets import sweep
from webapp.datasets.models import Dataset
from webapp.datasets.storage import storage_of
from webapp.ops.health import probes
from webapp.runs import jobs, journal
from webapp.runs.models import Prediction, Run
from webapp.store import copies

Host = Callable[[str], Path]


@pytest.fixture
def host(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """``host("web")``: from now on this process is on that machine; returns its folder of files."""
    settings.STORAGE_URL = f"file://{tmp_path}/bucket"
    monkeypatch.setattr(store, "FRESH_S", 0.0)

    def enter(name: str) -> Path:
        settings.MEDIA_ROOT = tmp_path / name / "media"
        store._known.clear()  # another process
        return settings.MEDIA_ROOT

    return enter


def stored(tmp_path: Path) -> list[str]:
    return sorted(path.relative_to(tmp_path / "bucket").as_posix() for path in (tmp_path / "bucket").rglob("*.json"))


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_folder_is_seen_whole_on_another_machine(host: Host, tmp_path: Path) -> None:
    here = written(host("a") / "datasets" / "x" / "autodl", report="old", previews__test="1", gone="soon")
    store.push(here)
    there = store.fetch(host("b") / "datasets" / "x" / "autodl", "report")
    assert [path.name for path in there.rglob("*") if path.is_file()] == ["report"]  # the page needs no more
    (here / "gone").unlink()
    written(here, report="new!", more="2")
    host("a")
    store.push(here)
    host("b")
    assert {name: path.read_text() for name, path in copies.files(store.fetch(there))} == {
        "report": "new!",
        "previews/test": "1",
        "more": "2",
    }
    assert len(list((tmp_path / "bucket").rglob("objects/*"))) == 3  # nothing is left of what was replaced


def test_what_is_cut_off_leaves_what_was_there(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    here = written(host("a") / "runs" / "x", scores="1")
    store.push(here)
    written(here, scores="22", model="3")
    with monkeypatch.context() as cut:
        cut.setattr(store, "PATIENCE_S", 0.0)
        cut.setattr(store.remote, "write", lambda key, manifest: (_ for _ in ()).throw(OSError("no route")))
        with pytest.raises(store.StoreError, match="runs/x could not be stored: no route"):
            store.push(here)
    there = store.fetch(host("b") / "runs" / "x")
    assert {name: path.read_text() for name, path in copies.files(there)} == {"scores": "1"}


def test_damage_in_the_store_is_told(host: Host, tmp_path: Path) -> None:
    store.push(written(host("a") / "runs" / "x", scores="123"))
    (damaged,) = (tmp_path / "bucket").rglob("objects/*")
    damaged.write_text("124")
    with pytest.raises(store.StoreError, match="runs/x/scores is damaged in the file store"):
        store.fetch(host("b") / "runs" / "x")
    assert not list(copies.files(tmp_path / "b" / "media" / "runs" / "x"))


def test_a_growing_folder_is_followed_and_a_job_that_lost_it_stores_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FOLLOW_S", 0.02)
    media = host("a")
    here = written(media / "runs" / "x", events="1")
    with store.working_on(here), store.following(here):
        with open(here / "events", "a") as file:
            file.write("2")
        begun = time.monotonic()
        while (store.remote.read("runs/x") or {"events": None})["events"] is None or (
            store.remote.read("runs/x") or {}
        )["events"].size_bytes < 2:
            assert time.monotonic() - begun < 2
            time.sleep(0.01)
        assert store.fetch(here, stamp="another") == here
        store.remote.write("runs/x", {})  # somebody else's
        written(here, late="3")
        store.push(here)
        assert store.remote.read("runs/x") == {}


def test_another_process_does_not_fetch_into_a_folder_of_a_job(host: Host) -> None:
    here = written(host("a") / "runs" / "x", events="1")
    store.push(here)
    with copies.reserved(here):
        written(here, events="12")
        assert (store.fetch(here) / "events").read_text() == "12"
    assert (store.fetch(here) / "events").read_text() == "1"


def test_copies_that_nobody_uses_go(host: Host, settings: Any) -> None:
    folders = [written(host("a") / "runs" / name, events="12345") for name in "xyz"]
    unstored = written(folders[0].parent / "new", events="1")
    for hours, folder in zip((0, 3, 2), folders, strict=True):
        store.push(folder)
        used_s = time.time() - hours * 3600
        os.utime(copies._marker(folder), (used_s, used_s))
    settings.STORAGE_CACHE_BYTES = 10
    copies.evict()
    assert [folder.exists() for folder in (*folders, unstored)] == [True, False, True, True]
    assert (store.fetch(folders[1]) / "events").read_text() == "12345"


def test_an_upload_is_converted_on_another_machine(
    host: Host,
    owner_client: Client,
    owner: User,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    django_capture_on_commit_callbacks: Any,
) -> None:
    host("web")
    owner_client.post("/data/upload", {"file": SimpleUploadedFile("toy.csv", b"a,b\n1,2\n")})
    dataset = Dataset.objects.get()
    given: list[bytes] = []

    def convert(source: Path, out: Path, *_: Any) -> None:
        given.append(source.read_bytes())
        toys.write_autodl(out, "tabular")

    monkeypatch.setattr(engine, "convert", convert)
    media = host("worker")
    conversions.convert(dataset.id)
    assert given == [b"a,b\n1,2\n"]
    assert (media / "datasets" / dataset.id / "autodl" / "report.json").exists()
    host("web")
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    assert "toy" in page
    used_bytes = storage_of(owner).used_bytes
    assert used_bytes > len(b"a,b\n1,2\n")
    with django_capture_on_commit_callbacks(execute=True):
        owner.delete()
    assert stored(tmp_path) == []
    assert not [path for path in (tmp_path / "bucket").rglob("*") if path.is_file()]
    assert not (tmp_path / "web" / "media" / "datasets" / dataset.id).exists()


@pytest.fixture
def trained(host: Host, owner: User, make_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that a worker has learned; its data set was made by the web server."""
    host("web")
    dataset = make_dataset(owner, "tabular")
    store.push(dataset.dir / "raw")
    store.push(dataset.dir / "autodl")
    run = Run.objects.create(dataset=dataset, owner=owner, number=1, budget_s=20)

    class Ended:
        returncode = 0

        def poll(self) -> int:
            return 0

    def start_run(data_dir: Path, run_dir: Path, **_: Any) -> Any:
        assert (data_dir / "report.json").exists()
        toys.write_run(run_dir, dataset.report, budget_s=20, finished=True)
        written(run_dir, model__weights="12")
        return Ended()

    monkeypatch.setattr(engine, "start_run", start_run)
    monkeypatch.setattr(engine, "end", lambda process: None)
    host("worker")
    jobs.train(run.pk)
    run.refresh_from_db()
    return run


def test_results_of_another_machine_are_shown(
    trained: Run, host: Host, owner_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained.state == "finished", trained.error
    assert trained.size_bytes > 0
    media = host("web")
    assert owner_client.get(f"/runs/{trained.pk}").context["results"]
    assert not (media / "runs" / trained.pk / "model").exists()  # no page needs it

    def export(run_dir: Path, data_dir: Path, should_stop: Any) -> None:
        assert (run_dir / "model").exists()
        (run_dir / "model.zip").write_bytes(b"zip")

    def predict(model: Path, source: Path, out: Path, should_stop: Any) -> None:
        assert model.read_bytes() == b"zip"
        out.write_text(f"label\n{source.read_text()}\n")

    monkeypatch.setattr(engine, "export", export)
    monkeypatch.setattr(engine, "predict", predict)
    host("packer")
    jobs.export(trained.pk)
    host("web")
    assert b"".join(owner_client.get(f"/models/{trained.pk}/model.zip")) == b"zip"
    owner_client.post(f"/models/{trained.pk}/predict", {"files": SimpleUploadedFile("a.csv", b"yes")})
    prediction = Prediction.objects.get()
    host("predictor")
    jobs.predict(prediction.pk)
    host("web")
    prediction.refresh_from_db()
    assert prediction.state == "ready", prediction.error
    assert prediction.output_path.read_text() == "label\nyes\n"
    assert [name for name, _ in copies.files(prediction.dir)] == ["predictions.csv"]


def test_a_lost_machine_loses_nothing_that_was_scored(trained: Run, host: Host, owner_client: Client) -> None:
    """The reaper of the web server's machine takes the run over; the next worker goes on with what was stored."""
    points = trained.points.count()
    Run.objects.update(state="running", export_state="none", heartbeat=None, state_since="2026-01-01T00:00Z")
    host("web")
    assert jobs.reap() >= 1
    trained.refresh_from_db()
    assert trained.state == "queued"
    host("another worker")
    jobs.train(trained.pk)
    trained.refresh_from_db()
    assert (trained.state, trained.points.count()) == ("finished", points)
    host("web")
    assert len(journal.lost_points(trained)) == points
    assert "first attempt, worker lost" in json.dumps(owner_client.get(f"/runs/{trained.pk}/state").json()["figure"])


def test_what_no_row_names_goes(host: Host, tmp_path: Path, db: None) -> None:
    store.push(written(host("a") / "runs" / "x", events="1"))
    for path in (tmp_path / "bucket").rglob("*"):
        os.utime(path, (0, 0))
    host("b")
    assert sweep.sweep() == 1
    assert stored(tmp_path) == []


def test_the_keys_of_the_store_are_in_no_address_and_in_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "STORAGE_URL": "s3://d"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    assert not keys.keys() & child.environment().keys()
    monkeypatch.setenv("STORAGE_URL", "s3://key:secret@host/bucket")
    from importlib import import_module, reload

    with pytest.raises(ImproperlyConfigured, match="not in STORAGE_URL"):
        reload(import_module("webapp.settings"))
    monkeypatch.undo()
    reload(import_module("webapp.settings"))


def test_a_store_that_does_not_answer_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host("web")
    assert probes.files() == ""
    monkeypatch.setattr(store.remote, "names", lambda key: (_ for _ in ()).throw(store.StoreError("no route")))
    assert probes.files() == "The file store does not answer."
