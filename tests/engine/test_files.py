"""Files and folders that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_engine.files import atomic_write, replace_folder, write_json


def interrupted(path: Path) -> None:
    with atomic_write(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write_json(path, {"alc": 1})
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"alc": float("nan")})
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
    assert path.read_text() == '{"alc": 1}'


def test_a_folder_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for text in ("first", "second"):
        fresh = tmp_path / "model.new"
        fresh.mkdir()
        (fresh / text).touch()
        replace_folder(fresh, target)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "second"]
