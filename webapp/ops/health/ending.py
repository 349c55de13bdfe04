"""What this web process knows about its own end; the web server says it (services/web.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Ending:
    """Both stay true once they are."""

    told: bool = False
    """It was told to stop: /readyz says so, and a balancer sends nothing more."""
    closed: bool = False
    """It takes no new connections: live pages are sent to the next process."""


ending = Ending()
