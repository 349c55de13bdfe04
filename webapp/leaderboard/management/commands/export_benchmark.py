"""``manage.py export_benchmark OUT``: the page /benchmark as a folder of static files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.leaderboard.benchmark import export


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("out", type=Path, metavar="OUT")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            export(options["out"])
        except FileExistsError as error:
            raise CommandError(f"{options['out']} is there already; name a new folder.") from error
        except FileNotFoundError as error:
            raise CommandError("No benchmark is published yet; publish one with publish_benchmark.") from error
        self.stdout.write(f"Written; open {options['out'] / 'index.html'}.")
