"""Saving a row so that what it was before is not lost: each change is kept with who made it and what it did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from webapp.accounts.models import User
from webapp.portfolio.models import PortfolioRow, RowChange

LEARNED_WITH = ("modality", "model", "params")  # a change of these makes a new version: old scores are of another row
CONTENT = (*LEARNED_WITH, "origin", "position")


def content_of(row: PortfolioRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CONTENT}


@transaction.atomic
def keep(row: PortfolioRow, by: User | None, why: str = "") -> RowChange | None:
    """Save the row and note the change; None when there was none.

    Args:
        by: the administrator; None for the shipped files.
        why: what happened, where the difference itself does not tell it.
    """
    old = PortfolioRow.objects.select_for_update().filter(pk=row.pk).first()
    told = list(_differences(old, row)) if old else ["added"]
    if not told:
        return None
    if old and any(getattr(old, name) != getattr(row, name) for name in LEARNED_WITH):
        row.version = old.version + 1
    row.save()
    what = f"{why}: {', '.join(told)}" if why and old else why or ", ".join(told)
    return RowChange.objects.create(row=row, by=by, what=what, version=row.version, content=content_of(row))


def restore(change: RowChange, by: User) -> RowChange | None:
    """Give the row the content that it had after ``change``; nothing is lost by it, and the switch stays."""
    row = change.row
    for name in CONTENT:
        setattr(row, name, change.content[name])
    row.edited = True
    return keep(row, by, f"restored as of {change.made:%Y-%m-%d %H:%M}")


def _differences(old: PortfolioRow, new: PortfolioRow) -> Iterator[str]:
    for name in ("modality", "model", "position"):
        if getattr(old, name) != getattr(new, name):
            yield f"{name} {getattr(old, name)} → {getattr(new, name)}"
    for key in {**old.params, **new.params}:
        if key not in new.params:
            yield f"without {key} (was {old.params[key]})"
        elif key not in old.params:
            yield f"{key} = {new.params[key]}"
        elif old.params[key] != new.params[key]:
            yield f"{key} {old.params[key]} → {new.params[key]}"
    if old.origin != new.origin:
        yield "origin rewritten"
    if old.enabled != new.enabled:
        yield "switched on" if new.enabled else "switched off"
