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
from webapp.datasets import sweep
from webapp.datasets.models import Dataset
from webapp.datasets.storage import storage_of
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


def test_who_has_no_password_types_the_address(owner: User, client: Client) -> None:
    """As after single sign-on."""
    owner.set_unusable_password()
    owner.save()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    assert 'name="address"' in client.get("/account/").content.decode()
    for wrong in ({}, {"password": "guess"}, {"address": "stranger@example.org"}):
        assert client.post("/account/delete", wrong).status_code == 422
    assert client.post("/account/delete", {"address": "Owner@example.org"}).status_code == 302
    assert not User.objects.exists()


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


def test_what_takes_the_space(owner: User, owner_client: Client, make_dataset: Any) -> None:
    """The largest first, with the owner's runs; runs of others on public data are theirs."""
    other = User.objects.create_user("other@example.org", PASSWORD)
    small, large = make_dataset(owner), make_dataset(owner, public=True)
    Dataset.objects.filter(pk=small.pk).update(size_bytes=3 * 2**20, name="small")
    Dataset.objects.filter(pk=large.pk).update(size_bytes=2**20, name="large")
    run = Run.objects.create(owner=owner, dataset=large, number=1, budget_s=5, state="finished", size_bytes=4 * 2**20)
    Run.objects.create(owner=other, dataset=large, number=2, budget_s=5, state="finished", size_bytes=9 * 2**20)
    page = owner_client.get("/account/storage").content.decode()
    assert page.index(">small<") < page.index(">large<") < page.index(">large · run 1<")
    assert "large · run 2" not in page, "a run of somebody else takes their space"
    assert page.count("4\xa0MB") == 4, "of all data sets, of all runs, of the runs of one, of the run"
    assert f'href="/data/{small.pk}/delete"' in page
    assert f'action="/runs/{run.pk}/delete"' in page
    assert storage_of(owner).used_bytes == 8 * 2**20
    assert not run.dir.exists()  # no folder is walked


def test_what_a_run_takes_is_measured_when_its_job_ends_and_daily(owner: User, make_dataset: Any) -> None:
    run = Run.objects.create(owner=owner, dataset=make_dataset(owner), number=1, budget_s=5, state="finished")
    run.dir.mkdir(parents=True)
    (run.dir / "model.zip").write_bytes(b"x" * 5000)
    sweep.measure()
    run.refresh_from_db()
    assert (run.size_bytes, run.model_bytes) == (5000, 5000)


def test_a_run_is_deleted_on_the_storage_page(owner: User, owner_client: Client, make_dataset: Any) -> None:
    run = Run.objects.create(owner=owner, dataset=make_dataset(owner), number=1, budget_s=5, state="finished")
    answer = owner_client.post(f"/runs/{run.pk}/delete", {"back": "storage"})
    assert answer.url == "/account/storage"  # type: ignore[attr-defined]
    assert not Run.objects.exists()


def test_long_storage_lists_have_pages_each(owner: User, owner_client: Client, make_dataset: Any) -> None:
    dataset = make_dataset(owner)
    Run.objects.bulk_create(Run(owner=owner, dataset=dataset, number=i, budget_s=5, size_bytes=i) for i in range(60))
    second = owner_client.get("/account/storage?runs=2").content.decode()
    assert "run 34<" in second
    assert "run 35<" not in second
    assert 'href="?runs=3">Smaller' in second


def test_lists_of_administrators_have_sensible_digits(
    owner: User, make_dataset: Any, make_run: Any, admin_client: Client
) -> None:
    make_run(make_dataset(owner), alc=0.9763080056301903, budget_s=300)
    Dataset.objects.update(size_bytes=98_410_824)
    assert "93.9\N{NO-BREAK SPACE}MB" in admin_client.get("/admin/datasets/dataset/").content.decode()
    page = admin_client.get("/admin/runs/run/").content.decode()
    assert ">0.976<" in page
    assert ">5 min<" in page
