"""Names of files that users chose, made safe for a file system and for a header."""

from __future__ import annotations

import os

NAME_MAX_BYTES = 180  # file systems allow 255


def safe_name(name: str) -> str:
    """The bare file name: no directories, no control characters, short enough for any file system."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    base = "".join(letter for letter in base if letter.isprintable()).strip(". ")
    stem, suffix = os.path.splitext(base)
    suffix = suffix.encode()[:20].decode(errors="ignore")
    stem = stem.encode()[: NAME_MAX_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem + suffix or "upload"
