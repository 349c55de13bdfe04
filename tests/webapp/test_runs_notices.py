"""Mail and webhook at the end of a run: who gets them, when, signed how, and what happens if nobody takes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from webapp import outgoing
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.management.commands.reaper import DUTIES
from webapp.portfolio.models import Evaluation, PortfolioRow
from webapp.runs import control, ending, notices
from webapp.runs.models import Notice, Run

Jobs = list[tuple[str, Any, tuple[Any, ...]]]
URL = "https://hooks.example.org/x"


@pytest.fixture
def run(owner: User, make_dataset: Callable[..., Dataset], make_run: Callable[..., Run]) -> Run:
    run = make_run(make_dataset(owner), state="running", nauc=0.9, accuracy=0.97)
    (run.dir / "scores.json").write_text('{"stopped": "done"}')
    return run


@pytest.fixture
def hooked(owner: User) -> User:
    User.objects.filter(pk=owner.pk).update(webhook_url=URL, webhook_secret=notices.new_secret())
    owner.refresh_from_db()
    return owner


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, dict[str, str]]]:
    sent: list[tuple[str, bytes, dict[str, str]]] = []
    monkeypatch.setattr(outgoing, "post", lambda *request: sent.append(request))
    return sent


def deliver_all(jobs: Jobs) -> None:
    for queue, function, (notice_id,) in [job for job in jobs if "notices" in str(job[1])]:
        assert (queue, function) == ("pack", "webapp.runs.notices.deliver")
        notices.deliver(notice_id)


def test_a_finished_run_is_mailed_once(run: Run, jobs: Jobs) -> None:
    ending.settle(run, 0)
    ending.settle(run, 0)
    deliver_all(jobs)
    deliver_all(jobs)  # a job that Redis delivers twice
    (message,) = mail.outbox
    assert message.to == ["owner@example.org"]
    assert message.subject.startswith("toy · run 1 is finished: 97 % accuracy")
    assert f"http://127.0.0.1:8000/runs/{run.pk}" in message.body
    assert "/account/" in message.body
    assert Notice.objects.get().state == "sent"


@pytest.mark.parametrize(
    ("code", "trouble", "verb"), [(None, "The worker was lost.", "has failed"), (2, "", "has failed")]
)
def test_a_failed_run_says_why(run: Run, jobs: Jobs, code: int | None, trouble: str, verb: str) -> None:
    run.points.all().delete()
    ending.settle(run, code, trouble)
    deliver_all(jobs)
    (message,) = mail.outbox
    assert verb in message.subject
    run.refresh_from_db()
    assert run.error in message.body


def test_a_stopped_and_a_cancelled_run_are_mailed_but_one_that_never_began_is_not(
    run: Run, jobs: Jobs, make_run: Callable[..., Run]
) -> None:
    control.cancel(run)
    control.cancel(make_run(run.dataset, state="queued"))
    deliver_all(jobs)
    assert [message.subject for message in mail.outbox] == ["toy · run 1 is cancelled: 97 % accuracy"]


def test_who_gets_none(run: Run, jobs: Jobs, owner: User, administrator: User, make_run: Callable[..., Run]) -> None:
    User.objects.filter(pk=owner.pk).update(mail_notices=False)
    ending.settle(run, 0)
    User.objects.filter(pk=owner.pk).update(mail_notices=True, guest=True)
    ending.settle(make_run(run.dataset, state="running"), 0)
    User.objects.filter(pk=owner.pk).update(guest=False)
    evaluated = make_run(run.dataset, state="running")
    row = PortfolioRow.objects.create(name="row", modality="image", model="constant")
    Evaluation.objects.create(
        row=row, version=1, dataset=run.dataset, by=administrator, budget_s=9, t0_s=9, run=evaluated
    )
    ending.settle(evaluated, 0)
    assert not Notice.objects.exists()
    assert not [job for job in jobs if "notices" in str(job[1])]


def test_a_webhook_is_signed(run: Run, jobs: Jobs, hooked: User, posts: list[Any]) -> None:
    ending.settle(run, 0)
    deliver_all(jobs)
    ((url, body, headers),) = posts
    told = json.loads(body)
    assert (url, told["type"], told["data"]["id"], told["data"]["dataset"]) == (URL, "run.finished", run.pk, "toy")
    key = base64.b64decode(hooked.webhook_secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_webhook_that_fails_is_sent_again_later_and_later(
    run: Run, jobs: Jobs, hooked: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise outgoing.Failed("the server answered with status 500")

    monkeypatch.setattr(outgoing, "post", fail)
    ending.settle(run, 0)
    deliver_all(jobs)
    hook = Notice.objects.get(kind="webhook")
    assert (hook.state, hook.tries) == ("waiting", 1)
    for tries in range(2, len(notices.PAUSES_S) + 1):
        jobs.clear()
        notices.resend()
        assert not jobs  # not yet
        Notice.objects.update(due=timezone.now() - timedelta(seconds=1))
        notices.resend()
        deliver_all(jobs)
        hook.refresh_from_db()
        assert hook.tries == tries
    assert (hook.state, hook.error) == ("failed", "the server answered with status 500")
    assert ("notices", "webapp.runs.notices.resend") in DUTIES


def test_a_private_address_is_not_tried_again(run: Run, jobs: Jobs, hooked: User) -> None:
    User.objects.update(webhook_url="http://127.0.0.1:1/")
    ending.settle(run, 0)
    deliver_all(jobs)
    hook = Notice.objects.get(kind="webhook")
    assert (hook.state, hook.tries) == ("failed", 1)
    assert "private network" in hook.error


def test_the_account_page_sets_them(owner: User, owner_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = owner_client.get("/account/").content.decode()
    assert 'name="mail_notices" checked' in page
    page = owner_client.post("/account/notices", {"webhook_url": "http://127.0.0.1/x"}).content.decode()
    assert "127.0.0.1 is in a private network" in page
    owner.refresh_from_db()
    assert (owner.mail_notices, owner.webhook_url) == (True, "")
    monkeypatch.setattr(outgoing, "resolve", lambda url: None)
    owner_client.post("/account/notices", {"webhook_url": URL})
    owner.refresh_from_db()
    secret = owner.webhook_secret
    assert (owner.mail_notices, owner.webhook_url) == (False, URL)
    assert secret in owner_client.get("/account/").content.decode()
    owner_client.post("/account/notices", {"webhook_url": URL, "mail_notices": "on"})
    owner.refresh_from_db()
    assert (owner.mail_notices, owner.webhook_secret) == (True, secret)
    owner_client.post("/account/notices", {"webhook_url": ""})
    owner.refresh_from_db()
    assert owner.webhook_secret == ""


def test_old_notices_are_forgotten(run: Run, jobs: Jobs) -> None:
    ending.settle(run, 0)
    Notice.objects.update(created=timezone.now() - timedelta(days=8))
    notices.resend()
    assert not Notice.objects.exists()
