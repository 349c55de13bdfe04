"""``manage.py publish_benchmark OUT``: shows what ``python -m automl_engine bench`` left in OUT on /benchmark."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.leaderboard.benchmark import publish


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("out", type=Path, metavar="OUT")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            publish(options["out"])
        except FileNotFoundError as error:
            raise CommandError(f"{options['out']} is not what bench writes: {error.filename} is missing.") from error
        self.stdout.write("Published; it stands on /benchmark now.")
