"""How to improve the result: each sentence only when its numbers say so."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.runs.models import ScorePoint
from webapp.runs.pages.advice import advices

REPORT = {"labels": [{"name": name, "train": train} for name, train in (("a", 100), ("b", 100), ("c", 10))]}


def points(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"t": t, "nauc": nauc} for t, nauc in pairs]


def results(recalls: tuple[float, ...] = (0.9, 0.9, 0.9), sure: int = 0) -> dict[str, Any]:
    classes = [{"label": name, "n": 10, "recall": recall} for name, recall in zip("abc", recalls, strict=True)]
    return {"classes": classes, "mistakes": [{"confidence": 0.99}] * sure + [{"confidence": 0.6}]}


def sentences(*told: Any) -> list[str]:
    return [advice.sentence for advice in advices(*told)]


def test_nothing_to_say() -> None:
    assert sentences(60, points((1, 0.5), (20, 0.9), (58, 0.9)), results(), REPORT) == []


def test_more_time_while_it_was_rising() -> None:
    rising = points((1, 0.5), (20, 0.7), (58, 0.8))
    assert sentences(60, rising, None, REPORT) == ["The score was still improving at the end: train for 5 min."]
    assert sentences(1200, points((1, 0.5), (1190, 0.8)), None, REPORT) == []  # there is no longer budget
    assert sentences(60, points((1, 0.5), (31, 0.8)), None, REPORT) == []  # nothing new at its end


def test_more_samples_of_a_rare_class_that_it_misses() -> None:
    (sentence,) = sentences(60, [], results((0.9, 0.9, 0.2)), REPORT)
    assert "“c”: the training set has only 10," in sentence
    assert "20\N{NO-BREAK SPACE}%" in sentence
    assert sentences(60, [], results((0.9, 0.2, 0.9)), REPORT) == []  # hard, but not rare


@pytest.mark.parametrize(("sure", "said"), [(0, False), (2, False), (3, True)])
def test_confident_mistakes_may_be_wrong_labels(sure: int, said: bool) -> None:
    assert bool(sentences(60, [], results(sure=sure), REPORT)) == said


def test_doubles_across_the_split() -> None:
    (sentence,) = sentences(60, [], results(), REPORT | {"duplicates": {"across_split": 2}})
    assert sentence.startswith("Remove the duplicates: 2 samples are in both")


def test_the_page_tells_those_who_see_the_data(
    owner: Any, make_dataset: Any, make_run: Any, owner_client: Any, client: Any
) -> None:
    run = make_run(make_dataset(owner), public=True)
    assert "How to improve the result" in owner_client.get(run.get_absolute_url()).content.decode()
    assert "How to improve the result" not in client.get(run.get_absolute_url()).content.decode()


def test_run_again_and_learn_longer_are_buttons(
    owner: Any, make_dataset: Any, make_run: Any, owner_client: Any, stranger_client: Any
) -> None:
    run = make_run(make_dataset(owner, public=True), public=True, seed=3, teaches=True)
    run.points.all().delete()
    for k, (t, nauc) in enumerate([(1, 0.5), (19, 0.9)]):
        ScorePoint.objects.create(run=run, k=k, t=t, nauc=nauc, alc=nauc)
    html = owner_client.get(run.get_absolute_url()).content.decode()
    assert 'form="again" name="budget_s" value="60">Learn longer: 1 min</button>' in html
    assert 'name="budget_s" value="20" title="The same settings: 20 s, seed 3">Run again</button>' in html
    assert 'name="teaches" value="1"' in html
    theirs = stranger_client.get(run.get_absolute_url()).content.decode()
    assert "Run again" in theirs
    assert 'name="teaches" value="0"' in theirs[: theirs.index("Run again")]  # the owner's consent is not theirs
    order = {"budget_s": "60", "model": run.model, "seed": "3", "teaches": "1"}
    owner_client.post(f"/data/{run.dataset_id}/learn", order)
    assert run.dataset.runs.filter(budget_s=60, seed=3, teaches=True).count() == 1
