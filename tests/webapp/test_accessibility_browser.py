"""Pages and states that need no engine, in a browser: none breaks a rule that a machine can check.

Each test is one visitor who walks through many pages.  The main job is in tests/e2e, the guide, samples that are
changed, and recordings in the other test_*_browser.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from tests.accessibility import check
from tests.webapp import challenge_toys
from tests.webapp.conftest import CHROMIUM
from tests.webapp.test_runs_map import three  # noqa: F401
from tests.webapp.test_runs_why import KINDS, told, write
from webapp.accounts import sharing
from webapp.accounts.models import Grant, User
from webapp.datasets.models import Dataset
from webapp.datasets.uploads import begin
from webapp.runs import why
from webapp.runs.models import Prediction, Run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,  # one browser visits some forty pages, each in four looks
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]
Walk = Callable[..., None]


@pytest.fixture
def walk(page: Any) -> Walk:
    """``walk("/a", "/b")``: visit and check them, all that is folded away unfolded."""

    def visit(*paths: str) -> None:
        for path in paths:
            page.goto(path)
            page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            check(page)

    return visit


@pytest.fixture
def become(page: Any, live_server: Any) -> Callable[[User | None], None]:
    """``become(user)``: go on as somebody else, or as a guest."""

    def change(user: User | None) -> None:
        page.context.clear_cookies()
        if user:
            client = Client()
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies["sessionid"].value}
            page.context.add_cookies([cookie | {"url": live_server.url}])

    return change


def test_a_new_user_and_errors(page: Any, walk: Walk, stranger: User, make_dataset: Any) -> None:
    walk("/", "/data/", "/runs/", "/account/", "/account/storage", "/account/tokens", "/boards", "/benchmark")
    walk("/accounts/2fa/", "/accounts/email/", "/accounts/password/change/", "/glossary", "/nothing", "/status")
    page.goto("/account/tokens")
    page.get_by_role("button", name="Create token").click()
    page.locator("#secret").wait_for()
    check(page)
    dataset = make_dataset(stranger)
    sharing.give(dataset, "owner@example.org", Grant.Level.VIEW)
    walk("/data/", f"/data/{dataset.pk}", f"/data/{dataset.pk}/more")  # shared with me; 403
    assert page.get_by_role("heading", name="You don't have permission").is_visible()
    for name in ("500.html", "403_csrf.html", "429.html"):
        html = render_to_string(name, {"user": None})
        page.route("**/failed", lambda route, _, html=html: route.fulfill(body=html, content_type="text/html"))
        walk("/failed")
        page.unroute("**/failed")


def test_data_in_every_state(page: Any, walk: Walk, owner: User, make_dataset: Any, make_run: Any) -> None:
    first = make_dataset(owner, "tabular")
    make_run(first)
    more = {"family": first.pk, "parent": first, "change": "2 samples excluded"}
    version = make_dataset(owner, "tabular", version=2, **more)
    sharing.give(version, "new@example.org", Grant.Level.USE)
    begin(owner, "large.zip", 10_000)
    numbers = {"column": "price", "distinct": 200, "low": 1, "high": 90, "others": ["rooms"]}
    asked = make_dataset(owner, state="failed", question=numbers, error="The column “price” holds 200 numbers.")
    failed = make_dataset(owner, state="failed", error="broken.zip cannot be opened.", name="x" * 90)
    queued = make_dataset(owner, state="converting", progress="reading images")
    walk(*(f"/data/{one.pk}" for one in (version, asked, failed, queued)))
    walk("/", "/data/", "/account/storage", f"/data/{version.pk}/more", f"/data/{version.pk}/delete")
    page.goto(f"/data/{version.pk}")
    page.get_by_label("Select class dark").check()
    check(page)


def test_runs_in_every_state(page: Any, walk: Walk, owner: User, make_dataset: Any, make_run: Any) -> None:
    dataset = make_dataset(owner)
    states = {
        "queued": {},
        "running": {"started": timezone.now(), "budget_s": 1200},
        "stopping": {"started": timezone.now()},
        "failed": {"error": "The worker was lost.", "tries": 2},
        "cancelled": {"reason": "You cancelled it."},
    }
    runs = [make_run(dataset, state=state, **fields) for state, fields in states.items()]
    done = [make_run(dataset, reason="It was stopped.", imported=imported) for imported in ("", "?")]
    walk(*(run.get_absolute_url() for run in [*runs, done[1]]), "/runs/", "/")
    walk(f"{done[0].get_absolute_url()}?with={done[1].pk}")
    page.get_by_role("heading", name="Compared runs").wait_for()
    page.get_by_label("Table").check()
    check(page)


def test_a_result_and_its_model(
    page: Any,
    walk: Walk,
    become: Callable[[User | None], None],
    three: Run,  # noqa: F811
    stranger: User,
) -> None:
    run, address = three, three.get_absolute_url()
    sharing.give(run, stranger.email, Grant.Level.USE)
    walk(f"{address}/map")
    page.goto(f"{address}/samples?true=light&predicted=dark")
    page.get_by_label("Select light/test5.png").check()
    check(page)
    Run.objects.update(export_state="ready", link="a" * 16)
    for index, kind in enumerate(KINDS):
        write(why.path(run, index), told(kind))
    walk(*(f"{address}/why/{index}" for index in range(len(KINDS))), f"{address}/map", address)
    page.get_by_label("E-mail address of a person").wait_for()
    prediction = Prediction.objects.create(run=run, owner=run.owner, input_name="new.png", state="ready")
    prediction.output_path.parent.mkdir(parents=True)
    prediction.output_path.write_text("name,prediction,dark,light\na.png,light,0.25,0.75\nb.png,,,\n")
    (prediction.output_path.parent / "notes.json").write_text(json.dumps(["b.png could not be read"]))
    models = f"/models/{run.pk}"
    walk(models, f"{models}?prediction={prediction.pk}")
    become(stranger)
    walk(address, models, "/runs/")
    become(None)
    walk(f"/try/{'a' * 16}", address)  # a visitor; 404
    Run.objects.update(export_state="queued")
    become(run.owner)
    walk(models)


def test_challenges(
    page: Any,
    walk: Walk,
    become: Callable[[User | None], None],
    owner: User,
    stranger: User,
    make_dataset: Any,
) -> None:
    walk("/challenges/")  # nothing yet
    pictures, table = make_dataset(owner), make_dataset(owner, "tabular", name="table")
    challenge = challenge_toys.make(pictures, public=True, description="Guess.\n\nWell.")
    draft = challenge_toys.make(table, opened=False)
    entry = {"challenge": challenge, "title": challenge.title, "user": stranger, "public_nauc": 0.5, "final_nauc": 0.4}
    challenge.entries.create(number=1, note="p" * 150 + ".csv", points=[[1, 0.25], [20, 0.5]], alc=0.4, **entry)
    challenge.entries.create(number=2, note="q.csv", **entry | {"state": "failed", "error": "It failed."})
    mine, theirs = challenge.get_absolute_url(), draft.get_absolute_url()
    walk("/challenges/", mine, f"{mine}/edit", f"{mine}/delete", theirs, f"/data/{table.pk}/challenge")
    page.get_by_label("Title").fill("")
    page.locator("form.stack").evaluate("form => (form.noValidate = true)")
    page.get_by_role("button", name="Save as a draft").click()
    page.get_by_text("This field is required").wait_for()
    check(page)
    walk(f"/data/{pictures.pk}/delete")
    become(stranger)
    walk("/challenges/", mine)
    challenge_toys.end(challenge)
    walk(mine)
    become(None)
    walk("/challenges/", mine)


def test_an_administrator_and_guests(
    walk: Walk, become: Callable[[User | None], None], administrator: User, make_dataset: Any, make_run: Any
) -> None:
    dataset = make_dataset(administrator, "tabular", public=True)
    for model in ("auto", "tabular_linear"):
        make_run(dataset, public=True, model=model)
    become(administrator)
    walk("/boards", f"/boards/data/{dataset.pk}", "/status", "/portfolio/add", "/guide/terms/edit", "/account/")
    become(None)
    walk("/", f"/boards/data/{dataset.pk}", f"/data/{dataset.pk}", "/accounts/password/reset/done/")
    assert Dataset.objects.count() == 1
