"""``manage.py move_to_store``: copy the files of a stopped site into the store of STORAGE_URL, and compare them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.ops.health import doctor
from webapp.sizes import size
from webapp.store import StoreError, copies, moving


class Command(BaseCommand):
    help = "Copy the files of this stopped site into the store of STORAGE_URL; repeat it if it is interrupted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--drop", action="store_true", help="then delete the local files")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.STORAGE_URL:
            raise CommandError("Set STORAGE_URL to the store first, such as s3://BUCKET/FOLDER.", returncode=2)
        if doctor.is_running():
            raise CommandError("Stop the site first: it would go on writing files.", returncode=2)
        try:
            moved = moving.move()
        except StoreError as error:
            raise CommandError(f"{error} Local files are all kept.", returncode=2) from None
        for folder in reversed(list(moving.folders()) if options["drop"] else []):  # what lies in a folder goes first
            copies.drop(folder)
        took = f"{moved.folders} folders ({moved.files} files, {size(moved.size_bytes)})"
        kept = "deleted" if options["drop"] else "kept as copies"
        self.stdout.write(
            f"Copied {took} to {settings.STORAGE_URL} and read them back without a difference; {moved.before} were "
            f"there already, and the local files are {kept}."
        )
