from typing import Any

from django.apps import AppConfig
from django.db import transaction


class DatasetsConfig(AppConfig):
    name = "webapp.datasets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete, pre_delete

        from webapp.datasets.models import Dataset, Upload
        from webapp.portfolio.models import PortfolioRow
        from webapp.runs.models import Prediction, Run

        pre_delete.connect(_pass_children_on, sender=Dataset, dispatch_uid="versions")
        for model in (Upload, Dataset, Run, Prediction, PortfolioRow):
            post_delete.connect(_remove_files, sender=model, dispatch_uid=f"files of {model.__name__}")


def _remove_files(instance: Any, **_: Any) -> None:
    """However a row is deleted (page, API, admin, cascade), its files go with it."""
    from webapp.datasets.models import Dataset, Upload
    from webapp.datasets.storage import measure_versions, remove_on_commit

    place = instance.path if isinstance(instance, Upload) else getattr(instance, "folder", None)
    remove_on_commit(place or instance.dir)
    if isinstance(instance, Dataset):
        first = Dataset(pk=instance.pk, family=instance.family)
        transaction.on_commit(lambda: measure_versions(first), robust=True)  # the upload's files count for another now


def _pass_children_on(instance: Any, **_: Any) -> None:
    """The versions made from one that goes come from the one before it."""
    type(instance).objects.filter(parent=instance).update(parent=instance.parent_id)
