"""Prediction is as careful as training: each file is read anew, every input has an entry, what is not read is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from automl_engine.errors import DataError
from formatters import recipe
from formatters.base import NewData, Options
from formatters.convert import convert
from tests.formatters.toys import write_workbook

Learn = Callable[..., dict[str, Any]]
CITIES = ("Москва", "Пермь", "Самара")


@pytest.fixture
def learn(tmp_path: Path) -> Learn:
    """The recipe of files {name: text or bytes}."""

    def learnt(files: dict[str, str | bytes], **options: Any) -> dict[str, Any]:
        source = put(tmp_path / "old", files)
        convert(source, tmp_path / "out", Options(**options), say=lambda line: None)
        return recipe.load(tmp_path / "out" / "recipe.json")

    return learnt


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    """The folder, or the one file in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path if len(files) == 1 else folder


def predict(made: dict[str, Any], tmp_path: Path, files: dict[str, str | bytes]) -> NewData:
    return recipe.encode(made, put(tmp_path / "new", files))


def table(mark: str = ".", separator: str = ",", date: str = "{0:02}/{1:02}/2024", count: int = 40) -> str:
    """Rows with numbers of three decimals, a date, a city and a label."""
    rows = [separator.join(["width", "bought", "city", "label"])]
    for i in range(count):
        number = f"{i * 1.237:.3f}".replace(".", mark)
        rows.append(separator.join([number, date.format(i % 28 + 1, i % 12 + 1), CITIES[i % 3], "xy"[i % 2]]))
    return "\n".join(rows) + "\n"


def values(new: NewData) -> np.ndarray:
    return np.array([np.ravel(content) for content in new.contents])


@pytest.mark.parametrize("old", [".", ","])
@pytest.mark.parametrize("new", [".", ","])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_each_file_has_its_own_decimal_mark(learn: Learn, tmp_path: Path, old: str, new: str, separator: str) -> None:
    made = learn({"a.csv": table(old, ";")})
    expected = values(predict(made, tmp_path / "1", {"a.csv": table(old, ";", count=9)}))
    found = predict(made, tmp_path / "2", {"b.tsv": table(new, separator, count=9)})
    np.testing.assert_array_equal(values(found), expected)
    assert found.problems == {}
    assert any("decimal" in note for note in found.notes) == (old != new)


@pytest.mark.parametrize(
    ("cell", "number"), [("1.234", 1234), ("1.234,5", 1234.5), ("0,125", 0.125), ("12 500,50", 12500.5)]
)
def test_the_mark_of_a_file_decides_on_doubtful_cells(learn: Learn, tmp_path: Path, cell: str, number: float) -> None:
    made = learn({"a.csv": "a,b,label\n" + "".join(f"{i}.5,{i * 40}.25,{'xy'[i % 2]}\n" for i in range(40))})
    new = predict(made, tmp_path, {"b.csv": f"a;b\n{cell};0,5\n"})
    assert values(new).tolist() == [[number, 0.5]]


@pytest.mark.parametrize("swap", [False, True])
def test_each_file_has_its_own_date_order(learn: Learn, tmp_path: Path, swap: bool) -> None:
    orders = ["{0:02}/{1:02}/2024", "{1:02}/{0:02}/2024"]
    made = learn({"a.csv": table(date=orders[swap])})
    expected = values(predict(made, tmp_path / "1", {"a.csv": table(date=orders[swap])}))
    found = predict(made, tmp_path / "2", {"a.csv": table(date=orders[not swap])})
    np.testing.assert_array_equal(values(found), expected)
    assert any("unlike those of the training data" in note for note in found.notes)
    iso = predict(made, tmp_path / "3", {"a.csv": table(date="2024-{1:02}-{0:02}")})
    np.testing.assert_array_equal(values(iso), expected)


def test_one_column_of_dates_decides_for_the_others(learn: Learn, tmp_path: Path) -> None:
    rows = "".join(f"{i % 28 + 1}/{i % 12 + 1}/2024,{i % 27 + 1}/2/2023,{'xy'[i % 2]}\n" for i in range(60))
    made = learn({"a.csv": "sent,paid,label\n" + rows})
    new = predict(made, tmp_path, {"b.csv": "sent,paid\n12/31/2024,03/02/2024\n"})
    assert values(new)[0].tolist() == [20088, 1, 12, 19784, 5, 3]


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8-sig", "utf-16"])
def test_each_file_has_its_own_encoding(learn: Learn, tmp_path: Path, encoding: str) -> None:
    made = learn({"a.csv": table()})
    expected = values(predict(made, tmp_path / "1", {"a.csv": table(count=9)}))
    found = predict(made, tmp_path / "2", {"b.csv": table(count=9).encode(encoding)})
    np.testing.assert_array_equal(values(found), expected)


def test_other_formats_and_the_sheet_that_has_the_columns(learn: Learn, tmp_path: Path) -> None:
    made = learn({"a.csv": table(",", ";")})
    plain = table(count=9)
    expected = values(predict(made, tmp_path / "1", {"a.csv": plain}))
    rows = [line.split(",") for line in plain.splitlines()]
    cells: list[list[Any]] = [rows[0], *([float(row[0]), *row[1:]] for row in rows[1:])]
    write_workbook(tmp_path / "book.xlsx", {"Notes": [["what", "who", "when", "where", "why"]] * 90, "July": cells})
    book = (tmp_path / "book.xlsx").read_bytes()
    for name, content in {"b.xlsx": book, "b.csv.gz": gzip.compress(plain.encode())}.items():
        found = predict(made, tmp_path / name, {name: content})
        np.testing.assert_array_equal(values(found), expected)
        assert found.problems == {}
    assert any("'Notes'" in note for note in predict(made, tmp_path / "3", {"b.xlsx": book}).notes)


def test_cells_that_are_not_read_are_counted_by_column_and_told_by_row(learn: Learn, tmp_path: Path) -> None:
    made = learn({"a.csv": table()})
    rows = "width,bought,city\nwide,3/4/2024,Омск\n1.5,soon,Пермь\n?,,\n2.5,13/4/2024,Омск\n"
    new = predict(made, tmp_path, {"b.csv": rows})
    assert new.problems == {
        0: "'wide' in column 'width' is no number; 'Омск' in column 'city' is new to the model",
        1: "'soon' in column 'bought' is no date",
        3: "'Омск' in column 'city' is new to the model",
    }
    assert [note.split(", such")[0] for note in new.notes] == [
        "column 'width': 1 cell counts as missing",
        "column 'bought': 1 cell counts as missing",
        "column 'city': 2 cells count as missing",
    ]
    assert len(new.examples) == 4


def test_lines_of_another_length_keep_their_place(learn: Learn, tmp_path: Path) -> None:
    made = learn({"a.csv": table()})
    new = predict(made, tmp_path, {"b.csv": "width,bought,city\n1.5,3/4/2024,Пермь\n1,2,3,4\n2.5,3/4/2024,Пермь\n"})
    assert [content is None for content in new.contents] == [False, True, False]
    assert "line 3 has 4 fields instead of 3" in new.problems[1]
    assert new.names == ["row 1", "row 2", "row 3"]


def test_a_file_that_is_not_read_keeps_its_place_among_others(learn: Learn, tmp_path: Path) -> None:
    made = learn({"a.csv": table()})
    row = "width,bought,city\n1.5,3/4/2024,Пермь\n"
    new = predict(
        made, tmp_path, {"1.csv": row, "2.csv": "width,city\n1,Пермь\n", "3.png": b"\x89PNG", "sub/4.csv": row}
    )
    assert new.names == ["1.csv, row 1", "2.csv", "3.png", "sub/4.csv, row 1"]
    assert "lacks the column 'bought'" in new.problems[1]
    assert "holds no table" in new.problems[2]
    assert len(new.examples) == 2


def picture(shade: int) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, 9 * (shade % 20), 0)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_unreadable_picture_among_good_ones(learn: Learn, tmp_path: Path) -> None:
    made = learn({f"{'ab'[i % 2]}/{i}.png": picture(5 * i) for i in range(12)})
    files = {"1.png": picture(1), "2.png": picture(2)[:60], "3.pdf": b"%PDF", "10.png": picture(3)}
    new = predict(made, tmp_path / "1", files)
    assert new.names == ["1.png", "2.png", "3.pdf", "10.png"]
    assert new.problems[1].startswith("2.png cannot be read (")
    assert new.problems[2].startswith("3.pdf is no file of images")
    assert len(new.examples) == 2
    with pytest.raises(DataError, match=r"nothing of new can be read; the first of 2: 1\.png cannot be read"):
        predict(made, tmp_path / "2", {"1.png": b"x", "2.png": b"y"})


def test_one_text_a_line_where_the_model_learned_from_lines(learn: Learn, tmp_path: Path) -> None:
    made = learn({"a.txt": "".join(f"__label__{'xy'[i % 2]} number {i}, or so\n" for i in range(40))})
    for text in ("one, two\nthree\n", "__label__x one, two\n__label__y three\n"):
        new = predict(made, tmp_path / text[:4], {"n.txt": text})
        assert new.names == ["row 1", "row 2"]
        assert [len(content) for content in new.contents] == [2, 1]
    several = predict(made, tmp_path / "several", {"1.txt": "one\ntwo\n", "2.txt": "three\n"})
    assert several.names == ["1.txt", "2.txt"]


def test_a_damaged_text_among_others(learn: Learn, tmp_path: Path) -> None:
    made = learn({f"{'ab'[i % 2]}/{i}.txt": f"this is text {i}" for i in range(12)})
    new = predict(
        made, tmp_path, {"1.txt": "fine", "2.txt": bytes(range(32)) * 9, "3.png": picture(1), "4.csv": "text\nso\n"}
    )
    assert new.names == ["1.txt", "2.txt", "3.png", "4.csv, row 1"]
    assert "binary" in new.problems[1]
    assert "holds no text" in new.problems[2]


def wave(i: int, mark: str) -> list[str]:
    return [f"{np.sin(t / (3 + 2 * (i % 2)) + i):.3f}".replace(".", mark) for t in range(30)]


@pytest.mark.parametrize("new_mark", [".", ","])
@pytest.mark.parametrize("old_mark", [".", ","])
def test_series_in_rows_have_their_own_mark_too(learn: Learn, tmp_path: Path, old_mark: str, new_mark: str) -> None:
    head = ";".join(f"t{i}" for i in range(30))
    made = learn(
        {"a.csv": f"{head};label\n" + "".join(f"{';'.join(wave(i, old_mark))};{'ab'[i % 2]}\n" for i in range(30))}
    )
    assert made["modality"] == "timeseries"
    broken = ";".join(["0", "n.d.", *wave(2, new_mark)[2:]])
    new = predict(
        made, tmp_path, {"b.csv": "\n".join([head, ";".join(wave(1, new_mark)), broken, "1;2", ";" * 29, ""])}
    )
    np.testing.assert_allclose(new.contents[0].ravel(), [float(x) for x in wave(1, ".")], rtol=1e-6)
    assert new.problems[1] == "1 cell is no number and counts as missing, such as 'n.d.'"
    assert "line 4 has 2 fields" in new.problems[2]
    assert "holds no values" in new.problems[3]
    assert [content is None for content in new.contents] == [False, False, True, True]


@pytest.mark.parametrize("mark", [".", ","])
def test_series_in_files(learn: Learn, tmp_path: Path, mark: str) -> None:
    def recording(i: int, mark: str, separator: str) -> str:
        return f"time{separator}x\n" + "".join(f"{t}{separator}{x}\n" for t, x in enumerate(wave(i, mark)))

    made = learn({f"{'ab'[i % 2]}/{i}.csv": recording(i, ".", ",") for i in range(12)})
    new = predict(
        made, tmp_path, {"1.tsv": recording(3, mark, "\t"), "2.csv": "time,y\n1,2\n", "3.md": "no series at all"}
    )
    np.testing.assert_allclose(new.contents[0].ravel(), [float(x) for x in wave(3, ".")], rtol=1e-6)
    assert new.names == ["1.tsv", "2.csv", "3.md"]
    assert "lacks the column 'x'" in new.problems[1]
    assert 2 in new.problems
