"""Challenges: set up, opened, entered, ranked, ended; limits, dates, and what stays when something is deleted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from automl_engine.dataset import reader
from automl_engine.dataset.metrics import nauc
from tests.webapp import challenge_toys as toys
from tests.webapp.conftest import blocks
from webapp.accounts.models import AuditEntry, Grant, User
from webapp.api.models import ApiToken
from webapp.challenges import boards, entries, rules, scores
from webapp.challenges.models import Challenge, Entry
from webapp.datasets import jobs as conversion
from webapp.datasets.models import Dataset
from webapp.runs import jobs, start
from webapp.runs.models import Run, SpentRun

pytestmark = pytest.mark.django_db
Maker = Callable[..., Any]


@pytest.fixture
def dataset(owner: User, make_dataset: Maker) -> Dataset:
    return make_dataset(owner)


@pytest.fixture
def challenge(dataset: Dataset) -> Challenge:
    return toys.make(dataset)


@pytest.fixture
def run_entry(challenge: Challenge, stranger: User, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    return entries.submit_run(challenge, stranger, budget_s=60, model="auto")


def form(**changes: str) -> dict[str, str]:
    """What the page of a new challenge sends."""
    now = timezone.localtime()
    days = [(now + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M") for day in (-1, 3, 5)]
    empty = {"name": "", "start": "", "end": "", "per_day": "5", "total": "50"}
    phases = [
        {"name": "Development", "start": days[0], "end": days[1], "per_day": "5", "total": "50"},
        {"name": "Final", "start": days[1], "end": days[2], "per_day": "1", "total": "3"},
        empty,
    ]
    fields = {"title": "Dark or light", "description": "Guess.\n\n<b>Well</b>", "public_percent": "50", "public": "on"}
    fields |= {"runs_allowed": "on", "phases-TOTAL_FORMS": "3", "phases-INITIAL_FORMS": "0"}
    fields |= {f"phases-{i}-{key}": value for i, phase in enumerate(phases) for key, value in phase.items()}
    return fields | changes


def test_from_setting_it_up_to_the_final_board(
    dataset: Dataset, owner_client: Client, stranger_client: Client, client: Client, stranger: User
) -> None:
    address = f"/data/{dataset.pk}/challenge"
    assert "Development" in owner_client.get(address).content.decode()
    draft = owner_client.post(address, form(), follow=True).content.decode()
    challenge = Challenge.objects.get()
    page = challenge.get_absolute_url()
    assert "Only you see this draft" in draft
    assert "&lt;b&gt;Well&lt;/b&gt;" in draft
    assert [phase.name for phase in challenge.phases.all()] == ["Development", "Final"]
    assert {one.get(page).status_code for one in (stranger_client, client)} == {404}
    assert "is open" in owner_client.post(f"{page}/open", follow=True).content.decode()
    assert "Dark or light" in client.get("/challenges/").content.decode()
    assert "Taking part needs an account" in client.get(page).content.decode()
    assert "Send predictions" in stranger_client.get(page).content.decode()
    bad = 1 - toys.right(challenge)
    assert "Entry 1 is scored" in toys.send(stranger_client, challenge, toys.csv(bad))
    assert "Entry 2 is scored" in toys.send(stranger_client, challenge, toys.csv(toys.right(challenge)))
    shown = stranger_client.get(page).content.decode()
    assert "Public board" in shown
    assert "Final board" not in shown
    assert stranger_client.get(f"{page}/final-board.json").status_code == 404
    assert "counts on the final board" in stranger_client.post(f"{page}/entries/1/choose", follow=True).content.decode()
    owner_client.post(f"{page}/end")
    assert "Final board" in client.get(page).content.decode()
    (line,) = client.get(f"{page}/final-board.json").json()["entries"]
    assert (line["user"], line["nauc"], line["entry"], line["entries"], line["chosen"]) == (stranger.pk, -1, 1, 2, True)
    (line,) = client.get(f"{page}/public-board.json").json()["entries"]
    assert (line["nauc"], line["entry"]) == (1, 2)
    assert (
        client.get(f"{page}/final-board.csv").content.decode().splitlines()[1].startswith(f"1,{stranger.pk},-1.0,1,2")
    )
    assert "is over" in toys.send(stranger_client, challenge, toys.csv(bad))
    assert "is over" in stranger_client.post(f"{page}/entries/2/choose", follow=True).content.decode()
    assert "nothing can be changed" in owner_client.get(f"{page}/edit", follow=True).content.decode()
    noted = AuditEntry.objects.filter(subject=f"challenge {challenge.pk}").order_by("pk")
    assert [entry.action for entry in noted] == ["opened", "ended"]


def test_scores_are_those_of_the_engine(challenge: Challenge, stranger: User) -> None:
    parts, random = scores.parts(challenge), np.random.default_rng(1)
    sent = random.random(parts.solution.shape).round(1)
    entry = entries.submit_file(challenge, stranger, io.BytesIO(toys.csv(sent)), 100, "p.csv")
    prediction = np.empty_like(sent)
    for row, place in zip(sent, parts.order, strict=True):
        prediction[place] = row
    public = parts.public
    assert entry.public_nauc == nauc(parts.solution[public], prediction[public])
    assert entry.final_nauc == nauc(parts.solution[~public], prediction[~public])
    assert public.sum() == len(public) // 2


def test_a_run_brings_a_score_and_stays_with_the_organiser(
    challenge: Challenge, run_entry: Entry, stranger: User, stranger_client: Client, owner: User, make_run: Maker
) -> None:
    run = run_entry.run
    assert run
    assert (run.owner, run.charged, run.teaches) == (owner, False, False)
    assert start.quota(stranger).left_total == stranger.max_runs_total - 1
    assert start.quota(owner).left_total == owner.max_runs_total
    parts = scores.parts(challenge)
    predictions = [np.ones_like(parts.solution) / 2, parts.solution]
    run.folder.mkdir(parents=True)
    for k, prediction in enumerate(predictions):
        np.savetxt(run.folder / f"toy.predict_{k}", prediction)
        run.points.create(k=k, t=k + 1, nauc=k, alc=0)
    scores.settle(run.pk)  # not ended
    Run.objects.filter(pk=run.pk).update(state="finished")
    scores.settle(run.pk)
    run_entry.refresh_from_db()
    assert (run_entry.state, run_entry.public_nauc, run_entry.final_nauc) == ("scored", 1, 1)
    assert run_entry.points == [[1, 0], [2, 1]]
    assert 0 < (run_entry.alc or 0) < 1
    page = stranger_client.get(challenge.get_absolute_url()).content.decode()
    assert "Curve on the public part" in page
    assert run.pk not in page


@pytest.mark.parametrize("state", ["failed", "cancelled", "deleted"])
def test_a_run_without_a_result_does_not_count(
    challenge: Challenge, run_entry: Entry, stranger: User, state: str
) -> None:
    phase = challenge.phase()
    assert phase
    assert rules.used(challenge, phase, stranger) == (1, 1)
    run = Run.objects.get()
    if state == "deleted":
        run.delete()
    Run.objects.filter(pk=run.pk).update(state=state, state_since=timezone.now() - timedelta(hours=1))
    Entry.objects.update(created=timezone.now() - timedelta(minutes=5))
    SpentRun.objects.update(created=Entry.objects.get().created)
    assert scores.reap() == 1
    run_entry.refresh_from_db()
    assert run_entry.state == "failed"
    assert rules.used(challenge, phase, stranger) == (0, 0)
    assert not SpentRun.objects.exists()


def test_a_day_has_a_limit_and_so_has_a_phase(challenge: Challenge, stranger: User, stranger_client: Client) -> None:
    content = toys.csv(toys.right(challenge))
    for number in (1, 2, 3):
        assert f"Entry {number} is scored" in toys.send(stranger_client, challenge, content)
    assert "all 3 entries of today" in toys.send(stranger_client, challenge, content)
    assert Entry.objects.count() == 3
    Entry.objects.update(created=timezone.localtime().replace(hour=0, minute=0) - timedelta(minutes=1))
    challenge.phases.update(start=timezone.now() - timedelta(days=2))
    for number in (4, 5):
        assert f"Entry {number} is scored" in toys.send(stranger_client, challenge, content)
    assert "all 5 entries of the phase" in toys.send(stranger_client, challenge, content)


def test_the_day_begins_at_midnight_of_the_server(challenge: Challenge, stranger: User, monkeypatch: Any) -> None:
    """At 23:30 UTC it is the next day in Paris."""
    now = datetime(2027, 1, 10, 23, 30, tzinfo=UTC)
    challenge.phases.filter(name="Development").update(start=now - timedelta(days=3), end=now + timedelta(days=3))
    phase = challenge.phases.get(name="Development")
    about = {"challenge": challenge, "user": stranger, "title": "x"}
    for number, hours in enumerate((0.25, 1, 30), 1):
        Entry.objects.create(number=number, created=now - timedelta(hours=hours), **about)
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert rules.used(challenge, phase, stranger) == (2, 3)
    with timezone.override(ZoneInfo("Europe/Paris")):
        assert rules.used(challenge, phase, stranger) == (1, 3)


def test_phases_are_taken_in_the_time_of_the_server(dataset: Dataset, owner_client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    dates = {"phases-0-start": "2030-01-01T00:00", "phases-0-end": "2030-02-01T00:00"}
    dates |= {"phases-1-start": "2030-02-01T00:00", "phases-1-end": "2030-07-01T00:00"}
    owner_client.post(f"/data/{dataset.pk}/challenge", form(**dates))
    first, second = Challenge.objects.get().phases.all()
    assert first.start == datetime(2030, 1, 1, 5, tzinfo=UTC)
    assert second.end == datetime(2030, 7, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "said"),
    [(-2, "The phase Development begins on"), (3, "This challenge is over."), (0, ""), (1.5, "")],
)
def test_entries_are_taken_while_a_phase_lasts(challenge: Challenge, stranger: User, when: float, said: str) -> None:
    for phase in challenge.phases.all():
        phase.start, phase.end = phase.start - timedelta(days=when), phase.end - timedelta(days=when)
        phase.save()
    fresh = Challenge.objects.get(pk=challenge.pk)
    assert rules.refusal(fresh, stranger).startswith(said)
    assert bool(rules.refusal(fresh, stranger)) == bool(said)
    assert fresh.is_over == (when == 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phases-0-end": "2001-01-01T00:00"}, "must end after it begins"),
        ({"phases-1-start": "2001-01-01T00:00"}, "before"),
        ({"phases-0-per_day": "0"}, "greater than or equal to 1"),
        ({"phases-0-name": ""}, "required"),
        ({"public_percent": "100"}, "less than or equal to 95"),
        ({"title": ""}, "required"),
    ],
)
def test_a_form_says_what_is_wrong(dataset: Dataset, owner_client: Client, changes: dict[str, str], said: str) -> None:
    answer = owner_client.post(f"/data/{dataset.pk}/challenge", form(**changes))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Challenge.objects.exists()


def test_a_proposed_phase_that_is_cleared_is_left_out(dataset: Dataset, owner_client: Client) -> None:
    cleared = dict.fromkeys(("phases-1-name", "phases-1-start", "phases-1-end"), "")
    assert owner_client.post(f"/data/{dataset.pk}/challenge", form(**cleared)).status_code == 302
    assert [phase.name for phase in Challenge.objects.get().phases.all()] == ["Development"]


def test_phases_can_be_changed_while_it_is_open(challenge: Challenge, owner_client: Client) -> None:
    page = f"{challenge.get_absolute_url()}/edit"
    assert "public_percent" not in owner_client.get(page).content.decode()
    ids = [str(pk) for pk in challenge.phases.values_list("pk", flat=True)]
    about = {"phases-INITIAL_FORMS": "2", "phases-0-id": ids[0], "phases-1-id": ids[1], "phases-1-DELETE": "on"}
    assert owner_client.post(page, form(title="new", public_percent="95", **about)).status_code == 302
    challenge = Challenge.objects.get()
    assert (challenge.title, challenge.public_percent, challenge.phases.count()) == ("new", 50, 1)


@pytest.mark.parametrize("kind", ["public", "too small", "past", "second", "state"])
def test_what_keeps_it_from_being_opened(dataset: Dataset, owner_client: Client, kind: str) -> None:
    challenge = toys.make(dataset, opened=False)
    if kind == "public":
        Dataset.objects.update(public=True)
    elif kind == "too small":
        Challenge.objects.update(public_percent=5)
    elif kind == "past":
        challenge.phases.update(start=timezone.now() - timedelta(days=9), end=timezone.now() - timedelta(days=8))
    elif kind == "second":
        toys.make(dataset)
    else:
        Dataset.objects.update(state="failed")
    said = owner_client.post(f"{challenge.get_absolute_url()}/open", follow=True).content.decode()
    told = {"public": "is public", "too small": "too small", "past": "over already", "second": "Another challenge"}
    assert told.get(kind, "is not ready") in said
    challenge.refresh_from_db()
    assert challenge.opened is None


def test_data_with_an_open_challenge_is_neither_deleted_nor_changed(
    challenge: Challenge, dataset: Dataset, owner_client: Client
) -> None:
    assert owner_client.post(f"/data/{dataset.pk}/delete").status_code == 409
    assert Dataset.objects.exists()
    assert "end it first" in owner_client.get(f"/data/{dataset.pk}/delete").content.decode()
    owner_client.post(f"/data/{dataset.pk}/choices", {"test_size": "0.5"})
    dataset.refresh_from_db()
    assert dataset.state == "ready"
    assert Dataset.objects.count() == 2  # other settings made a version
    toys.end(challenge)
    owner_client.post(f"/data/{dataset.pk}/delete")
    assert not Dataset.objects.filter(pk=dataset.pk).exists()


def test_entries_outlive_their_challenge(
    challenge: Challenge, run_entry: Entry, owner_client: Client, stranger_client: Client
) -> None:
    toys.send(stranger_client, challenge, toys.csv(toys.right(challenge)))
    page = f"{challenge.get_absolute_url()}/delete"
    assert "2 entries of 1 participant" in owner_client.get(page).content.decode()
    owner_client.post(page)
    assert not Challenge.objects.exists()
    assert not Run.objects.exists()  # it had not ended
    assert Entry.objects.count() == 2
    assert "(deleted)" in stranger_client.get("/challenges/").content.decode()
    Entry.objects.update(created=timezone.now() - timedelta(minutes=5))
    scores.reap()
    assert sorted(Entry.objects.values_list("state", flat=True)) == ["failed", "scored"]
    assert AuditEntry.objects.filter(action="deleted").count() == 1


def test_who_leaves_takes_the_entries_along(challenge: Challenge, stranger: User, owner: User) -> None:
    entries.submit_file(challenge, stranger, io.BytesIO(toys.csv(toys.right(challenge))), 99, "p.csv")
    stranger.delete()
    assert boards.board(challenge, "public") == []
    owner.delete()
    assert not Challenge.objects.exists()


def test_equal_scores_share_a_rank(challenge: Challenge, administrator: User) -> None:
    for number in range(4):
        user = User.objects.create_user(f"u{number}@example.org")
        score = {0: 0.50001, 1: 0.50002, 2: 0.9, 3: 0.1}[number]  # the first two are told as equal
        Entry.objects.create(challenge=challenge, title="x", user=user, number=1, public_nauc=score, final_nauc=0)
    lines = boards.board(challenge, "public")
    assert lines
    assert [(line.rank, line.nauc) for line in lines] == [(1, 0.9), (2, 0.5), (2, 0.5), (4, 0.1)]


def test_the_download_can_be_predicted_and_scored(challenge: Challenge, stranger_client: Client) -> None:
    """What stands first in the zip is a file of predictions that can be sent as it is."""
    answer = stranger_client.get(f"{challenge.get_absolute_url()}/data.zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks(answer)))) as archive:
        assert archive.testzip() is None
        example = archive.read("predictions.csv")
    assert "Entry 1 is scored" in toys.send(stranger_client, challenge, example)
    assert Entry.objects.get().public_nauc == 0


def test_who_may_look_at_the_data_takes_no_part(
    challenge: Challenge, dataset: Dataset, owner: User, stranger: User, administrator: User, make_run: Maker
) -> None:
    said = "you cannot take part"
    assert all(said in rules.refusal(challenge, user) for user in (owner, administrator))
    assert rules.refusal(challenge, stranger) == ""
    grant = Grant.objects.create(run=make_run(dataset), email=stranger.email, user=stranger, level=Grant.Level.VIEW)
    assert said in rules.refusal(challenge, stranger)
    grant.delete()
    run = make_run(dataset, owner=stranger)  # of a time when the data set was shared or public
    assert said in rules.refusal(challenge, stranger)
    run.delete()
    other = Dataset.objects.create(owner=owner, family=dataset.pk, version=2, name="toy")
    Grant.objects.create(dataset=other, email=stranger.email, user=stranger, level=Grant.Level.VIEW)
    assert said in rules.refusal(challenge, User.objects.get(pk=stranger.pk))


def test_who_gets_access_later_keeps_the_entries_and_chooses_no_more(
    challenge: Challenge, dataset: Dataset, stranger: User, stranger_client: Client
) -> None:
    for _ in range(2):
        toys.send(stranger_client, challenge, toys.csv(toys.right(challenge)))
    Grant.objects.create(dataset=dataset, email=stranger.email, user=stranger, level=Grant.Level.VIEW)
    page = challenge.get_absolute_url()
    assert "cannot choose" in stranger_client.post(f"{page}/entries/2/choose", follow=True).content.decode()
    assert not Entry.objects.filter(chosen=True).exists()
    assert len(boards.board(challenge, "public") or []) == 1


def test_an_owner_is_told_that_the_data_was_public(dataset: Dataset, owner_client: Client) -> None:
    for public in ("yes", "no"):
        owner_client.post(f"/data/{dataset.pk}/publish", {"public": public})
    draft = toys.make(dataset, opened=False)
    assert "was public before" in owner_client.get(draft.get_absolute_url()).content.decode()


def test_json_and_csv_tell_four_digits(challenge: Challenge, stranger: User, stranger_client: Client) -> None:
    Entry.objects.create(challenge=challenge, title="x", user=stranger, number=1, public_nauc=0.123456, final_nauc=0.7)
    page = challenge.get_absolute_url()
    answers = [stranger_client.get(f"{page}/public-board.{suffix}").content.decode() for suffix in ("csv", "json")]
    assert all("0.1235" in answer and "0.123456" not in answer for answer in answers)
    assert json.loads(answers[1])["entries"][0]["rank"] == 1
    assert "0.123456" not in stranger_client.get(page).content.decode()


def test_scripts_send_predictions_with_a_token(
    challenge: Challenge, stranger: User, client: Client, owner: User, dataset: Dataset
) -> None:
    address = f"/api/challenges/{challenge.pk}/entries"

    def send(content: bytes, scope: str) -> Any:
        headers = {"Authorization": f"Bearer {ApiToken.make(stranger, 'x', [scope])[1]}"}
        return client.post(address, {"file": SimpleUploadedFile("p.csv", content)}, headers=headers)

    assert send(toys.csv(toys.right(challenge)), "read").status_code == 403
    answer = send(toys.csv(toys.right(challenge)), "run")
    assert answer.status_code == 201
    assert (answer.json()["public_nauc"], answer.json()["final_nauc"]) == (1, None)
    assert send(b"dark,light\n1,x\n", "run").json() == {"detail": "Line 2 holds “x”, which is not a finite number."}
    headers = {"Authorization": f"Bearer {ApiToken.make(stranger, 'x', ['read'])[1]}"}
    (entry,) = client.get(address, headers=headers).json()
    assert (entry["number"], entry["final_nauc"]) == (1, None)
    toys.end(challenge)
    assert client.get(address, headers=headers).json()[0]["final_nauc"] == 1
    toys.make(dataset)
    headers = {"Authorization": f"Bearer {ApiToken.make(owner, 'x')[1]}"}
    assert client.delete(f"/api/datasets/{dataset.pk}", headers=headers).status_code == 409


def test_challenges_and_entries_move_with_an_account(
    challenge: Challenge, dataset: Dataset, owner: User, owner_client: Client, stranger_client: Client
) -> None:
    """A participant's export has their entries, an organiser's the challenge; both come back, and count nowhere."""
    entries.submit_file(challenge, _user(stranger_client), io.BytesIO(toys.csv(toys.right(challenge))), 99, "p.csv")
    exports = [b"".join(blocks(one.get("/account/export"))) for one in (owner_client, stranger_client)]
    abouts = [json.loads(zipfile.ZipFile(io.BytesIO(one)).read("account.json")) for one in exports]
    assert challenge.salt not in json.dumps(abouts)
    assert abouts[0]["challenges"][0]["public_board"][0]["nauc"] == 1
    assert abouts[0]["challenges"][0]["final_board"] is None
    assert (abouts[1]["challenges"], abouts[1]["datasets"], abouts[1]["runs"]) == ([], [], [])
    assert (abouts[1]["entries"][0]["public_nauc"], abouts[1]["entries"][0]["final_nauc"]) == (1, None)
    for content in exports:
        file = SimpleUploadedFile("autodl-account.zip", content)
        assert "imported" in owner_client.post("/account/import", {"file": file}, follow=True).content.decode()
    draft = Challenge.objects.exclude(pk=challenge.pk).get()
    assert (draft.opened, draft.title, draft.phases.count(), draft.owner_id) == (None, "guess", 2, owner.pk)
    assert draft.salt != challenge.salt
    assert draft.dataset_id != dataset.pk
    entry = Entry.objects.get(user=owner)
    assert (entry.challenge, entry.title, entry.public_nauc) == (None, "guess", 1)
    assert len(boards.board(challenge, "public") or []) == 1


def _user(client: Client) -> User:
    return User.objects.get(pk=client.session["_auth_user_id"])


@pytest.mark.parametrize("changes", [{"public_percent": 0}, {"title": ""}, {"phases": [{"name": "x"}]}])
def test_a_forged_challenge_is_refused(challenge: Challenge, owner_client: Client, changes: dict[str, Any]) -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks(owner_client.get("/account/export"))))) as archive:
        about = json.loads(archive.read("account.json"))
    about["challenges"][0] |= changes
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("account.json", json.dumps(about))
    sent = {"file": SimpleUploadedFile("autodl-account.zip", file.getvalue())}
    assert "not an export" in owner_client.post("/account/import", sent, follow=True).content.decode()
    assert Challenge.objects.count() == 1


@pytest.mark.slow  # a conversion and a run by the engine itself
def test_with_real_data_from_the_upload_to_the_board(
    owner: User, stranger: User, owner_client: Client, stranger_client: Client, tmp_path: Path, monkeypatch: Any
) -> None:
    """A table that is sorted by class: the participant downloads it, predicts it, and trains on it here."""
    random = np.random.default_rng(0)
    rows = [(round(random.normal(3 * (i > 150)), 3), round(random.normal(), 3), "yn"[i > 150]) for i in range(300)]
    table = "length,width,sold\n" + "".join(f"{a},{b},{label}\n" for a, b, label in rows)
    owner_client.post("/data/upload", {"file": SimpleUploadedFile("sales.csv", table.encode())})
    dataset = Dataset.objects.get()
    conversion.convert(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.state == "ready"
    owner_client.post(f"/data/{dataset.pk}/challenge", form())
    challenge = Challenge.objects.get()
    page = challenge.get_absolute_url()
    owner_client.post(f"{page}/open")
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks(stranger_client.get(f"{page}/data.zip"))))) as archive:
        archive.extractall(tmp_path / "mine")
    (folder,) = (tmp_path / "mine").glob("*.data")
    train, test = (reader.open_split(folder, split) for split in ("train", "test"))
    weights = np.cov(train.rows(np.arange(len(train))).T, train.labels[:, 0])[:-1, -1]
    guessed = test.rows(np.arange(len(test))) @ weights
    sent = "".join(f"{value:.4f} {-value:.4f}\n" for value in guessed)
    assert "Entry 1 is scored" in toys.send(stranger_client, challenge, sent.encode(), "mine.predict")
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    monkeypatch.setattr("webapp.runs.start._check_row", lambda *_: None)
    stranger_client.post(f"{page}/runs", {"budget_s": "20", "model": "tabular_linear"})
    run = Run.objects.get()
    jobs.train(run.pk)
    second, first = Entry.objects.all()
    assert (first.state, second.state) == ("scored", "scored"), run.error
    assert min(first.public_nauc or 0, first.final_nauc or 0, second.public_nauc or 0, second.final_nauc or 0) > 0.8
    shown = stranger_client.get(page).content.decode()
    assert "only tabular_linear" not in shown
    assert "tabular_linear, 20 s" in shown
    owner_client.post(f"{page}/end")
    (line,) = stranger_client.get(f"{page}/final-board.json").json()["entries"]
    assert (line["user"], line["entries"]) == (stranger.pk, 2)
