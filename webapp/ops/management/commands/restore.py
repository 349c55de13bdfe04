"""``manage.py restore IN``: rows and files of a backup, into a site that has none yet (an empty DATA_DIR)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import pluralize

from webapp.ops.backup import site
from webapp.ops.backup.store import BackupError


class Command(BaseCommand):
    help = "Put rows and files of a backup into a site that has none yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        try:
            manifest = site.restore(folder)
        except BackupError as error:
            raise CommandError(str(error), returncode=2) from None
        files = f"{len(manifest.files)} file{pluralize(manifest.files)}"
        self.stdout.write(f"Restored {files} and the rows of {manifest.made}. Start the site: make run")
