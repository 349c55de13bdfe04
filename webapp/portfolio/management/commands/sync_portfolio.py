"""``manage.py sync_portfolio``: the rows of automl_engine/portfolio/*.yaml into the database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from webapp.portfolio.rows import synchronise


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        counts = synchronise()
        if options["verbosity"] and any(counts.values()):
            self.stdout.write("Portfolio: " + ", ".join(f"{count} rows {what}" for what, count in counts.items()))
