"""``manage.py sync_portfolio``: the engine's rows and its score table into the database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from webapp.portfolio.rows import synchronise
from webapp.portfolio.scores import import_scores


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        counts = synchronise()
        if options["verbosity"] and any(counts.values()):
            self.stdout.write("Portfolio: " + ", ".join(f"{count} rows {what}" for what, count in counts.items()))
        scored = import_scores()
        if options["verbosity"] and scored:
            self.stdout.write(f"Portfolio: {scored} lines of the score table")
