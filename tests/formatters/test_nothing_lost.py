"""No row is lost in silence: many files are all used, and what is not used is listed with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters import report as report_module
from formatters.base import Options
from formatters.convert import convert
from formatters.media import beside, label_table
from formatters.modalities import audio, video
from formatters.tables import records
from tests.formatters.toys import RATE_HZ, image_upload, moving_bar, write_video, write_wav

Maker = Callable[[Path], None]
HEADER = "height,leaves,kind\n"


def rows(count: int, start: int = 0) -> str:
    numbers = range(start, start + count)
    return "".join(f"{i * 37 % 61 / 8 + 0.5},{i % 11},{'oak' if i % 2 else 'elm'}\n" for i in numbers)


def converted(source: Path, target: str | None = None) -> dict[str, Any]:
    return convert(source, source.parent / "out", Options(target=target), say=lambda line: None)


def warnings(report: dict[str, Any]) -> str:
    return "\n".join(doubt["what"] for doubt in report["doubts"] if doubt["level"] == "warning")


def unused(report: dict[str, Any]) -> dict[str, str]:
    return {entry["path"]: entry["why"] for entry in report["ignored"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_a_table_in_many_parts(folder: Path) -> None:
    for part in range(120):
        (folder / f"part-{part:05}.csv").write_text(HEADER + rows(3, part))
    assert converted(folder)["counts"]["samples"] == 360


@pytest.mark.parametrize("sorted_by", ["folder", "table"])
def test_many_recordings(folder: Path, sorted_by: str) -> None:
    lines = ["file,label"]
    for i in range(130):
        label = "fast" if i % 2 else "slow"
        path = folder / (label if sorted_by == "folder" else "data") / f"{i}.csv"
        path.parent.mkdir(exist_ok=True)
        wave = np.sin(np.arange(20) * (1.2 if i % 2 else 0.3) + i)
        path.write_text("time,x\n" + "".join(f"{t / 10},{value:.4f}\n" for t, value in enumerate(wave)))
        lines.append(f"{i}.csv,{label}")
    if sorted_by == "table":
        (folder / "labels.csv").write_text("\n".join(lines))
    report = converted(folder)
    assert (report["modality"], report["counts"]["samples"]) == ("timeseries", 130)


def test_many_files_named_by_their_class(folder: Path) -> None:
    names = ["".join(chr(97 + i // 26**k % 26) for k in (1, 0)) + "wood" for i in range(70)]
    for name in names:
        (folder / f"{name}.csv").write_text("height,leaves\n" + "".join(f"{i / 8 + 0.5},{i % 5}\n" for i in range(6)))
    report = converted(folder)
    assert (report["counts"]["classes"], report["counts"]["samples"]) == (70, 420)


@pytest.mark.parametrize("columns", ["height,kind", "height,leaves,soil,kind"])
def test_a_second_labelled_table_with_other_columns(folder: Path, columns: str) -> None:
    (folder / "a.csv").write_text(f"age,{HEADER}" + "".join(f"{i},{row}\n" for i, row in enumerate(rows(40).split())))
    width = columns.count(",")
    (folder / "b.csv").write_text(f"{columns}\n" + (",".join("1" * width) + ",oak\n") * 2)
    report = converted(folder, "kind")
    assert "b.csv and its 2 rows are not used" in warnings(report)
    assert unused(report)["b.csv"] in ("its columns differ from a.csv", "it lacks the column 'age'")


def test_an_unlabelled_table_is_no_warning(folder: Path) -> None:
    (folder / "train.csv").write_text(HEADER + rows(40))
    (folder / "test.csv").write_text("height,leaves\n1.5,3\n2.5,4\n")
    report = converted(folder)
    assert "test.csv" not in warnings(report)
    assert unused(report)["test.csv"] == "it lacks the column 'kind'"


def test_files_beside_a_table_are_listed(folder: Path) -> None:
    (folder / "a.csv").write_text(HEADER + rows(40))
    (folder / "notes.pdf").write_bytes(b"%PDF")
    (folder / "README.md").write_text("about")
    report = converted(folder)
    assert unused(report) == {"README.md": "it is no table of rows", "notes.pdf": "it is no table of rows"}
    assert report["ignored_count"] == 2


def test_lines_left_out_of_a_table_of_texts(folder: Path) -> None:
    said = [f"The room number {i} was {'clean' if i % 2 else 'dirty'} and the staff said so." for i in range(60)]
    lines = [f"{text},{'good' if i % 2 else 'bad'}" for i, text in enumerate(said)]
    (folder / "a.csv").write_text("\n".join(["text,label", *lines[:30], "torn,line,of,many,cells", *lines[30:]]) + "\n")
    report = converted(folder)
    assert (report["modality"], report["counts"]["samples"]) == ("text", 60)
    assert "left out" in warnings(report)


def test_a_second_table_of_labels_that_disagrees(tmp_path: Path) -> None:
    folder = image_upload(tmp_path)
    files = [f"{label}/{label}_{i}.png" for label in ("dark", "bright") for i in range(12)]
    (folder / "a.csv").write_text("file,label\n" + "".join(f"{file},{file[0]}\n" for file in files))
    (folder / "b.csv").write_text("file,label\n" + "".join(f"{file},{'xy'[i % 2]}\n" for i, file in enumerate(files)))
    report = converted(folder)
    assert {row["name"] for row in report["labels"]} == {"d", "b"}
    assert "b.csv is not used: it labels 24 files in another way than a.csv" in warnings(report)
    assert unused(report)["b.csv"].startswith("it labels 24 files")


def test_two_tables_of_labels_that_agree_or_share_the_files(tmp_path: Path) -> None:
    folder = image_upload(tmp_path)
    files = [f"{label}/{label}_{i}.png" for label in ("dark", "bright") for i in range(12)]
    (folder / "a.csv").write_text("file,label\n" + "".join(f"{file},{file[0]}\n" for file in files[:14]))
    (folder / "b.csv").write_text("file,label\n" + "".join(f"{file},{file[0]}\n" for file in files[10:]))
    report = converted(folder)
    assert report["counts"]["samples"] == 24
    assert "not used" not in warnings(report)


def test_a_table_of_labels_that_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MAX_TABLE_BYTES", 100)
    folder = image_upload(tmp_path)
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"dark_{i}.png,x\n" for i in range(12)))
    assert "larger than 100 bytes" in unused(converted(folder))["labels.csv"]


def sounds(folder: Path) -> None:
    for i in range(8):
        path = folder / ("low" if i % 2 else "high") / f"{i}.wav"
        path.parent.mkdir(exist_ok=True)
        write_wav(path, (np.sin(np.arange(2 * RATE_HZ) * (0.1 + i % 2)) * 8000).astype(np.int16))


def clips(folder: Path) -> None:
    for i in range(8):
        path = folder / ("left" if i % 2 else "right") / f"{i}.avi"
        path.parent.mkdir(exist_ok=True)
        write_video(path, moving_bar(path.parent.name, i, 6, 32))


@pytest.mark.parametrize(
    ("make", "module", "cap", "value", "said"),
    [
        (sounds, audio, "MAX_DURATION_S", 1, "8 sounds are longer than 1 s; only the first 1 s"),
        (clips, video, "MAX_FRAMES", 4, "8 videos are longer than 4 frames; only the first 4"),
    ],
)
def test_caps_of_long_media_are_warnings(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    module: Any,
    cap: str,
    value: int,
    said: str,
) -> None:
    monkeypatch.setattr(module, cap, value)
    make(folder)
    assert said in warnings(converted(folder))


def test_more_unused_files_than_the_report_lists(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "MAX_IGNORED", 3)
    (folder / "a.csv").write_text(HEADER + rows(40))
    for i in range(9):
        (folder / f"{i}.pdf").write_bytes(b"%PDF")
    report = converted(folder)
    assert (len(report["ignored"]), report["ignored_count"]) == (3, 9)
    assert any("9 files of the upload are not used" in doubt["what"] for doubt in report["doubts"])


def test_categories_that_share_a_code(folder: Path) -> None:
    cells = [f"c{i % 210},{i % 7},{'xy'[i % 2]}" for i in range(1260)]
    (folder / "a.csv").write_text("\n".join(["shop,a,label", *cells]))
    assert "the 200 most frequent have a code each, and 10 others that come back" in warnings(converted(folder))


def test_files_named_far_down_in_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows all over the table are looked at, and that is told."""
    folder = image_upload(tmp_path)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    told = [f"absent{i}.png,a" for i in range(len(names) // 9)] + [
        f"{name},{'ab'[i % 2]}" for i, name in enumerate(names)
    ]
    (folder / "labels.csv").write_text("\n".join(["file,kind", *told]))
    monkeypatch.setattr(label_table, "MATCH_ROWS", 8)
    report = converted(folder)
    assert report["options"]["target"] == "kind"
    assert any("8 rows of labels.csv told that column 'file'" in doubt["what"] for doubt in report["doubts"])


def test_a_table_of_too_many_cells_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CELLS", 50)
    (folder / "a.json").write_text("[" + ",".join(['{"a": 1, "b": 2}'] * 30) + "]")
    with pytest.raises(DataError, match="more than 50 cells"):
        converted(folder)
