"""More data for a data set: a further upload, read as if both had been packed together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert
from formatters.edits.listed import parse
from tests.formatters.test_edits import counts, shown, with_rows
from tests.formatters.toys import TOYS, image_upload


def converted(source: Path, more: list[Path], edits: Any = ()) -> dict[str, Any]:
    out = source.parent / f"out{len(list(source.parent.iterdir()))}"
    options = Options(more=tuple(more), edits=parse(list(edits)))
    return convert(source, out, options, say=lambda line: None) | {"out": out}


def packed(folder: Path, name: str) -> Path:
    return Path(shutil.make_archive(str(folder.parent / name), "zip", folder.parent, folder.name))


def test_class_folders_join_and_names_that_are_taken_get_another(tmp_path: Path) -> None:
    first = packed(image_upload(tmp_path / "a"), "first")
    second = image_upload(tmp_path / "b", per_class=3, side_px=20)
    report = converted(first, [packed(second, "second")])
    assert counts(report) == {"bright": 15, "dark": 15}
    assert "dark/dark_1 (2).png" in shown(report)


@pytest.mark.parametrize("wrapped", [False, True])
def test_one_class_folder_alone_stays_a_class(wrapped: bool, tmp_path: Path) -> None:
    more = image_upload(tmp_path / "b", per_class=3, side_px=20)
    shutil.rmtree(more / "bright")
    report = converted(
        packed(image_upload(tmp_path / "a"), "first"), [packed(more if wrapped else more / "dark", "dark")]
    )
    assert counts(report) == {"bright": 12, "dark": 15}


def test_what_is_there_already_is_told(tmp_path: Path) -> None:
    first = image_upload(tmp_path)
    with pytest.raises(DataError, match="All files of toy_image are in the data set already"):
        converted(first, [first])


def test_rows_join_and_edits_still_mean_the_rows_they_meant(tmp_path: Path) -> None:
    tables = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tables.append(
            with_rows(tmp_path / name, ["size,kind", *(f"{i % 13}{name == 'b'},{'xy'[i % 2]}" for i in range(40))])
        )
        tables[-1].write_text(tables[-1].read_text().replace("True", "5").replace("False", "1"))
    report = converted(tables[0], tables[1:], [{"do": "exclude", "items": ["row 1"]}])
    assert report["counts"]["samples"] == 79
    assert {"data.csv, row 2", "data (2).csv, row 1"} <= shown(report).keys()
    assert "data.csv, row 1" not in shown(report)


def test_a_data_set_that_is_one_already_takes_no_more(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="taken as it is"):
        converted(TOYS["native"](tmp_path / "a"), [image_upload(tmp_path / "b")])
