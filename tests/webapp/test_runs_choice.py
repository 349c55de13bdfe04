"""Which configurations a run tries, in which order, why, and what it left out, as its page says it."""

from __future__ import annotations

from typing import Any

import pytest

from automl_engine.run import events
from webapp.accounts.models import User
from webapp.runs import start
from webapp.runs.models import Run
from webapp.runs.pages import choice

OURS = [{"row": name, "place": "measured"} for name in ("image_linear", "image_lite")]
NUMBERS = {"known_sets": 11, "all_known_sets": 73}


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


def order(*rows: dict[str, str], left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    reasons = [{"row": name, "reason": "it needs weights"} for name in left_out]
    return {"event": "order", "rows": list(rows), "left_out": reasons, **NUMBERS}


def test_the_sentence_tells_what_comes_why_and_what_not() -> None:
    told = choice.explained([order(*OURS, left_out=("image_mobilenet",))])
    assert told == choice.Choice(
        "The engine tries image_linear and image_lite in this order: the fixed order that no other beat on average "
        "over 73 known data sets, 11 of them of this kind.",
        [("image_mobilenet", "it needs weights")],
    )


def test_what_an_administrator_added_has_a_reason_of_its_own() -> None:
    added = {"row": "mine", "place": "early"}, {"row": "a", "place": "last"}, {"row": "b", "place": "last"}
    told = choice.explained([order(OURS[0], added[0], OURS[1], *added[1:])])
    assert told is not None
    assert told.sentence.startswith("The engine tries image_linear, mine, image_lite, a and b in this order: the fixed")
    assert told.sentence.endswith("; mine early in this run to measure the gain; a and b last since no gain is known.")
    given = choice.explained([order({"row": "mine", "place": "given"}, {"row": "other", "place": "given"})])
    assert given is not None
    assert given.sentence == "The engine tries mine and other in this order: mine and other as set by an administrator."
    alone = choice.explained([order(OURS[0])])
    assert alone is not None
    assert alone.sentence == "The engine tries image_linear, the only configuration that can run here."


def test_what_failed_or_came_too_late_is_named_at_the_end() -> None:
    begun = [order(*OURS, {"row": "late", "place": "measured"})]
    begun += [{"event": "chosen", "row": told["row"], "reason": ""} for told in OURS]
    begun += [{"event": "failed", "what": "image_lite", "error": "no memory"}, {"event": "failed", "what": "save"}]
    during, after = choice.explained(begun), choice.explained([*begun, {"event": "finished", "reason": "done"}])
    assert during is not None
    assert after is not None
    assert during.left_out == [("image_lite", "it failed")]
    assert after.left_out == [("image_lite", "it failed"), ("late", "the run ended before its turn")]
    assert after.sentence.startswith("The engine tried image_linear and image_lite in this order")


def test_the_page_tells_it_live_and_escapes_names(
    owner_client: Any, owner: User, make_dataset: Any, make_run: Any
) -> None:
    run = make_run(make_dataset(owner), state="running")
    address, evil = f"/runs/{run.pk}/state", "<img src=x onerror=alert(1)>"
    assert "The engine" not in owner_client.get(address).json()["regions"]["choice"]
    rows = [*OURS, {"row": evil, "place": "last"}]
    events.append(
        run.dir / "events.jsonl", "order", t=0.1, rows=rows, left_out=[{"row": evil, "reason": evil}], **NUMBERS
    )
    part = owner_client.get(address).json()["regions"]["choice"]
    assert "The engine tries image_linear, image_lite and &lt;img" in part
    assert "<li>&lt;img" in part
    assert evil not in owner_client.get(run.get_absolute_url()).content.decode()


def test_journals_of_earlier_versions_still_show(
    owner_client: Any, owner: User, make_dataset: Any, make_run: Any
) -> None:
    """There the order was chosen by data sets that the run's data resembled."""
    run: Run = make_run(make_dataset(owner))
    near = [{"dataset": "site-0123456789ab", "source": "site-0123456789ab", "distance": 0.3, "alc": 0.9}]
    about = {"row": "resnet9", "by": "resemblance", "resembles": near}
    journal = run.dir / "events.jsonl"
    events.append(journal, "chosen", t=0.4, reason="your data resembles site-0123456789ab", **about)
    events.append(journal, "note", t=0.5, text="Known data: your data resembles mnist.", **about)
    page = owner_client.get(run.get_absolute_url()).content.decode()
    assert "chose “resnet9”, which did best on similar data" in page
    assert "site-0123456789ab" not in page
    assert 'id="choice-title"' not in page
