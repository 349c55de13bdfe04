from typing import Any

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "webapp.datasets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from webapp.datasets.models import Dataset, Upload
        from webapp.runs.models import Run

        for model in (Upload, Dataset, Run):
            post_delete.connect(_remove_files, sender=model, dispatch_uid=f"files of {model.__name__}")


def _remove_files(instance: Any, **_: Any) -> None:
    from webapp.datasets.storage import remove_files

    remove_files(instance)
