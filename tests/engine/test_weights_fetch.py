"""``make weights``: only whole and right files stay, and a machine without a network is told so."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from automl_engine.weights import __main__ as fetching

CONTENT = b"weights of a network"
GOOD = f"net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files shall go; torchvision's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path / "weights"))
    monkeypatch.setattr(fetching.signal, "signal", lambda *args: None)
    monkeypatch.setattr(fetching.socket, "setdefaulttimeout", lambda seconds: None)
    return tmp_path / "weights"


def offer(monkeypatch: pytest.MonkeyPatch, *files: Path) -> None:
    monkeypatch.setattr(fetching, "addresses", lambda: [file.as_uri() for file in files])


def test_torchvision_knows_the_addresses() -> None:
    files = [url.rpartition("/")[2] for url in fetching.addresses()]
    assert [file[: len(name)] for file, name in zip(files, fetching.NAMES, strict=True)] == list(fetching.NAMES)
    assert all(torch.hub.HASH_REGEX.search(file) for file in files)


def test_a_file_is_fetched_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / GOOD).write_bytes(CONTENT)
    offer(monkeypatch, tmp_path / GOOD)
    assert fetching.main() == 0
    assert (folder / GOOD).read_bytes() == CONTENT
    assert "not for commercial use" in capsys.readouterr().out
    (tmp_path / GOOD).unlink()  # it is not asked for again
    assert fetching.main() == 0
    assert str(folder / GOOD) in capsys.readouterr().out


def test_without_a_folder_of_ones_own_it_is_torchvisions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTODL_WEIGHTS_DIR")
    (tmp_path / GOOD).write_bytes(CONTENT)
    offer(monkeypatch, tmp_path / GOOD)
    assert fetching.main() == 0
    assert (tmp_path / "hub" / "checkpoints" / GOOD).exists()


@pytest.mark.parametrize(("content", "reason"), [(CONTENT[:-1], "invalid hash"), (None, "No such file")])
def test_what_is_cut_off_or_out_of_reach_leaves_nothing(
    content: bytes | None,
    reason: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    if content:
        (tmp_path / GOOD).write_bytes(content)
    offer(monkeypatch, tmp_path / GOOD)
    assert fetching.main() == 1
    told = capsys.readouterr().err
    assert reason in told
    assert f"copy it into {folder}" in told
    assert told.count("\n") == 1
    assert list(folder.iterdir()) == []
