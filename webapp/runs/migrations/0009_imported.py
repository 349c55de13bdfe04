from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0008_shared_link"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="imported",
            field=models.CharField(
                blank=True,
                help_text="from another site: SHA-256 of the test labels that scored it, or “?”",
                max_length=64,
            ),
        ),
    ]
