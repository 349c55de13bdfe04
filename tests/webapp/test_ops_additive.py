"""What a migration may do while processes of the earlier version run, and that a start beside them refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from webapp.ops import additive

BEFORE = {"accounts": 5, "api": 3, "datasets": 7, "guide": 1, "ops": 1, "portfolio": 7, "runs": 11}
"""The last migration of each app from the time when a new version was only started after the old one had stopped."""


def of(*steps: Any, **attributes: Any) -> Migration:
    return type("Migration", (Migration,), {"operations": list(steps), **attributes})("0009_new", "runs")


def found(*steps: Any, **attributes: Any) -> list[str]:
    return list(additive.changes(of(*steps, **attributes)))


def test_every_new_migration_only_adds() -> None:
    """Else processes of the version before fail while a new one starts: webapp/ops/additive.py says what to do."""
    ours = [one for one in MigrationLoader(None).disk_migrations.values() if type(one).__module__.startswith("webapp.")]
    new = [one for one in ours if int(one.name[:4]) > BEFORE.get(one.app_label, 0)]
    assert len(ours) - len(new) == sum(BEFORE.values())
    assert "accounts.0006_mail_about_sharing" in {f"{one.app_label}.{one.name}" for one in new}
    assert not [sentence for one in new for sentence in additive.changes(one)]


FIELDS = [
    (models.IntegerField(null=True), True),
    (models.IntegerField(default=0, db_default=0), True),
    (models.IntegerField(default=0), False),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("field", "fits"), FIELDS)
def test_the_rule_for_columns_is_that_of_the_database(field: models.Field, fits: bool) -> None:
    """An earlier version writes a row without the new column."""
    step = operations.AddField("thing", "new", field)
    assert bool(found(step)) != fits
    state = ProjectState()
    first = operations.CreateModel("thing", [("id", models.AutoField(primary_key=True)), ("old", models.TextField())])
    first.state_forwards("ops", state)
    later = state.clone()
    step.state_forwards("ops", later)
    earlier = state.apps.get_model("ops", "thing")
    with connection.schema_editor() as editor:
        first.database_forwards("ops", editor, ProjectState(), state)
        step.database_forwards("ops", editor, state, later)
    try:
        if fits:
            earlier.objects.create(old="x")
        else:
            with pytest.raises(IntegrityError):
                earlier.objects.create(old="x")
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(earlier)


def test_what_takes_away_is_named() -> None:
    assert found(operations.RemoveField("run", "title")) == ["runs.0009_new: Remove field title from run."]
    assert found(operations.RenameField("run", "title", "name"))
    assert found(operations.DeleteModel("Run"))
    assert found(operations.AlterField("run", "title", models.CharField(max_length=9)))
    assert found(operations.RunSQL("DROP TABLE x"))
    assert found(operations.SeparateDatabaseAndState([operations.DeleteModel("Run")]))
    assert not found(operations.SeparateDatabaseAndState([], [operations.DeleteModel("Run")]))
    assert not found(operations.AddIndex("run", models.Index(fields=["title"], name="x")))
    assert not found(
        operations.RemoveField("run", "title"), beside_earlier="no code has read it since the last version"
    )


@pytest.mark.django_db
def test_a_start_beside_another_refuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [(of(operations.RemoveField("run", "title")), False)]
    monkeypatch.setattr(additive.MigrationExecutor, "migration_plan", lambda *_: plan)
    with pytest.raises(CommandError, match=r"Stop the site first.*Remove field title from run"):
        call_command("prepare", "--beside")
