"""Known data sets: samples of them, and which of their classes look like those of a new one."""

from pathlib import Path

TABLES = Path(__file__).parent / "tables"
