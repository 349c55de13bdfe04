from typing import Any

from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    name = "webapp.portfolio"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import pre_delete

        from webapp.runs.models import Run

        pre_delete.connect(_forget_private, sender=Run, dispatch_uid="what a deleted run shared")


def _forget_private(instance: Any, **_: Any) -> None:
    """What a run on public data told of a row outlives it; of private data nothing is left."""
    from webapp.runs import teaching

    if type(instance).objects.filter(pk=instance.pk, dataset__public=False).exists():
        teaching.forget(instance)
