from django.db import migrations, models


class Migration(migrations.Migration):
    """Tokens made earlier keep every right and do not expire."""

    dependencies = [("api", "0002_session_hash")]

    operations = [
        migrations.AddField(
            "apitoken",
            "scopes",
            models.CharField(default="read run write", help_text="what it may do, separated by spaces", max_length=40),
        ),
        migrations.AddField("apitoken", "expires", models.DateTimeField(null=True)),
    ]
