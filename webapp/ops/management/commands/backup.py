"""``manage.py backup OUT``: keep rows and files of this site in a folder; again into the same one, only what is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import pluralize

from webapp.ops.backup import site
from webapp.ops.backup.store import BackupError


class Command(BaseCommand):
    help = "Keep rows and files of this site in a folder; a further backup into it copies what is new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        try:
            manifest = site.backup(folder)
        except BackupError as error:
            raise CommandError(str(error), returncode=2) from None
        files = f"{len(manifest.files)} file{pluralize(manifest.files)}"
        self.stdout.write(f"Kept {files} and the rows of {manifest.made} in {folder}.")
        if settings.STORAGE_URL:
            self.stdout.write("Of the files in the store only local copies are among them: back up its bucket, too.")
