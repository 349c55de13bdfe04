"""``manage.py doctor``: what is wrong with this site, and the command that fixes it; exit code 1 if anything is."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from webapp.ops.health import doctor


class Command(BaseCommand):
    help = "Say what is wrong with this site, and the command that fixes it."
    requires_system_checks = ()  # it speaks when nothing else does

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        for finding in doctor.examine():
            wrong += bool(finding.fix)
            self.stdout.write(f"{'WRONG' if finding.fix else 'ok':5}  {finding.part:10} {finding.sentence}")
            if finding.fix:
                self.stdout.write(f"{'fix it with:':>18} {finding.fix}")
        self.stdout.write(f"{wrong} wrong." if wrong else "Nothing is wrong.")
        sys.exit(bool(wrong))
