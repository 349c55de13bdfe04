from typing import Any

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "webapp.runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import pre_delete

        from webapp.runs.models import Run

        pre_delete.connect(_keep_charge, sender=Run, dispatch_uid="charge of a deleted run")


def _keep_charge(instance: Any, origin: Any = None, **_: Any) -> None:
    """A deleted run stays charged, unless its owner goes too (``origin``: the object or query set deleted)."""
    from webapp.accounts.models import User
    from webapp.runs.models import SpentRun

    if instance.charged and getattr(origin, "model", type(origin)) is not User:
        SpentRun.objects.create(owner_id=instance.owner_id, created=instance.created)
