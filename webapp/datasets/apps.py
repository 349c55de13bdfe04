from typing import Any

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "webapp.datasets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from webapp.datasets.models import Dataset, Upload
        from webapp.portfolio.models import PortfolioRow
        from webapp.runs.models import Prediction, Run

        for model in (Upload, Dataset, Run, Prediction, PortfolioRow):
            post_delete.connect(_remove_files, sender=model, dispatch_uid=f"files of {model.__name__}")


def _remove_files(instance: Any, **_: Any) -> None:
    """However a row is deleted (page, API, admin, cascade), its files go with it."""
    from webapp.datasets.models import Upload
    from webapp.datasets.storage import remove_on_commit

    remove_on_commit(instance.path if isinstance(instance, Upload) else instance.dir)
