"""Everything of a user as one zip, and its data sets on another site."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def exported(client: Client) -> bytes:
    return b"".join(client.get("/account/export"))  # type: ignore[arg-type]


def send(client: Client, content: bytes) -> str:
    form = {"file": SimpleUploadedFile("autodl-account.zip", content)}
    return client.post("/account/import", form, follow=True).content.decode()


def test_everything_moves_to_another_account(
    owner: User,
    owner_client: Client,
    stranger: User,
    stranger_client: Client,
    make_dataset: Callable[..., Dataset],
    make_run: Callable[..., Run],
    jobs: list[Any],
) -> None:
    dataset = make_dataset(owner, "tabular", name="weather", options={"target": "rain"}, raw_name="w.csv")
    run = make_run(dataset)
    (run.dir / "model.zip").write_bytes(b"the model")
    newer = make_dataset(owner, "tabular", name="weather", family=dataset.pk, version=2, raw_name="w.csv")
    more = newer.dir / "raw" / "more-001" / "m.csv"
    more.parent.mkdir()
    more.write_bytes(b"added")
    make_dataset(stranger, name="not mine")
    content = exported(owner_client)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        about = json.loads(archive.read("account.json"))
        assert [entry["name"] for entry in about["datasets"]] == ["weather", "weather"]
        assert about["runs"][0]["accuracy"] == run.accuracy
        assert archive.read(f"datasets/{dataset.pk}/raw/w.csv") == b"the upload"
        assert archive.read(f"runs/{run.pk}/model.zip") == b"the model"
        assert f"datasets/{dataset.pk}/autodl/report.json" in archive.namelist()
        assert f"runs/{run.pk}/events.jsonl" in archive.namelist()
    assert "1 data set taken over" in send(stranger_client, content)
    taken = Dataset.objects.get(owner=stranger, name="weather")
    assert (taken.state, taken.version) == ("queued", 1)
    assert [path.read_bytes() for path in (taken.raw_path, *taken.more_paths)] == [b"the upload", b"added"]
    assert jobs[-1][2] == (taken.pk,)


def hostile(**changes: Any) -> bytes:
    """An export with one data set, and what is changed in it."""
    entry = {"id": "x", "name": "n", "description": "", "family": "", "version": 1, "raw_name": "a.csv", "options": {}}
    file, member = io.BytesIO(), changes.pop("member", "datasets/x/raw/a.csv")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("account.json", json.dumps({"version": 1, "datasets": [entry | changes]}))
        archive.writestr(member, b"a,b\n1,2\n")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        hostile()[:-40],
        hostile(options=3),
        hostile(version="x"),
        hostile(raw_name="b.csv"),
        hostile(member="datasets/x/raw/../../../../a.csv"),
        hostile(member="datasets/x/raw/deep/er/a.csv"),
    ],
)
def test_what_is_no_export_leaves_nothing(content: bytes, owner: User, owner_client: Client, media: Any) -> None:
    assert "This is not an export of this program" in send(owner_client, content)
    assert not Dataset.objects.exists()
    assert not list(media.rglob("*.csv"))


def test_an_export_must_fit(owner: User, owner_client: Client) -> None:
    owner.storage_max_bytes = 5
    owner.save()
    assert "of your storage are left" in send(owner_client, hostile())
    assert not Dataset.objects.exists()
