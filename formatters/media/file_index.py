"""Files by every way in which a table may name them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from formatters.split_words import part_of_path

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # Label Studio's, before the name of an uploaded file


class FileIndex:
    """Files by path or tail of the path; without extension, leading zeros or regard to case and normal form."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._loose: dict[str, list[str]] = {}
        self._part_of = {path: part_of_path(path.rpartition("/")[0]) for path in paths}
        for path in paths:
            parts = _plain(path).split("/")
            for start in range(len(parts)):
                tail = "/".join(parts[start:])
                self._exact.setdefault(tail, []).append(path)
                self._loose.setdefault(_bare(tail), []).append(path)

    def find(self, cell: str, near: str = "", part: str = "") -> list[str]:
        """The files that a cell may mean; [] when none.

        Args:
            near: a folder; files under it are meant rather than others.
            part: "train" or "test"; so are files in folders of this part.
        """
        name = _plain(cell.strip().replace("\\", "/"))
        while name.startswith(("./", "../", "/")):
            name = name.partition("/")[2]
        found = self._find(name) or self._find(UPLOAD_PREFIX.sub("", name.rpartition("/")[2]))
        found = found or (self._find(_plain(unquote(name))) if "%" in name else [])  # as in addresses of the web
        for better in (
            [path for path in found if _plain(path) == name],
            [path for path in found if near and path.startswith(f"{near}/")],
            [path for path in found if part and self._part_of[path] == part],
        ):
            if better:
                return better
        return found

    def _find(self, name: str) -> list[str]:
        parts = name.split("/")
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            found = self._exact.get(tail) or self._loose.get(_bare(tail))
            if found:
                return found
        return []


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def _bare(tail: str) -> str:
    """Without the extension and without leading zeros of a number."""
    folder, _, name = tail.rpartition("/")
    stem = re.sub(r"(?<=.)\.[a-z][a-z0-9]{1,4}$", "", name)
    stem = stem.lstrip("0") or "0" if stem.isdecimal() else stem
    return f"{folder}/{stem}"
