"""Data that nobody uses: a mail, two weeks, then it is deleted; what is used, public or kept stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from webapp.accounts import retention
from webapp.accounts.models import AuditEntry, User
from webapp.datasets.models import Dataset
from webapp.ops.models import Unused
from webapp.runs.models import Prediction, Run

YEAR = timedelta(days=365)


@pytest.fixture(autouse=True)
def rule(settings: Any) -> None:
    settings.KEEP_DAYS, settings.SENDS_MAIL = 365, True


@pytest.fixture
def dataset(owner: User, make_dataset: Any, make_run: Any) -> Dataset:
    """Its last run began more than a year ago."""
    dataset = make_dataset(owner, name="digits")
    make_run(dataset)
    age(dataset, YEAR + timedelta(days=1))
    return dataset


def age(dataset: Dataset, by: timedelta) -> None:
    past = timezone.now() - by
    Dataset.objects.filter(pk=dataset.pk).update(created=past, state_since=past)
    Run.objects.filter(dataset=dataset).update(created=past)


def pass_time(days: int) -> None:
    for row in Unused.objects.exclude(warned=None):
        Unused.objects.filter(pk=row.pk).update(warned=row.warned - timedelta(days=days))
    retention.advance()


def test_a_mail_and_two_weeks_later_it_is_deleted(
    dataset: Dataset, make_dataset: Any, owner: User, owner_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    new = make_dataset(owner, name="new")
    folders = [dataset.dir, dataset.runs.get().dir]
    retention.advance()
    retention.advance()
    (message,) = mail.outbox
    assert message.to == [owner.email]
    assert "digits" in message.body
    assert "new" not in message.body.replace("not used", "")
    assert f"{timezone.now() + timedelta(days=14):%Y}" in message.body
    assert "Keep<" in owner_client.get("/account/storage").content.decode()
    pass_time(13)
    assert Dataset.objects.count() == 2
    with django_capture_on_commit_callbacks(execute=True):
        pass_time(2)
    assert Dataset.objects.get() == new
    assert not Run.objects.exists()
    assert not [folder for folder in folders if folder.exists()]
    assert AuditEntry.objects.filter(action="deleted what nobody had used", subject=f"dataset {dataset.pk}").exists()


@pytest.mark.parametrize("use", ["run", "prediction", "keep", "publish", "link"])
def test_what_is_used_stays(dataset: Dataset, make_run: Any, owner: User, owner_client: Client, use: str) -> None:
    retention.advance()
    run = dataset.runs.get()
    match use:
        case "run":
            make_run(dataset)
        case "prediction":
            Prediction.objects.create(owner=owner, run=run, input_name="x.png")
        case "keep":
            assert owner_client.post(f"/data/{dataset.pk}/keep").status_code == 302
            assert "Keep<" not in owner_client.get("/account/storage").content.decode()
        case "publish":
            Dataset.objects.update(public=True)
        case "link":
            Run.objects.update(link="secret")
    pass_time(15)
    pass_time(15)
    assert Dataset.objects.exists()
    assert len(mail.outbox) == 1


def test_used_after_the_mail_it_gets_another_one_a_year_later(dataset: Dataset, make_run: Any) -> None:
    retention.advance()
    make_run(dataset)
    pass_time(15)
    age(dataset, YEAR + timedelta(days=1))
    pass_time(15)
    assert Dataset.objects.exists()
    assert len(mail.outbox) == 2


def test_without_a_mail_nothing_is_deleted(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(retention, "send_mail", refuse)
        retention.advance()
    assert not Unused.objects.exists()
    for name in ("KEEP_DAYS", "SENDS_MAIL"):
        before = getattr(settings, name)
        setattr(settings, name, 0)
        retention.advance()
        setattr(settings, name, before)
    assert not mail.outbox


def test_others_cannot_keep_it(dataset: Dataset, stranger_client: Client) -> None:
    retention.advance()
    assert stranger_client.post(f"/data/{dataset.pk}/keep").status_code in (403, 404)
    assert Unused.objects.get().warned
