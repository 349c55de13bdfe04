"""Back up, lose everything, restore: the same rows and files; what is damaged is refused in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from webapp.accounts.models import User
from webapp.ops.backup import rows, site
from webapp.ops.backup.store import BackupError, Store

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture
def filled(
    database_file: Path, settings: Any, tmp_path: Path, owner: User, make_dataset: Any, make_run: Any, media: Path
) -> Path:
    """A site with data sets, runs and their files; returns its DATA_DIR."""
    settings.DATA_DIR = tmp_path / "data"
    (settings.DATA_DIR / "starters").mkdir(parents=True)
    (settings.DATA_DIR / "starters" / "digits").touch()
    (settings.DATA_DIR / "secret_key").write_text("secret of the site")
    make_run(make_dataset(owner, name="Blätter"), reason="done")
    make_dataset(owner, "tabular")
    return settings.DATA_DIR


def content() -> dict[str, Any]:
    """All rows, and all files by name."""
    models = [model for model in apps.get_models() if model._meta.managed and model._meta.app_label != "contenttypes"]
    found: dict[str, Any] = {
        str(model): sorted(map(str, model.objects.values())) for model in models if model.__name__ != "Permission"
    }
    for place in site.places().values():
        paths = [place, *place.rglob("*")]
        found |= {str(path): path.read_bytes() for path in paths if path.is_file()}
    return found


def lose_everything() -> None:
    call_command("flush", interactive=False, verbosity=0)
    for place in site.places().values():
        shutil.rmtree(place) if place.is_dir() else place.unlink()


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_what_was_lost_comes_back(filled: Path, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "form", lambda: form)
    before = content()
    call_command("backup", str(tmp_path / "out"))
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    lose_everything()
    assert not User.objects.exists()
    call_command("restore", str(tmp_path / "out"))
    assert content() == before
    assert len(before) > 20
    assert (filled / "secret_key").stat().st_mode & 0o077 == 0
    assert not list(tmp_path.rglob("*.restored"))


def test_a_second_backup_copies_what_is_new(filled: Path, tmp_path: Path, media: Path) -> None:
    out = tmp_path / "out"
    site.backup(out)
    old = {path: path.stat().st_ino for path in (out / "blobs").iterdir()}
    gone, fresh = next(media.rglob("raw/toy.zip")), media / "uploads" / "abc.part"
    gone.write_bytes(b"changed")
    fresh.parent.mkdir()
    fresh.write_bytes(b"new")
    User.objects.create_user("new@example.org", "password")
    manifest = site.backup(out)
    new = {path: path.stat().st_ino for path in (out / "blobs").iterdir()}
    assert {path.name for path in new} == manifest.contents  # the old rows are gone
    same = [path for path in old if new.get(path) == old[path]]
    assert len(same) == len(old) - 1
    assert "media/uploads/abc.part" in manifest.files


def damage(store: Path, what: str) -> str:
    """Break a part of the backup; returns a word of the sentence."""
    blob = max((store / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    manifest = store / "manifest.json"
    if what == "flipped bit":
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.write_bytes(data)
        return "has changed"
    if what == "lost file":
        blob.unlink()
        return "is missing"
    if what == "torn manifest":
        manifest.write_bytes(manifest.read_bytes()[:-20])
        return "manifest.json is damaged"
    if what == "changed manifest":
        manifest.write_text(manifest.read_text().replace("toy.zip", "boy.zip", 1))
        return "manifest.json is damaged"
    assert what == "newer version"
    manifest_ = Store(store).read()
    manifest_.migrations.append("runs.9999_future")
    Store(store).write(manifest_)
    return "another version"


@pytest.mark.parametrize("what", ["flipped bit", "lost file", "torn manifest", "changed manifest", "newer version"])
def test_a_damaged_backup_is_refused(filled: Path, tmp_path: Path, what: str, media: Path) -> None:
    out = tmp_path / "out"
    site.backup(out)
    words = damage(out, what)
    lose_everything()
    with pytest.raises(CommandError, match=words) as refusal:
        call_command("restore", str(out))
    assert str(refusal.value).count(". ") == 0
    assert refusal.value.returncode == 2
    assert not User.objects.exists()
    assert not list(media.rglob("*"))


def test_nothing_is_overwritten(filled: Path, tmp_path: Path, media: Path) -> None:
    site.backup(tmp_path / "out")
    with pytest.raises(BackupError, match="has data already"):
        site.restore(tmp_path / "out")
    for place in (tmp_path, tmp_path / "media" / "runs"):
        with pytest.raises(BackupError, match=r"holds other files|lies in"):
            site.backup(place)
    with pytest.raises(BackupError, match="holds no backup"):
        site.restore(tmp_path / "nowhere")


def test_other_databases_are_told_apart(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.backup(tmp_path / "out")
    monkeypatch.setattr(rows, "form", lambda: "jsonl")
    with pytest.raises(BackupError, match="made with SQLite"):
        site.restore(tmp_path / "out")


def test_rows_that_do_not_load_leave_nothing(filled: Path, tmp_path: Path, media: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rows, "form", lambda: "jsonl")
    monkeypatch.setattr(rows, "save", lambda path: path.write_text('{"model": "accounts.user", "fields": {"no": 1}}'))
    site.backup(tmp_path / "out")
    lose_everything()
    with pytest.raises(BackupError, match="refuses the rows"):
        site.restore(tmp_path / "out")
    assert not list(media.rglob("*"))
    assert not list(tmp_path.rglob("*.restored"))


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server of our own, with the databases first and second."""
    if not POSTGRES:
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("pg")
    user = "postgres" if os.getuid() == 0 else None  # it refuses to serve root
    if user:
        for path in (folder, *list(folder.parents)[:2]):
            path.chmod(0o755)
        shutil.chown(folder, user)
    programs = POSTGRES[-1].parent
    options: dict[str, Any] = {"user": user, "check": True, "capture_output": True, "cwd": folder}
    data, log = folder / "data", folder / "log"
    subprocess.run([programs / "initdb", "-D", data, "-U", "site", "-A", "trust", "--no-sync"], **options)
    start = f"-k {folder} -c listen_addresses= -c fsync=off"
    subprocess.run([programs / "pg_ctl", "-D", data, "-l", log, "-o", start, "-w", "start"], **options)
    for name in ("first", "second"):
        subprocess.run([programs / "createdb", "-h", folder, "-U", "site", name], **options)
    yield f"postgres://site@/{{}}?host={folder}"
    subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **options)


@pytest.mark.slow
def test_with_postgresql(postgres: str, tmp_path: Path) -> None:
    """Six starts of Django, and a server."""

    def manage(site_name: str, *command: str) -> str:
        environment = os.environ | {"DATA_DIR": str(tmp_path / site_name), "DATABASE_URL": postgres.format(site_name)}
        done = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    manage("first", "migrate", "-v0")
    make = "from webapp.accounts.models import User; User.objects.create_superuser('ada@example.org', 'x' * 12)"
    manage("first", "shell", "-c", make)
    (tmp_path / "first" / "media" / "runs").mkdir(parents=True)
    (tmp_path / "first" / "media" / "runs" / "model").write_bytes(b"weights")
    manage("first", "backup", str(tmp_path / "out"))
    manage("second", "restore", str(tmp_path / "out"))
    users = [json.loads(manage(name, "dumpdata", "accounts", "auth.group")) for name in ("first", "second")]
    assert users[0] == users[1]
    assert users[0][0]["fields"]["email"] == "ada@example.org"
    assert (tmp_path / "second" / "media" / "runs" / "model").read_bytes() == b"weights"
