"""Register, log in, reset and change the password; the account page; leaving with everything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from tests.webapp.conftest import PASSWORD
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def test_register_log_out_and_log_in(client: Client) -> None:
    new = {"email": "new@example.org", "password1": PASSWORD}
    assert client.post("/accounts/signup/", new).status_code == 302
    assert "new@example.org" in client.get("/").content.decode()
    client.post("/accounts/logout/")
    assert "Register" in client.get("/").content.decode()
    answer = client.post("/accounts/login/", {"login": "new@example.org", "password": PASSWORD})
    assert answer.status_code == 302
    assert User.objects.get().email == "new@example.org"


def test_a_wrong_password_is_told(client: Client, owner: User) -> None:
    page = client.post("/accounts/login/", {"login": owner.email, "password": "wrong"}).content.decode()
    assert 'role="alert"' in page
    assert "not correct" in page


def test_a_short_password_is_told_beside_the_field(client: Client) -> None:
    page = client.post("/accounts/signup/", {"email": "new@example.org", "password1": "short"}).content.decode()
    assert "too short" in page
    assert not User.objects.exists()


def test_reset_the_password_by_mail(client: Client, owner: User) -> None:
    client.post("/accounts/password/reset/", {"email": owner.email})
    link = re.search(r"http://[^/]+(/\S+)", str(mail.outbox[0].body))
    assert link
    form = client.get(link[1], follow=True).redirect_chain[-1][0]
    client.post(form, {"password1": "a fresh long secret", "password2": "a fresh long secret"})
    owner.refresh_from_db()
    assert owner.check_password("a fresh long secret")


def test_change_the_password(owner_client: Client, owner: User) -> None:
    fresh = {"password1": "a fresh long secret", "password2": "a fresh long secret"}
    owner_client.post("/accounts/password/change/", {"oldpassword": PASSWORD, **fresh})
    owner.refresh_from_db()
    assert owner.check_password("a fresh long secret")


@pytest.mark.parametrize("path", ["login/", "signup/", "password/reset/", "password/reset/done/", "confirm-email/"])
def test_entrance_pages_wear_our_frame(client: Client, path: str) -> None:
    page = client.get(f"/accounts/{path}").content.decode()
    assert 'class="site-head"' in page
    assert "<script>" not in page


@pytest.mark.parametrize("path", ["accounts/email/", "accounts/password/change/", "account/", "accounts/logout/"])
def test_account_pages_are_for_users(client: Client, owner_client: Client, path: str) -> None:
    assert client.get(f"/{path}").status_code == 302
    assert 'class="site-head"' in owner_client.get(f"/{path}").content.decode()


def test_the_account_page_tells_what_is_left(owner_client: Client, owner: User) -> None:
    owner.runs_per_day = 7
    owner.save()
    assert "of 7" in owner_client.get("/account/").content.decode()


@pytest.fixture
def leaving(
    owner: User,
    make_dataset: Callable[..., Dataset],
    make_run: Callable[..., Run],
    django_capture_on_commit_callbacks: Any,
) -> Callable[[Client, str], int]:
    make_run(make_dataset(owner))

    def leave(client: Client, password: str) -> int:
        with django_capture_on_commit_callbacks(execute=True):
            return client.post("/account/delete", {"password": password}).status_code

    return leave


def test_leaving_takes_rows_and_files(
    leaving: Callable[[Client, str], int], owner_client: Client, stranger: User, media: Any
) -> None:
    assert list(media.rglob("*.tfrecord"))
    assert leaving(owner_client, PASSWORD) == 302
    assert list(User.objects.all()) == [stranger]
    assert not Dataset.objects.exists()
    assert not Run.objects.exists()
    assert not [path for path in media.rglob("*") if path.is_file()]
    assert owner_client.get("/account/").status_code == 302


def test_leaving_needs_the_password(leaving: Callable[[Client, str], int], owner_client: Client) -> None:
    assert leaving(owner_client, "wrong") == 422
    assert Dataset.objects.exists()


def test_the_only_administrator_stays(admin_client: Client, administrator: User) -> None:
    assert admin_client.post("/account/delete", {"password": PASSWORD}).status_code == 422
    assert User.objects.filter(pk=administrator.pk).exists()


def test_administrators_set_quotas(admin_client: Client, owner: User) -> None:
    assert admin_client.get("/admin/accounts/user/").status_code == 200
    page = admin_client.get(f"/admin/accounts/user/{owner.pk}/change/").content.decode()
    assert "runs_per_day" in page
    form = {"email": "third@example.org", "password1": PASSWORD, "password2": PASSWORD}
    assert admin_client.post("/admin/accounts/user/add/", form).status_code == 302
    assert User.objects.filter(email="third@example.org").exists()


def test_administration_is_closed_to_users(owner_client: Client) -> None:
    assert owner_client.get("/admin/accounts/user/").status_code == 302
