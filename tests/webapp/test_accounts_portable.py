"""Everything of a user as one zip, and its data sets and runs on another site."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.webapp import toys
from webapp.accounts import portable_runs
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.leaderboard import boards
from webapp.leaderboard.dataset_board import dataset_board
from webapp.runs import start, teaching
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
    run = make_run(dataset, state="running")
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
    page = send(stranger_client, content)
    assert "1 data set and 0 runs imported" in page
    assert "1 run left out: not ended there" in page
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
        hostile(options={"test_size": float("nan")}),
        hostile(id="../x"),
        hostile(name="a\0b"),
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


PREDICTION = "0.9 0.1\n0.2 0.8\n0.9 0.1\n0.7 0.3\n1 0\n0 1\n"


@pytest.fixture
def scored(owner: User, make_dataset: Callable[..., Dataset], make_run: Callable[..., Run], monkeypatch: Any) -> Run:
    """A finished run of the owner, with all that its page shows."""
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    run = make_run(make_dataset(owner, name="weather"), number=4, reason="nothing left to learn")
    order = {"rows": [{"row": "toy", "place": "measured"}], "left_out": [], "known_sets": 1, "all_known_sets": 2}
    journal = run.dir / "events.jsonl"
    journal.write_text(json.dumps({"event": "order", "time": 1.5e9, "t": 0.1} | order) + "\n" + journal.read_text())
    (run.dir / "toy.predict_2").write_text(PREDICTION)
    (run.dir / "toy.predict_1").write_text("old")
    (run.dir / "model.zip").write_bytes(b"code")
    (run.dir / "features.json").write_text("{}")
    return run


def test_runs_look_on_another_site_as_before(
    scored: Run, owner_client: Client, stranger: User, stranger_client: Client, administrator: User, make_dataset: Any
) -> None:
    elsewhere = make_dataset(administrator, name="not mine")  # it was shared with the owner once
    Run.objects.create(owner=scored.owner, dataset=elsewhere, number=1, state="finished", budget_s=20)
    Run.objects.filter(pk=scored.pk).update(**dict.fromkeys(("created", "started", "ended"), "2020-02-02T00:00Z"))
    scored.refresh_from_db()
    make_dataset(scored.owner, name="weather", family=scored.dataset_id, version=2, change="1 sample excluded")
    quota = start.quota(stranger)
    page = send(stranger_client, exported(owner_client))
    assert "2 data sets and 1 run imported" in page
    assert "1 run left out" in page
    run = Run.objects.select_related("dataset").get(owner=stranger)
    for name in (*portable_runs.TAKEN, *portable_runs.SCORES):
        assert getattr(run, name) == getattr(scored, name), name
    newer = Dataset.objects.get(owner=stranger, version=2)
    assert (newer.parent, newer.family, newer.change) == (run.dataset, run.dataset_id, "1 sample excluded")
    assert (run.dataset.owner, run.number, run.created.year, run.charged) == (stranger, 1, 2020, False)
    assert start.quota(stranger) == quota
    assert list(run.points.values("k", "t", "nauc", "by")) == list(scored.points.values("k", "t", "nauc", "by"))
    assert {path.name for path in run.folder.iterdir()} == {"events.jsonl", "results.json", "imported.predict_2"}
    waiting = stranger_client.get(run.get_absolute_url()).content.decode()  # for the conversion of its data
    assert "Confusion matrix" in waiting
    assert "test0.png" not in waiting
    assert stranger_client.get(f"/runs/{run.pk}/predictions.csv").status_code == 404
    toys.write_autodl(run.dataset.dir / "autodl")
    Dataset.objects.filter(pk=run.dataset_id).update(state="ready", modality="image", public=True)
    Run.objects.update(public=True)
    shown = stranger_client.get(run.get_absolute_url()).content.decode()
    assert "no leaderboard counts it" in shown
    assert "test0.png" in shown
    assert "chose “toy”" in shown
    assert "The engine tried toy, the only configuration" in shown
    csv = f"/runs/{run.pk}/predictions.csv"
    assert stranger_client.get(csv).content == owner_client.get(csv.replace(run.pk, scored.pk)).content
    assert "without its model" in stranger_client.get(f"/models/{run.pk}").content.decode()
    assert boards.board().models == []
    assert dataset_board(run.dataset).entries == []
    run.refresh_from_db()
    assert not teaching.can_teach(run)
    again = json.loads(zipfile.ZipFile(io.BytesIO(exported(stranger_client))).read("account.json"))
    assert again["runs"][0]["test_labels"] == run.imported
    solution = run.dataset.dir / "autodl" / "toy.solution"
    solution.write_text(solution.read_text().replace("0 1", "1 0"))  # another test set
    other = stranger_client.get(run.get_absolute_url()).content.decode()
    assert "Its test set is not the one" in other
    assert "test0.png" not in other


def test_a_run_joins_a_data_set_that_is_here(
    scored: Run, owner: User, owner_client: Client, stranger_client: Client
) -> None:
    content = _with(
        exported(owner_client), "account.json", lambda text: json.dumps(json.loads(text) | {"datasets": []})
    )
    assert "0 data sets and 0 runs" in send(stranger_client, content)  # it is not theirs
    assert "0 data sets and 1 run imported" in send(owner_client, content)
    run = Run.objects.exclude(pk=scored.pk).get()
    assert (run.dataset, run.number) == (scored.dataset, 5)
    assert "test0.png" in owner_client.get(run.get_absolute_url()).content.decode()


def _with(content: bytes, ending: str, change: Callable[[str], str], link: bool = False) -> bytes:
    """An export with one file changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
        for info in before.infolist():
            text = before.read(info)
            if info.filename.endswith(ending):
                text = change(text.decode()).encode()
                info.external_attr = (stat.S_IFLNK if link else stat.S_IFREG) << 16
            after.writestr(info, text)
    return out.getvalue()


def _fields(**fields: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | fields)


DAMAGE: dict[str, tuple[str, Callable[[str], str]]] = {
    "a list": ("results.json", lambda text: "[]"),
    "no JSON": ("results.json", lambda text: text[:-3]),
    "deep": ("results.json", lambda text: "[" * 100_000),
    "a NUL": ("results.json", lambda text: text.replace("dark", "da\\u0000k")),
    "NaN": ("results.json", _fields(nauc=float("nan"))),
    "labels": ("results.json", _fields(labels=[1, 2])),
    "a class too many": ("results.json", _fields(labels=["dark", "light", "grey"])),
    "another matrix": ("results.json", _fields(confusion=[[1]])),
    "an unknown label": (
        "results.json",
        _fields(mistakes=[{"index": 0, "true": ["x"], "predicted": [], "confidence": 1}]),
    ),
    "beyond the test set": ("results.json", _fields(samples=[{"index": 6, "true": [], "top": []}])),
    "another k": ("results.json", _fields(k=1)),
    "more rows": ("results.json", _fields(n_test=7)),
    "not a number": ("toy.predict_2", lambda text: text.replace("0.9", "nan")),
    "a cut row": ("toy.predict_2", lambda text: text.replace(" 0.8", "")),
    "text": ("toy.predict_2", lambda text: "import os"),
    "no event": ("events.jsonl", lambda text: text + "{}\n"),
    "an unknown event": ("events.jsonl", lambda text: text + '{"event": "other", "time": 1}\n'),
    "half a score": ("events.jsonl", lambda text: text + '{"event": "score", "time": 1, "k": 9}\n'),
    "a cut line": ("events.jsonl", lambda text: text[:-9]),
    "no end": ("events.jsonl", lambda text: text + '{"event": "note", "time": 1, "text": "' + "x" * 2**20),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_leaves_nothing(
    what: str, scored: Run, owner_client: Client, stranger_client: Client, media: Any
) -> None:
    before = sorted(path for path in media.rglob("*") if path.is_file())
    content = _with(exported(owner_client), *DAMAGE[what])
    assert "Run 4 of “weather” in this export is damaged" in send(stranger_client, content)
    assert (Dataset.objects.count(), Run.objects.count()) == (1, 1)
    assert sorted(path for path in media.rglob("*") if path.is_file()) == before


def test_links_and_large_files_are_not_followed(
    scored: Run, owner_client: Client, stranger_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = exported(owner_client)
    link = _with(content, "events.jsonl", lambda text: "/etc/passwd", link=True)
    assert "is damaged" in send(stranger_client, link)
    monkeypatch.setattr(portable_runs, "JSON_MAX_BYTES", 100)
    assert "is damaged" in send(stranger_client, content)
    for wrong in (
        {"id": "../../x"},
        {"alc": 7},
        {"created": "0001-01-01T00:00:00+14:00"},
        {"budget_s": -1},
        {"model": "x\0y"},
    ):
        changed = _with(content, "account.json", lambda text, wrong=wrong: _first_run(text, wrong))  # type: ignore[misc]
        assert "This is not an export of this program" in send(stranger_client, changed)
    assert Run.objects.count() == 1


def _first_run(text: str, fields: dict[str, Any]) -> str:
    about = json.loads(text)
    about["runs"][0] |= fields
    return json.dumps(about)
