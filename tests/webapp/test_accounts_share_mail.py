"""The mail to a person with whom something is shared: who gets it, once, and what happens if no server takes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone

from tests.webapp.test_accounts_sharing import share
from webapp.access import EDIT, USE, VIEW
from webapp.accounts import share_mail, sharing
from webapp.accounts.models import Grant, User
from webapp.datasets.models import Dataset
from webapp.ops.management.commands.reaper import DUTIES
from webapp.runs.models import Run

Jobs = list[tuple[str, Any, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def sends_mail(settings: Any) -> None:
    settings.SENDS_MAIL = True


@pytest.fixture
def dataset(owner: User, make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset(owner, name="weather")


def deliver_all(jobs: Jobs) -> None:
    for queue, function, (grant_id,) in [job for job in jobs if "share_mail" in str(job[1])]:
        assert (queue, function) == ("pack", "webapp.accounts.share_mail.deliver")
        share_mail.deliver(grant_id)


def test_who_has_an_account_is_told_once(
    dataset: Dataset, run: Run, owner: User, owner_client: Client, stranger: User, jobs: Jobs
) -> None:
    said = share(owner_client, dataset, stranger.email, USE)
    share(owner_client, run, stranger.email, VIEW)
    deliver_all(jobs)
    deliver_all(jobs)  # a job that Redis delivers twice
    about_dataset, about_run = mail.outbox
    assert about_dataset.to == [stranger.email]
    assert about_dataset.subject == f"{owner.email} shares the data set “weather” with you"
    assert "you may start runs" in about_dataset.body
    assert f"http://127.0.0.1:8000/data/{dataset.pk}" in about_dataset.body
    assert f"http://127.0.0.1:8000/runs/{run.pk}" in about_run.body
    assert "at once, with a mail that says so, if this address has an account" in said
    share(owner_client, dataset, stranger.email, EDIT)  # instead of before
    deliver_all(jobs)
    assert len(mail.outbox) == 2


def test_what_changes_before_the_mail_is_sent(
    dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs
) -> None:
    share(owner_client, dataset, stranger.email, USE)
    share(owner_client, dataset, stranger.email, EDIT)
    deliver_all(jobs)
    (message,) = mail.outbox
    assert "you may edit" in message.body


def test_nothing_tells_which_addresses_have_an_account(
    dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs
) -> None:
    known = share(owner_client, dataset, stranger.email, VIEW)
    first = len(jobs)
    unknown = share(owner_client, dataset, "unknown@example.org", VIEW)
    assert len(jobs) == 2 * first
    assert "with a mail that says so, if this address has an account" in known
    assert "with a mail that says so, if this address has an account" in unknown
    deliver_all(jobs)
    assert [message.to for message in mail.outbox] == [[stranger.email]]
    assert not Grant.objects.exclude(mail_due=None)
    User.objects.create_user("unknown@example.org")
    share_mail.resend()
    assert len(mail.outbox) == 1


def _taken_back(dataset: Dataset, stranger: User) -> None:
    sharing.take_back(dataset, stranger.email)


def _switched_off(dataset: Dataset, stranger: User) -> None:
    User.objects.filter(pk=stranger.pk).update(mail_notices=False)


def _locked(dataset: Dataset, stranger: User) -> None:
    User.objects.filter(pk=stranger.pk).update(is_active=False)


def _deleted(dataset: Dataset, stranger: User) -> None:
    dataset.delete()


@pytest.mark.parametrize("change", [_taken_back, _switched_off, _locked, _deleted])
def test_who_cannot_see_it_or_wants_no_mail_gets_none(
    change: Callable[[Dataset, User], None], dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs
) -> None:
    share(owner_client, dataset, stranger.email, VIEW)
    change(dataset, stranger)
    deliver_all(jobs)
    share_mail.resend()
    deliver_all(jobs)
    assert not mail.outbox


def test_an_address_that_is_not_confirmed_gets_none(
    dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    share(owner_client, dataset, stranger.email, VIEW)
    deliver_all(jobs)
    assert not mail.outbox
    EmailAddress.objects.create(user=stranger, email="other@example.org", verified=True)
    share(owner_client, dataset, "Other@example.org", VIEW)
    deliver_all(jobs)
    assert [message.to for message in mail.outbox] == [["other@example.org"]]


def test_a_site_without_mail_says_nothing_of_it(
    dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs, settings: Any
) -> None:
    settings.SENDS_MAIL = False
    assert "with a mail" not in share(owner_client, dataset, stranger.email, VIEW)
    assert not jobs


def test_there_are_limits(dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs) -> None:
    for _ in range(5):
        page = share(owner_client, dataset, stranger.email, VIEW)
        owner_client.post(f"/grants/{Grant.objects.get().pk}/withdraw")
    assert len(jobs) == 3
    assert "at once if this address has an account" in page


def test_a_dead_mail_server_delays_the_mail_alone(
    dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("no mail server")

    with monkeypatch.context() as patch:
        patch.setattr(share_mail, "send_mail", refuse)
        assert stranger.email in share(owner_client, dataset, stranger.email, VIEW)
        for tries in range(1, len(share_mail.PAUSES_S) + 1):
            with pytest.raises(ConnectionRefusedError):
                deliver_all(jobs)
            assert Grant.objects.get().mail_tries == tries
            jobs.clear()
            share_mail.resend()
            assert not jobs  # not yet
            Grant.objects.exclude(mail_due=None).update(mail_due=timezone.now() - timedelta(seconds=1))
            share_mail.resend()
            if tries == 2:
                break
    deliver_all(jobs)
    assert [message.to for message in mail.outbox] == [[stranger.email]]
    assert Grant.objects.get().mail_due is None
    assert ("mails about sharing", "webapp.accounts.share_mail.resend") in DUTIES


def test_it_is_given_up_at_last(
    dataset: Dataset, owner_client: Client, stranger: User, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    share(owner_client, dataset, stranger.email, VIEW)
    Grant.objects.update(mail_tries=len(share_mail.PAUSES_S) - 1)
    monkeypatch.setattr(share_mail, "send_mail", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        deliver_all(jobs)
    assert Grant.objects.get().mail_due is None
