from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import migrations, models


def know_the_passwords(apps: Any, schema_editor: Any) -> None:
    """Tokens made earlier go on until the next change of the password."""
    user_class = get_user_model()
    for token in apps.get_model("api", "ApiToken").objects.select_related("owner"):
        token.session_hash = user_class(password=token.owner.password).get_session_auth_hash()
        token.save(update_fields=["session_hash"])


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0001_tokens"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            "apitoken",
            "session_hash",
            models.CharField(
                default="", help_text="changes with the owner's password, as for sessions", max_length=128
            ),
            preserve_default=False,
        ),
        migrations.RunPython(know_the_passwords, migrations.RunPython.noop),
    ]
