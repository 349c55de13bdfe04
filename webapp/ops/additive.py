"""Whether an earlier version of the site can go on while the tables become those of this one.

It can if a migration only adds: what the earlier version reads and writes is then still there.  It writes rows without
the new columns, so these must be nullable, or have a default in the database (``db_default``; Django's ``default``
is not known there).  Whoever takes something away does it a version later than the code that used it, and says in the
migration why nobody misses it: ``beside_earlier = "no code has read it since ..."``.
What remains: the earlier version cannot delete a row to which one of a new table refers; it answers with an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db import connection
from django.db.migrations import Migration, operations
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

HARMLESS = (
    operations.CreateModel,
    operations.AddIndex,
    operations.RemoveIndex,
    operations.RenameIndex,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
)


def obstacles() -> list[str]:
    """Of the migrations that this database lacks, a sentence for each step that an earlier version cannot live with."""
    executor = MigrationExecutor(connection)
    if not executor.loader.applied_migrations:  # no version has been here
        return []
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [sentence for migration, _ in plan for sentence in changes(migration)]


def changes(migration: Migration) -> Iterator[str]:
    """The steps that do more than add."""
    if not getattr(migration, "beside_earlier", ""):
        steps = list(_database_steps(migration.operations))
        new = {step.name_lower for step in steps if isinstance(step, operations.CreateModel)}
        for step in steps:
            if not _adds(step) and getattr(step, "model_name_lower", "") not in new:
                yield f"{migration.app_label}.{migration.name}: {step.describe()}."


def _database_steps(steps: Sequence[Operation]) -> Iterator[Operation]:
    for step in steps:
        if isinstance(step, operations.SeparateDatabaseAndState):
            yield from _database_steps(step.database_operations)
        else:
            yield step


def _adds(step: Operation) -> bool:
    if isinstance(step, operations.AddField):
        field = step.field
        return field.null or field.many_to_many or field.db_default is not NOT_PROVIDED
    return isinstance(step, HARMLESS)
