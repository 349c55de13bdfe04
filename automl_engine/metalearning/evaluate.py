"""Being built."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""


def main(options: argparse.Namespace) -> int:
    """Runs the verb."""
    raise NotImplementedError
