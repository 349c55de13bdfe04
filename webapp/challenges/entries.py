"""Making an entry: a file that is scored at once, or a run whose end brings the score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from django.db import transaction
from django.db.models import Max

from webapp import engine
from webapp.accounts.models import User
from webapp.challenges import predictions, rules, scores
from webapp.challenges.models import Challenge, Entry
from webapp.filenames import safe_name
from webapp.runs import start, words
from webapp.runs.models import Run


class Refused(Exception):
    """``str`` is one sentence for the participant."""


def labels(challenge: Challenge) -> list[str]:
    return [label["name"] for label in challenge.dataset.report["labels"]]


def submit_file(challenge: Challenge, user: User, file: IO[bytes], size_bytes: int, name: str) -> Entry:
    """Raises Refused: by a rule, or since the file is not right; neither counts."""
    _check(challenge, user)  # before the work; what counts is the check below
    parts = scores.parts(challenge)
    try:
        sent = predictions.read(file, size_bytes, labels(challenge), len(parts.solution))
    except engine.DataError as error:
        raise Refused(str(error)) from error
    public, final = parts.naucs(parts.in_order(sent))
    with _one_more(challenge, user) as entry:
        entry.note, entry.public_nauc, entry.final_nauc = safe_name(name)[:200], public, final
    return entry


def submit_run(challenge: Challenge, user: User, *, budget_s: int, model: str, seed: int = 0) -> Entry:
    """The run, and the room that it takes, are the organiser's; it counts against the participant's runs.

    Raises:
        Refused: by a rule, or the run cannot start.
    """
    if not challenge.runs_allowed:
        raise Refused("This challenge takes files only.")
    host = challenge.dataset.owner
    with _one_more(challenge, user) as entry:
        try:
            run = start.create_run(challenge.dataset, user, budget_s=budget_s, model=model, seed=seed, host=host)
        except start.StartError as reason:
            raise Refused(str(reason)) from reason
        entry.run, entry.state = run, Entry.State.WAITING
        chosen = "models chosen by the engine" if model == "auto" else model
        entry.note, entry.created = f"{chosen}, {words.duration(budget_s)}", run.created
    return entry


def choose(entry: Entry) -> None:
    """From now on this one counts on the final board."""
    mine = Entry.objects.filter(challenge=entry.challenge_id, user=entry.user_id)
    with transaction.atomic():
        mine.exclude(pk=entry.pk).update(chosen=False)
        mine.filter(pk=entry.pk).update(chosen=True)


def delete(challenge: Challenge) -> None:
    """What participants entered stays theirs; what still trains ends without a score."""
    waiting = Run.objects.filter(entry__challenge=challenge, state__in=Run.OPEN)
    with transaction.atomic():
        for run in waiting:
            run.delete()
        challenge.delete()


def _check(challenge: Challenge, user: User) -> None:
    if why := rules.refusal(challenge, user):
        raise Refused(why)


@contextmanager
def _one_more(challenge: Challenge, user: User) -> Iterator[Entry]:
    """A new entry, saved at the end; two at once cannot pass a limit."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        challenge = rules.Challenges.get(pk=challenge.pk)
        _check(challenge, user)
        last = Entry.objects.filter(challenge=challenge, user=user).aggregate(last=Max("number"))["last"]
        entry = Entry(challenge=challenge, title=challenge.title, user=user, number=(last or 0) + 1)
        yield entry
        entry.save(force_insert=True)
