"""Each row that is there already gets the beginning of its history."""

from typing import Any

from django.db import migrations

CONTENT = ("modality", "model", "params", "origin", "position")


def begin(apps: Any, schema_editor: Any) -> None:
    change = apps.get_model("portfolio", "RowChange")
    change.objects.bulk_create(
        change(
            row=row,
            version=row.version,
            what="as it was when its history began",
            content={name: getattr(row, name) for name in CONTENT},
        )
        for row in apps.get_model("portfolio", "PortfolioRow").objects.all()
    )


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0003_scores_and_history")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
