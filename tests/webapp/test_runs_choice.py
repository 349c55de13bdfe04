"""Why the engine began so: which data sets are named and shown, to whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from automl_engine.run import events
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.portfolio.scores import PREFIX, name_of
from webapp.runs import start
from webapp.runs.models import Lesson, Run
from webapp.runs.pages import choice, page

TOLD = [{"dataset": "mnist", "distance": 0.312, "alc": 0.914}, {"dataset": "cifar10", "distance": 0.58, "alc": None}]


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


@pytest.fixture
def run(owner: User, make_dataset: Any, make_run: Any) -> Run:
    return make_run(make_dataset(owner, public=True))  # strangers see nothing of private data


def _choose(run: Run, resembles: list[dict[str, Any]], row: str = "resnet9-warm") -> None:
    first = resembles[0]
    reason = f"your data resembles {first['dataset']} (distance {first['distance']})"
    events.append(run.dir / "events.jsonl", "chosen", t=0.4, row=row, reason=reason, resembles=resembles)


def _words(html: str) -> str:
    """The explanation as it is read."""
    part = html[html.index('id="choice-title"') : html.index("</section>", html.index('id="choice-title"'))]
    text = "".join(piece.split(">", 1)[-1] for piece in part.split("<"))
    return " ".join(text.split())


def test_it_tells_row_data_distance_and_what_the_row_reached_there(owner_client: Any, run: Run) -> None:
    assert "Why this model came first" not in owner_client.get(run.get_absolute_url()).content.decode()
    _choose(run, TOLD)
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert _words(html).endswith(
        "The engine chose “resnet9-warm” because your data resembles mnist. Details "
        "mnist: distance 0.31; there “resnet9-warm” reached ALC 0.914 cifar10: distance 0.58"
    )
    assert "chose “resnet9-warm”, which did best on similar data" in html
    assert 'class="plain thumbs' not in html


def test_what_is_known_is_told_where_it_decided_nothing(owner_client: Any, run: Run) -> None:
    about = {"row": "trees", "by": "average", "resembles": TOLD}
    events.append(run.dir / "events.jsonl", "note", t=0.4, text="Known data: your data resembles mnist.", **about)
    words = _words(owner_client.get(run.get_absolute_url()).content.decode())
    assert words.startswith("Similar public data Your data resembles mnist. The engine tried its configurations")
    assert "mnist: distance 0.31; there “trees” reached ALC 0.914" in words


def test_it_comes_live_with_the_other_regions(owner_client: Any, owner: User, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner), state="running")
    assert "The engine chose" not in owner_client.get(f"/runs/{run.pk}/state").json()["regions"]["choice"]
    _choose(run, TOLD)
    assert "The engine chose" in owner_client.get(f"/runs/{run.pk}/state").json()["regions"]["choice"]
    streamed = b"".join(_blocks(owner_client, Run.objects.get(pk=run.pk)))
    sent = next(json.loads(line[6:]) for line in streamed.decode().split("\n") if line.startswith('data: {"id"'))
    assert "resembles mnist" in _words(sent["regions"]["choice"])


def _blocks(client: Any, run: Run) -> list[bytes]:
    """What the stream sends of a run that ends at once."""
    from asgiref.sync import async_to_sync

    Run.objects.filter(pk=run.pk).update(state="finished")
    response = client.get(f"/runs/{run.pk}/stream")

    async def collect() -> list[bytes]:
        return [block async for block in response.streaming_content]

    return async_to_sync(collect)()


@pytest.mark.parametrize(
    ("starter", "name", "raw_name"), [(True, "Hand-written digits", "mnist.zip"), (False, "MNIST", "x.zip")]
)
def test_published_data_of_administrators_is_shown(
    client: Any, run: Run, make_dataset: Any, administrator: User, starter: bool, name: str, raw_name: str
) -> None:
    known = make_dataset(administrator, public=True, starter=starter, name=name, raw_name=raw_name)
    _choose(run, TOLD)
    Run.objects.update(public=True)
    html = client.get(run.get_absolute_url()).content.decode()
    assert f"because the data resembles {name}." in _words(html)
    assert f'href="/data/{known.pk}"' in html
    pictures = [part.split('"')[0] for part in html.split(f'src="/data/{known.pk}/preview/')[1:]]
    assert len(pictures) == choice.SHOWN_SAMPLES
    assert client.get(f"/data/{known.pk}/preview/{pictures[0]}").status_code == 200
    Dataset.objects.filter(pk=known.pk).update(public=False)
    assert "resembles mnist" in _words(client.get(run.get_absolute_url()).content.decode())


def test_anybody_may_call_theirs_mnist_but_it_is_not_shown(
    owner_client: Any, run: Run, make_dataset: Any, stranger: User, owner: User
) -> None:
    make_dataset(stranger, public=True, name="mnist", raw_name="mnist.zip")
    make_dataset(owner, name="mnist")
    _choose(run, TOLD)
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert 'class="plain thumbs' not in html


def test_private_data_that_taught_has_a_name_for_its_owner_only(
    run: Run, make_dataset: Any, stranger: User, owner_client: Any, stranger_client: Any, client: Any
) -> None:
    theirs = make_dataset(stranger, name="secret patients")
    name = name_of(theirs)
    Lesson.objects.create(dataset=theirs, name=name, modality="image", score={})
    Lesson.objects.create(dataset=theirs, name=name, modality="image", score={})
    gone = f"{PREFIX}ffffffffffff"
    _choose(run, [{"dataset": name, "distance": 0.1, "alc": 0.9}, {"dataset": gone, "distance": 0.2, "alc": 0.8}])
    Run.objects.update(public=True)
    private = "resembles a private data set. Details a private data set: distance 0.1; there"
    for visitor in (owner_client, client):
        html = visitor.get(run.get_absolute_url()).content.decode()
        assert private in _words(html)
        for hidden in ("secret patients", theirs.pk, name):
            assert hidden not in html
    assert "resembles secret patients." in _words(stranger_client.get(run.get_absolute_url()).content.decode())
    Dataset.objects.filter(pk=theirs.pk).update(public=True)
    html = client.get(run.get_absolute_url()).content.decode()
    assert "resembles secret patients." in _words(html)
    assert f"/data/{theirs.pk}/preview/" in html


def test_variations_are_told_as_such(owner: User, run: Run, db: None) -> None:
    told = [{"dataset": "mnist--classes3--n500", "distance": 123.4, "alc": 0.9}]
    found = choice.explained([{"event": "chosen", "row": "x", "resembles": told}], owner)
    assert found is not None
    assert (found.nearest.name, found.nearest.part) == ("mnist", "(3 classes, 500 examples)")
    assert found.second is None


def test_names_are_escaped(owner_client: Any, run: Run) -> None:
    evil = "<img src=x onerror=alert(1)>"
    _choose(run, [{"dataset": evil, "distance": 0.1, "alc": 0.9}], row=evil)
    assert evil not in owner_client.get(run.get_absolute_url()).content.decode()


@pytest.mark.parametrize("modality", ["image", "tabular"])
def test_it_costs_few_queries(
    owner: User,
    administrator: User,
    run: Run,
    make_dataset: Any,
    modality: str,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    known = make_dataset(administrator, modality, public=True, starter=True, raw_name="mnist.zip")
    Lesson.objects.create(dataset=known, name=name_of(known), modality=modality, score={})
    _choose(run, [TOLD[0], {"dataset": name_of(known), "distance": 0.5, "alc": 0.5}])
    with django_assert_max_num_queries(8):
        shown = page.payload(Run.objects.select_related("dataset").get(pk=run.pk), owner)
    assert "thumbs" in shown["regions"]["choice"]
