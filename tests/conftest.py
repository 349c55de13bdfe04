"""What all tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets (marker ``data``); the test is skipped where it is not."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    path = Path(os.environ.get("AUTODL_TEST_DATA", default))
    if not path.is_dir():
        pytest.skip(f"the real data sets are not at {path}; set AUTODL_TEST_DATA to their folder")
    return path


def pytest_sessionfinish() -> None:
    """Remove the scratch DATA_DIR that the settings made for this session."""
    from django.conf import settings

    if settings.configured and settings.TESTING:
        shutil.rmtree(settings.DATA_DIR, ignore_errors=True)
