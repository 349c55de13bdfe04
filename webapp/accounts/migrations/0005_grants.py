import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_notices"),
        ("datasets", "0007_source_url"),
        ("runs", "0008_shared_link"),
    ]

    operations = [
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "email",
                    models.EmailField(help_text="as the owner typed it, in small letters", max_length=254),
                ),
                (
                    "level",
                    models.PositiveSmallIntegerField(choices=[(1, "view"), (2, "use"), (3, "edit")]),
                ),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "dataset",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="datasets.dataset",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="runs.run"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        help_text="empty: not known here",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ("email",),
                "constraints": [
                    models.UniqueConstraint(fields=("dataset", "email"), name="grant_of_dataset"),
                    models.UniqueConstraint(fields=("run", "email"), name="grant_of_run"),
                    models.CheckConstraint(
                        condition=models.Q(("dataset", None), ("run__isnull", False))
                        | models.Q(("dataset__isnull", False), ("run", None)),
                        name="grant_of_one_thing",
                    ),
                ],
            },
        ),
    ]
