"""Sign-in, sharing and administration are written down; only administrators read it, and nobody changes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.webapp.conftest import PASSWORD
from webapp.accounts import audit
from webapp.accounts.models import AuditEntry, User
from webapp.portfolio.models import PortfolioRow, RowChange

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def test_signing_in_and_out(client: Client, owner: User) -> None:
    client.post("/accounts/login/", {"login": owner.email, "password": "wrong, maybe another password of mine"})
    client.post("/accounts/login/", {"login": "nobody@example.org", "password": PASSWORD})
    client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD}, REMOTE_ADDR="198.51.100.1")
    client.post("/accounts/logout/")
    assert actions()[-2:] == ["logged in", "logged out"]
    assert actions()[0] == "failed to log in"
    entries = list(AuditEntry.objects.order_by("pk"))
    assert entries[0].actor is None
    assert entries[0].subject == f"user {owner.pk}"
    assert (entries[-2].actor, entries[-2].address) == (owner, "198.51.100.1")
    assert not [entry for entry in entries if "password" in entry.subject or "@" in entry.subject]


def test_registering_and_changing_the_password(client: Client) -> None:
    client.post("/accounts/signup/", {"email": "new@example.org", "password1": PASSWORD})
    fresh = {"password1": "a fresh long secret", "password2": "a fresh long secret"}
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, **fresh})
    assert {"registered", "logged in", "changed the password"} <= set(actions())


def test_sharing(owner_client: Client, owner: User, make_dataset: Any, make_run: Any) -> None:
    dataset = make_dataset(owner, name="confidential")
    run = make_run(dataset)
    AuditEntry.objects.all().delete()
    owner_client.post(f"/data/{dataset.pk}/publish", {"public": "yes"})
    owner_client.post(f"/data/{dataset.pk}/publish", {"public": "yes"})  # it is already
    owner_client.post(f"/runs/{run.pk}/share", {"public": "1"})
    owner_client.post(f"/runs/{run.pk}/share", {"public": ""})
    owner_client.post("/account/tokens", {"name": "script", "scope": "read", "days": ""})
    told = [(entry.action, entry.subject, entry.actor) for entry in AuditEntry.objects.order_by("pk")]
    assert told[:3] == [
        ("published", f"dataset {dataset.pk}", owner),
        ("published", f"run {run.pk}", owner),
        ("made private", f"run {run.pk}", owner),
    ]
    assert told[3][0] == "made"
    assert len(told) == 4


def test_administration(admin_client: Client, administrator: User, owner: User) -> None:
    AuditEntry.objects.all().delete()
    form = {"email": owner.email, "runs_per_day": "7", "is_active": "on", "date_joined_0": "2026-01-01"}
    answer = admin_client.post(f"/admin/accounts/user/{owner.pk}/change/", form)
    assert answer.status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == (administrator, "administered")
    assert f"user {owner.pk}" in entry.subject
    assert "Runs per day" in entry.subject
    row = PortfolioRow.objects.create(name="row-1", modality="image", model="constant")
    RowChange.objects.create(row=row, by=administrator, what="switched off", version=1, content={})
    RowChange.objects.create(row=row, by=None, what="shipped", version=1, content={})
    assert actions()[1:] == ["changed a configuration"]


def test_the_log_is_read_only(admin_client: Client, owner_client: Client) -> None:
    entry = AuditEntry.objects.first()
    assert entry
    assert owner_client.get("/admin/accounts/auditentry/").status_code == 302
    page = admin_client.get("/admin/accounts/auditentry/").content.decode()
    assert "logged in" in page
    place = f"/admin/accounts/auditentry/{entry.pk}"
    assert admin_client.post(f"{place}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{place}/change/", {"action": "x"}).status_code == 403
    assert admin_client.get("/admin/accounts/auditentry/add/").status_code == 403


def test_who_leaves_leaves_no_name(owner_client: Client, owner: User) -> None:
    assert owner_client.post("/account/delete", {"password": PASSWORD}).status_code == 302
    assert not User.objects.exists()
    assert actions()[-1] == "deleted the account"
    assert not AuditEntry.objects.exclude(actor=None).exists()


def test_old_entries_go(owner: User) -> None:
    audit.note(None, "logged in", actor=owner)
    audit.note(None, "logged out", actor=owner)
    AuditEntry.objects.filter(action="logged in").update(time=timezone.now() - timedelta(days=366))
    audit.forget_old()
    assert actions() == ["logged out"]
