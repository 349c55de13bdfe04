"""More data for an upload: the content of a further one beside its own, as if both had been packed together."""

from __future__ import annotations

import filecmp
from pathlib import Path

from automl_engine.errors import DataError
from formatters.unpacking.archive import Upload


def join(upload: Upload, more: Upload, top: Path, name: str) -> Upload:
    """Move the files of ``more`` into ``upload``; a file whose name is taken gets another one.

    Args:
        top: where ``more`` was unpacked; folders around all of it stay if the upload has folders of their name.
        name: of the further upload, for messages.

    Raises:
        DataError: it holds only files that are there already.
    """
    around = more.root.relative_to(top).parts
    kept = next((around[at:] for at, folder in enumerate(around) if (upload.root / folder).is_dir()), ())
    files = sorted(path for path in more.root.rglob("*") if path.is_file())
    moved = sum(_move(path, upload.root.joinpath(*kept) / path.relative_to(more.root)) for path in files)
    if not moved:
        raise DataError(f"All files of {name} are in the data set already; add new ones.")
    why = [
        f"{name} adds {moved:,} of its {len(files):,} files" + "; the others are there already" * (moved < len(files))
    ]
    return Upload(upload.root, upload.ignored + more.ignored, [*upload.why, *more.why, *why])


def _move(path: Path, place: Path) -> bool:
    """False: the same file is there already."""
    taken, number = place, 2
    while place.exists():
        if place.is_file() and filecmp.cmp(path, place, shallow=False):
            return False
        place, number = taken.with_name(f"{taken.stem} ({number}){taken.suffix}"), number + 1
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)
    return True
