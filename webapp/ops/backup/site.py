"""Back up a site while it runs, and restore it where nothing is yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from webapp.ops.backup import rows
from webapp.ops.backup.store import BackupError, Kept, Manifest, Store, regular_files

PART = ".restored"


def places() -> dict[str, Path]:
    """What a backup keeps beside the rows.  Logs, static files and Redis are made again."""
    return {
        "media": Path(settings.MEDIA_ROOT),
        "starters": settings.DATA_DIR / "starters",
        "secret_key": settings.DATA_DIR / "secret_key",
    }


def backup(folder: Path) -> Manifest:
    """Keep rows and files in ``folder``.

    Files are taken before and after the rows: what belongs to a row is then there, whichever came first.  Should
    something be deleted meanwhile, its files stay without a row, and the reaper removes them after a restore.
    """
    store = Store(folder)
    for place in places().values():
        if store.folder.is_relative_to(place.resolve()):
            raise BackupError(f"{folder} lies in {place}, which is backed up; name a folder elsewhere.")
    files = _keep_files(store, store.prepare().files)
    made, migrations = timezone.now().isoformat(timespec="seconds"), rows.migrations()
    copy = store.blob(".rows")
    copy.unlink(missing_ok=True)
    rows.save(copy)
    kept = store.keep(copy)
    copy.unlink()
    manifest = Manifest(made, rows.form(), migrations, kept, files | _keep_files(store, files))
    store.write(manifest)
    store.prune(manifest)
    return manifest


def _keep_files(store: Store, before: dict[str, Kept]) -> dict[str, Kept]:
    found = {}
    for name, place in places().items():
        for path in regular_files(place):
            key = str(Path(name, path.relative_to(place))) if path != place else name
            try:
                found[key] = store.keep(path, before.get(key))
            except FileNotFoundError:  # deleted meanwhile
                continue
    return found


def restore(folder: Path) -> Manifest:
    """Put back what a backup holds; where that fails, nothing of it stays.

    Raises:
        BackupError: the backup is damaged, does not fit, or there is data already.
    """
    store = Store(folder)
    manifest = store.read()
    rows.check_fit(manifest)
    media = places()["media"]
    if rows.has_users() or any(regular_files(media)):
        raise BackupError(f"This site has data already, in its database or in {media}; name an empty DATA_DIR.")
    store.verify(manifest)
    assert manifest.rows
    try:
        for key, kept in manifest.files.items():
            name, _, rest = key.partition("/")
            store.put(kept, _part(places()[name]) / rest)
        rows.load(store.blob(manifest.rows.sha256))
        for place in places().values():
            if _part(place).exists():
                _replace(_part(place), place)
    finally:
        for place in places().values():
            _remove(_part(place))
    return manifest


def _part(place: Path) -> Path:
    return place.with_name(f"{place.name}{PART}")


def _replace(part: Path, place: Path) -> None:
    if part.is_file():
        part.chmod(0o600)  # the secret key
    _remove(place)
    part.rename(place)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
