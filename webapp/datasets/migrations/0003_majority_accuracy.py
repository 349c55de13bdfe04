from typing import Any

from django.db import migrations, models

STATES = [
    ("queued", "waiting to be checked"),
    ("converting", "being checked and converted"),
    ("ready", "ready"),
    ("failed", "could not be read"),
]


def fill(apps: Any, schema_editor: Any) -> None:
    """For the data sets that were converted before."""
    from webapp.datasets.models import Dataset as Current
    from webapp.datasets.report import majority_accuracy

    for dataset in apps.get_model("datasets", "Dataset").objects.filter(state="ready"):
        if (Current(id=dataset.id).autodl_dir / "report.json").exists():
            dataset.majority_accuracy = majority_accuracy(Current(id=dataset.id).report)
            dataset.save(update_fields=["majority_accuracy"])


class Migration(migrations.Migration):
    dependencies = [("datasets", "0002_offset_from_file")]

    operations = [
        migrations.AddField(
            model_name="dataset",
            name="majority_accuracy",
            field=models.FloatField(null=True, help_text="test accuracy of always predicting the most common class"),
        ),
        migrations.AlterField(
            model_name="dataset",
            name="state",
            field=models.CharField(choices=STATES, default="queued", max_length=12),
        ),
        migrations.AlterField(
            model_name="dataset",
            name="progress",
            field=models.CharField(blank=True, help_text="current step of the conversion", max_length=200),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
