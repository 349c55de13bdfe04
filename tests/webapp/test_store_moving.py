"""A site that began without a store moves into an S3 server: every file is compared, and it goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from moto.server import ThreadedMotoServer

from webapp import store
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.health import doctor
from webapp.runs.models import Prediction, Run
from webapp.store import copies, remote


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """One for all tests, since setting up a client for it takes seconds."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty S3 server for a site that does not use it yet."""
    values = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1", "ENDPOINT_URL": server}
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(doctor, "is_running", lambda: False)
    urlopen(Request(f"{server}/moto-api/reset", method="POST")).close()
    return "s3://moving/site"


@pytest.fixture
def site(bucket: str, run: Run, owner: User, settings: Any, media: Path) -> Run:
    """A data set with its upload, a run and a prediction; something without a row."""
    prediction = Prediction.objects.create(owner=owner, run=run, input_name="x", state="ready")
    prediction.folder.mkdir(parents=True)
    (prediction.folder / "predictions.csv").write_text("name,prediction,dark\nx,dark,1\n")
    (media / "runs" / "gone").mkdir()
    (media / "runs" / "gone" / "events.jsonl").write_text("")
    settings.STORAGE_URL = bucket
    return run


def move(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command("move_to_store", *arguments)
    return capsys.readouterr().out


def test_a_site_moves(site: Run, media: Path, owner_client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    said = move(capsys)
    assert "Copied 4 folders" in said
    assert "read them back without a difference; 0 were there already, and the local files are kept as copies" in said
    assert remote.names("runs") == {site.pk}
    assert remote.names("datasets") == {site.dataset_id}
    assert "Copied 0 folders (0 files, 0\xa0bytes)" in move(capsys)
    assert "4 were there already, and the local files are deleted" in move(capsys, "--drop")
    left = [path for path in media.rglob("*") if path.is_file()]
    assert left == [media / "runs" / "gone" / "events.jsonl"]
    store._known.clear()  # another process
    page = owner_client.get(site.get_absolute_url())
    assert page.context["results"]
    assert b"".join(owner_client.get(f"/models/{site.pk}/model.zip"))  # type: ignore[arg-type]
    assert site.dataset.raw_path.read_bytes() == b"the upload"


def test_what_was_interrupted_goes_on(
    site: Run, media: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded, write = [], remote.write
    original = remote.upload

    def upload(key: str, path: Path) -> Any:
        uploaded.append(path.name)
        return original(key, path)

    def cut(key: str, manifest: Any) -> None:
        if key.endswith("/raw"):
            raise store.StoreError("The file store does not answer.")
        write(key, manifest)

    monkeypatch.setattr(remote, "upload", upload)
    with monkeypatch.context() as broken:
        broken.setattr(remote, "write", cut)
        with pytest.raises(CommandError, match=r"does not answer\. Local files are all kept"):
            move(capsys)
    raw, autodl = site.dataset.dir / "raw", site.dataset.dir / "autodl"
    assert copies.is_from_store(autodl)
    assert not copies.is_from_store(raw)  # it must not go yet
    assert "Copied 3 folders" in move(capsys)
    assert (uploaded.count("report.json"), uploaded.count("toy.zip")) == (1, 2)
    key = copies.key(raw)
    assert remote.objects(key) == {
        entry.object for entry in (remote.read(key) or {}).values()
    }  # nothing of the first try


@pytest.mark.parametrize("where", ["here", "there"])
def test_what_differs_is_told_and_stays(
    where: str, site: Run, media: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = site.dataset.dir / "raw"
    remote.prepare()
    manifest = store.upload(raw)  # all of it was uploaded, and then it was interrupted
    if where == "here":
        (raw / "toy.zip").write_bytes(b"THE UPLOAD")
    else:
        with remote._opened(f"{copies.key(raw)}/objects/{manifest['toy.zip'].object}") as (files, path):
            files.pipe_file(path, b"THE UPLOAD")
    with pytest.raises(
        CommandError, match=f"datasets/{site.dataset_id}/raw in the store is not what is here, as in toy.zip"
    ):
        move(capsys, "--drop")
    assert (raw / "toy.zip").exists()
    assert not copies.is_from_store(raw)


def test_a_running_site_and_one_without_a_store_stay(
    site: Run, settings: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "is_running", lambda: True)
    with pytest.raises(CommandError, match="Stop the site first") as stopped:
        move(capsys)
    assert stopped.value.returncode == 2
    settings.STORAGE_URL = ""
    with pytest.raises(CommandError, match="Set STORAGE_URL"):
        move(capsys)
    assert Dataset.objects.count() == 1
