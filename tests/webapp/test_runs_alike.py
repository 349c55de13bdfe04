"""Which known class each of a data set's looks most like: made once by a job, told on the run page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webapp import engine
from webapp.accounts.models import User
from webapp.datasets import report
from webapp.datasets.models import Dataset
from webapp.runs import ending
from webapp.runs.jobs import compare
from webapp.runs.models import Run
from webapp.runs.pages import alike

TOLD = [
    {"label": "wolf", "dataset": "cats_dogs", "known_label": "dog", "distance": 0.912},
    {"label": "<b>tiger", "dataset": "cifar10", "known_label": "cat", "distance": 1.5},
    {"label": "lynx", "dataset": "cifar10", "known_label": "cat", "distance": 1.6},
]


def write(dataset: Dataset, lines: list[dict[str, Any]]) -> None:
    alike.path(dataset).write_text(json.dumps({"alike": lines}))


def shown(html: str) -> str:
    """The section as it is read; empty if it is not there."""
    if 'id="alike-title"' not in html:
        return ""
    start = html.index('id="alike-title"')
    text = "".join(piece.split(">", 1)[-1] for piece in html[start : html.index("</section>", start)].split("<"))
    return " ".join(text.split())


def test_it_is_told_modestly(owner: User, owner_client: Any, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner))
    assert shown(owner_client.get(run.get_absolute_url()).content.decode()) == ""
    write(run.dataset, TOLD)
    html = owner_client.get(run.get_absolute_url()).content.decode()
    words = shown(html)
    assert "Your class wolf looks most like dog of cats_dogs. Details" in words
    assert '<th scope="row">&lt;b&gt;tiger</th><td>cat <span class="quiet">of cifar10</span></td>' in html
    assert "A guess from the appearance" in words
    assert "wolf" in owner_client.get(f"/runs/{run.pk}/state").json()["regions"]["choice"]
    write(run.dataset, [])
    assert shown(owner_client.get(run.get_absolute_url()).content.decode()) == ""


def test_a_known_set_has_its_name_here_for_those_who_see_it(
    client: Any, owner: User, administrator: User, make_dataset: Any, make_run: Any
) -> None:
    known = make_dataset(administrator, public=True, name="Pets", raw_name="cats_dogs.zip")
    run = make_run(make_dataset(owner, public=True), public=True)
    write(run.dataset, TOLD[:1])
    html = client.get(run.get_absolute_url()).content.decode()
    assert "The class wolf looks most like dog of Pets." in shown(html)
    assert f'href="/data/{known.pk}"' in html
    Dataset.objects.filter(pk=known.pk).update(public=False)
    assert "dog of cats_dogs" in shown(client.get(run.get_absolute_url()).content.decode())


@pytest.mark.parametrize(("modality", "asked"), [("image", True), ("tabular", False)])
def test_the_first_run_on_pictures_asks_for_it(
    modality: str, asked: bool, owner: User, make_dataset: Any, make_run: Any, jobs: list[Any]
) -> None:
    dataset = make_dataset(owner, modality)
    job = ("pack", "webapp.runs.jobs.compare", (dataset.pk,))
    ending.settle(make_run(dataset, state="queued", nauc=0.9), None)
    assert job not in jobs  # it has no prediction
    for count in (asked, asked):
        run = make_run(dataset, state="running")
        (run.dir / "scores.json").write_text('{"stopped": "done"}')
        ending.settle(run, 0)
        assert Run.objects.get(pk=run.pk).state == Run.State.FINISHED
        assert jobs.count(job) == count
        write(dataset, TOLD)


def test_the_job_makes_it_once(owner: User, make_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, made = make_dataset(owner), []

    def answer(data_dir: Path, modality: str, out_json: Path, _: Any) -> None:
        made.append((data_dir, modality, out_json))
        write(dataset, TOLD)

    monkeypatch.setattr(engine, "compare_classes", answer)
    for _ in range(2):
        compare(dataset.pk)
    compare("gone")
    assert made == [(dataset.autodl_dir, "image", alike.path(dataset))]
    assert "alike.json" in [name for _, name in report.download_members(dataset)]
