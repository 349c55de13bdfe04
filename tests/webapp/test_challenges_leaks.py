"""A participant never learns a test label: not from a page, a file, an export, the API or the order of a download."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from automl_engine.dataset import reader, records, writer
from automl_engine.dataset.spec import Spec
from tests.webapp import challenge_toys, toys
from tests.webapp.conftest import blocks
from tests.webapp.test_security_urls import ALL, PARAMETER
from webapp import engine_hidden
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.challenges import entries, scores
from webapp.challenges.models import Challenge, Entry
from webapp.datasets.models import Dataset
from webapp.engine_samples import record
from webapp.runs import notices, start
from webapp.runs.models import Notice, Run

pytestmark = pytest.mark.django_db
Maker = Callable[..., Any]
SECRET = "confidential"
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def challenge(owner: User, make_dataset: Maker) -> Challenge:
    return challenge_toys.make(make_dataset(owner), public=True)


@pytest.fixture
def ended(challenge: Challenge, stranger: User, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A participant's run with all that a run leaves; what quotes the data or a score on all of it says SECRET."""
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    run = entries.submit_run(challenge, stranger, budget_s=60, model="auto").run
    assert run
    toys.write_run(run.folder, challenge.dataset.report)
    parts = scores.parts(challenge)
    np.savetxt(run.folder / "toy.predict_0", parts.solution)
    run.points.create(k=0, t=1, nauc=0.87654321, accuracy=0.87654321, alc=0.87654321, by=SECRET)
    with zipfile.ZipFile(run.folder / "model.zip", "w") as archive:
        archive.writestr("predict.py", SECRET)
    final = {"state": "finished", "export_state": "ready", "nauc": 0.87654321, "accuracy": 0.87654321}
    Run.objects.filter(pk=run.pk).update(**final, alc=0.87654321, reason=SECRET, error=SECRET, ended=timezone.now())
    scores.settle(run.pk)
    Entry.objects.update(final_nauc=0.87654321)
    run.refresh_from_db()
    return run


def content(response: Any) -> bytes:
    return b"".join(blocks(response)) if response.streaming else response.content


def bundle(client: Client, challenge: Challenge, to: Path) -> Path:
    answer = client.get(f"{challenge.get_absolute_url()}/data.zip")
    with zipfile.ZipFile(io.BytesIO(content(answer))) as archive:
        archive.extractall(to)
        assert archive.testzip() is None
    return to


def test_no_address_gives_a_participant_labels_or_hidden_scores(
    challenge: Challenge, ended: Run, stranger_client: Client, stranger: User
) -> None:
    """Every address of the site with the ids of the data set, the run and the challenge, by page and by token."""
    dataset = challenge.dataset
    report = json.loads((dataset.autodl_dir / "report.json").read_text())
    report["doubts"][0]["what"] = report["why"][0] = SECRET
    (dataset.autodl_dir / "report.json").write_text(json.dumps(report))
    previews = dataset.autodl_dir / "previews" / "test.jsonl"
    previews.write_text(previews.read_text().replace("light", SECRET).replace("dark", SECRET))
    ids = {"id": dataset.pk, "dataset_id": dataset.pk, "run_id": ended.pk, "challenge_id": challenge.pk, "pk": "1"}
    ids |= {"name": "test-0.png", "split": "test", "suffix": "json", "board": "final", "key": "a" * 16}
    ids |= dict.fromkeys(("index", "finding", "number"), "1") | {"prediction_id": "aaaaaaaaaa"}
    token = {"Authorization": f"Bearer {ApiToken.make(stranger, 'x')[1]}"}
    for route in ALL:
        address = PARAMETER.sub(lambda found: ids[found[1]], route)
        for suffix in ("", "?true=light&predicted=dark") if route.endswith("/samples") else ("",):
            for headers in (TUS, token):
                answer = stranger_client.get(address + suffix, headers=headers)
                _is_harmless(content(answer), address)
                is_closed = answer.status_code in (301, 302, 400, 401, 403, 404, 405)
                own_pages = ("/challenges", "/api/datasets", "/api/runs", "/api/challenges")
                assert is_closed or not re.search(f"{dataset.pk}|{ended.pk}", address), address
                assert is_closed or challenge.pk not in address or address.startswith(own_pages), address


def _is_harmless(found: bytes, address: str) -> None:
    archives = [found]
    if found.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(found)) as archive:
            names = archive.namelist()
            archives = [archive.read(name) for name in names]
        assert not [name for name in names if re.search("solution|report|recipe|preview|results|predict_", name)], (
            address
        )
    for part in archives:
        assert SECRET.encode() not in part, address
        assert b"0.8765" not in part, address  # the final score, and those on the whole test set


def test_nothing_that_a_participant_sends_changes_or_takes_the_data(
    challenge: Challenge, ended: Run, stranger_client: Client, stranger: User, owner: User
) -> None:
    """Every form of the data set, of the run and of the challenge's owner."""
    dataset = challenge.dataset
    ids = {"id": dataset.pk, "dataset_id": dataset.pk, "run_id": ended.pk, "challenge_id": challenge.pk}
    ids |= dict.fromkeys(("finding", "number", "index"), "0") | {"split": "test", "prediction_id": "aaaaaaaaaa"}
    form = {"email": "a@example.org", "level": "3", "public": "yes", "name": "mine", "budget_s": "60", "continues": "x"}
    tried = 0
    for route in ALL:
        names = PARAMETER.findall(route)
        is_own = route.endswith(("challenge_id>/runs", "challenge_id>/entries"))
        if is_own or not {"id", "dataset_id", "run_id", "challenge_id"} & set(names) or not set(names) <= set(ids):
            continue
        address = PARAMETER.sub(lambda found: ids[found[1]], route)
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(stranger_client, method)(address, form if method == "post" else b"", headers=TUS)
            assert answer.status_code in (400, 401, 403, 404, 405, 412, 415), (method, address, answer.status_code)
            tried += 1
    assert tried > 100
    upload = {"Upload-Length": "4", "Upload-Metadata": f"filename YS5jc3Y=,continues {dataset.pk}"}
    assert stranger_client.post("/uploads/", headers=TUS | upload).status_code in (400, 403, 404)
    assert not stranger.datasets.exists()
    assert Challenge.objects.get().closed is None
    assert list(Run.objects.values_list("owner", flat=True)) == [owner.pk]


@pytest.mark.parametrize("who", ["client", "guest_client"])
def test_visitors_and_guests_see_boards_only(
    who: str, challenge: Challenge, ended: Run, request: pytest.FixtureRequest
) -> None:
    visitor: Client = request.getfixturevalue(who)
    page = challenge.get_absolute_url()
    assert visitor.get(page).status_code == 200
    assert b"Some training samples" not in visitor.get(page).content
    assert visitor.get(f"{page}/data.zip").status_code == 404
    assert visitor.get(f"{page}/samples/0").status_code == 404
    for what in ("entries", "runs", "entries/1/choose", "open", "end"):
        assert visitor.post(f"{page}/{what}")["Location"].startswith("/accounts/login/")
    assert Entry.objects.count() == 1


def test_the_download_has_no_label_and_no_order(challenge: Challenge, stranger_client: Client, tmp_path: Path) -> None:
    folder = bundle(stranger_client, challenge, tmp_path / "bundle")
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        *("metadata.textproto", "sample-toy-train.tfrecord", "sample-toy-test.tfrecord", "predictions.csv")
    }
    test, train = (reader.open_split(folder / "toy.data", split).labels for split in ("test", "train"))
    assert test.shape == (toys.COUNTS["test"], 2)
    assert not test.any()
    assert (train.sum(1) == 1).all()
    order = scores.parts(challenge).order
    assert sorted(order) == list(range(toys.COUNTS["test"]))
    here = stored(challenge.dataset.autodl_dir, "test")
    assert [here[i] for i in order] == stored(folder, "test")
    assert stored(folder, "test") != here


def stored(folder: Path, split: str) -> list[dict[str, Any]]:
    """The content of each sample, without its number."""
    count = toys.COUNTS[split]
    found = [record(folder, split, index) for index in range(count)]
    assert record(folder, split, count) is None
    return [records.decode_lists(data) for data in found if data]


def test_the_order_of_words_tells_nothing(tmp_path: Path) -> None:
    """A vocabulary in first-seen order would tell where in a sorted upload a text stood."""
    words = {f"word{i:03d}": i for i in range(50)}
    spec = Spec(
        name="t", sample_count=0, output_dim=2, sequence_size=-1, row_count=1, col_count=1, channel_to_index=words
    )
    texts = {"train": [[0, 1, 2], [30, 31]], "test": [[10, 11], [3, 40, 49]]}
    for split, some in texts.items():
        steps = [(np.array(text, np.float32).reshape(-1, 1, 1, 1), [0]) for text in some]
        writer.write_split(tmp_path / "t.data" / split, spec, steps, 0, hide_labels=split == "test")
    out = tmp_path / "out"
    for member, name in engine_hidden.bundle(tmp_path, "pepper", 2):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member if isinstance(member, bytes) else b"".join(member))  # type: ignore[arg-type]
    new = Spec.read(out / "t.data" / "test" / "metadata.textproto").vocabulary
    old = {index: token for token, index in words.items()}
    assert sorted(new.values()) == sorted(words)
    assert new != old
    order = engine_hidden.hidden_order("pepper", 2)
    for split, places in (("train", [0, 1]), ("test", order)):
        sent = [list(np.ravel(one["0_dense_input"])) for one in stored_texts(out, split)]
        assert [[new[int(t)] for t in text] for text in sent] == [[old[t] for t in texts[split][i]] for i in places]


def stored_texts(folder: Path, split: str) -> list[dict[str, Any]]:
    return [records.decode_lists(record(folder, split, index) or b"") for index in (0, 1)]


def test_the_public_part_is_fixed_and_has_each_class() -> None:
    labels = np.eye(3, dtype=int)[np.repeat([0, 1, 2], [60, 30, 10])]
    part = engine_hidden.public_part(labels, "salt", 30)
    assert (part == engine_hidden.public_part(labels, "salt", 30)).all()
    assert (part != engine_hidden.public_part(labels, "other", 30)).any()
    assert list(labels[part].sum(0)) == [18, 9, 3]


def test_publishing_waits_for_the_end(challenge: Challenge, owner_client: Client) -> None:
    dataset = challenge.dataset
    version = Dataset.objects.create(owner=dataset.owner, family=dataset.pk, version=2, name="toy", raw_name="x")
    for one in (dataset, version):
        said = owner_client.post(f"/data/{one.pk}/publish", {"public": "yes"}, follow=True).content.decode()
        assert "hides the test labels" in said
    assert not Dataset.objects.filter(public=True).exists()
    challenge_toys.end(challenge)
    owner_client.post(f"/data/{dataset.pk}/publish", {"public": "yes"})
    assert Dataset.objects.filter(public=True).count() == 1


def test_runs_are_not_published_before_the_end(challenge: Challenge, ended: Run, owner_client: Client) -> None:
    """The page of a public run tells its score on the whole test set."""
    said = owner_client.post(f"/runs/{ended.pk}/share", {"public": "1"}, follow=True).content.decode()
    assert "it must end before its runs can be public" in said
    challenge_toys.end(challenge)
    owner_client.post(f"/runs/{ended.pk}/share", {"public": "1"})
    ended.refresh_from_db()
    assert ended.public


def test_the_export_of_a_participant_has_no_more_than_the_pages(
    challenge: Challenge, ended: Run, stranger_client: Client
) -> None:
    with zipfile.ZipFile(io.BytesIO(content(stranger_client.get("/account/export")))) as archive:
        assert archive.namelist() == ["account.json"]
        about = archive.read("account.json").decode()
    assert "0.8765" not in about
    assert ended.pk not in about


def test_no_message_about_a_participants_run_is_sent(challenge: Challenge, ended: Run) -> None:
    notices.plan(ended.pk)
    assert not Notice.objects.exists()
