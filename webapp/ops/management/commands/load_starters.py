"""``manage.py load_starters``: the starter data sets that are missing, through the same conversion as any upload."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from webapp import store
from webapp.accounts.models import User
from webapp.datasets import jobs
from webapp.datasets.models import Dataset
from webapp.datasets.storage import remove
from webapp.ops.management.commands.prepare import LOADING, one_at_a_time
from webapp.ops.starters import STARTERS, Starter


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.filter(is_superuser=True).order_by("id").first()
        assert owner is not None, "manage.py prepare makes the first administrator"
        with one_at_a_time(LOADING):
            for key, starter in STARTERS.items():
                if not _mark(key).exists() and not _is_there(starter):
                    load(key, starter, owner)


def _mark(key: str) -> Path:
    """Loaded once: a starter data set that an administrator deleted stays deleted."""
    return settings.DATA_DIR / "starters" / key


def _is_there(starter: Starter) -> bool:
    """Another machine, or one whose disk is gone, has loaded it."""
    return Dataset.objects.filter(starter=True, raw_name=starter.file_name).exists()


def load(key: str, starter: Starter, owner: User) -> Dataset:
    """Make the raw file in a process of its own, then a row, then queue the conversion."""
    dataset = Dataset(
        owner=owner,
        name=starter.title,
        description=starter.description,
        modality=starter.modality,
        raw_name=starter.file_name,
        options={"modality": starter.modality},
        public=True,
        starter=True,
    )
    dataset.raw_path.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "webapp.ops.starters", key, str(dataset.raw_path)]
    try:
        subprocess.run(command, check=True, cwd=settings.BASE_DIR)
        dataset.size_bytes = dataset.raw_path.stat().st_size
        store.push(dataset.dir / "raw")
        with transaction.atomic():
            dataset.save()
            jobs.enqueue(dataset)
            _mark(key).parent.mkdir(exist_ok=True)
            _mark(key).touch()
    except BaseException:
        remove(dataset.dir)
        raise
    return dataset
