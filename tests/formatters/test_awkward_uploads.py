"""What real programs write: cells that look alike, lines of tools, labels without a header, targets that stand last."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert
from formatters.encodings import decode_text
from formatters.groups import names_groups
from formatters.tables.dates import date_format
from formatters.tables.header import has_header_line
from formatters.tables.numbers import find_writing
from tests.formatters.toys import image_upload, text_upload

WORDS = [f"{one}{other}" for one in "abcdefgh" for other in "klmnopqr"]
KINDS = ("oak", "elm", "oak")


def converted(source: Path, **options: Any) -> dict[str, Any]:
    return convert(source, source.parent / "out", Options(**options), say=lambda line: None)


def put(folder: Path, files: dict[str, str]) -> Path:
    """The folder, or the one file in it."""
    for name, content in files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return path if len(files) == 1 else folder / "in"


def warnings(report: dict[str, Any]) -> str:
    return "\n".join(doubt["what"] for doubt in report["doubts"] if doubt["level"] == "warning")


def classes(report: dict[str, Any]) -> dict[str, int]:
    return {label["name"]: label["train"] + label["test"] for label in report["labels"]}


def features(report: dict[str, Any]) -> list[str]:
    return [column["name"] for column in report["columns"] if column["role"] == "feature"]


def number(i: int) -> str:
    return f"{i * 37 % 61 / 7:.3f}"


def table(header: str, *columns: list[str], rows: int = 60, mark: str = ",") -> str:
    """Numbers in the first column, then these, each repeated."""
    lines = [mark.join([number(i), *(column[i % len(column)] for column in columns)]) for i in range(rows)]
    return "\n".join([header, *lines]).lstrip("\n") + "\n"


def test_cells_that_look_alike_are_one_class(tmp_path):
    spelt = ["Möhre", unicodedata.normalize("NFD", "Möhre"), "Möhre\u200b", "\ufeffRübe\u00a0", "Rübe", "Rübe"]
    report = converted(put(tmp_path, {"a.csv": table("height,class", spelt)}))
    assert classes(report) == {"Möhre": 30, "Rübe": 30}


def test_and_one_category(tmp_path):
    spelt = ["grün", unicodedata.normalize("NFD", "grün"), "rot"]
    report = converted(put(tmp_path, {"a.csv": table("height,colour,kind", spelt, ["oak", "elm"])}))
    assert next(c["distinct"] for c in report["columns"] if c["name"] == "colour") == 2


def test_texts_stay_as_they_are(tmp_path):
    text = unicodedata.normalize("NFD", "schöne Möhren im grünen Garten des Hauses stehen")
    texts = [f"{word} {text} {word}" for word in WORDS]
    converted(put(tmp_path, {"a.csv": table("number,text,label", texts, ["x", "y"])}), modality="text")
    lines = (tmp_path / "in" / "out" / "previews" / "test.jsonl").read_text("utf-8").splitlines()
    assert text in json.loads(lines[0])["text"]


def test_a_kind_that_nothing_speaks_for_may_be_chosen(tmp_path):
    report = converted(
        put(tmp_path, {"a.csv": table("height,site,kind", ["north", "south"], ["oak", "elm"])}), modality="text"
    )
    assert report["modality"] == "text"


def test_classes_that_differ_in_invisible_marks_are_told(tmp_path):
    report = converted(put(tmp_path, {"a.csv": table("height,class", ["fire\u200btruck", "firetruck", "bus"])}))
    assert "differ only in spelling" in warnings(report)


@pytest.mark.parametrize(
    "lines",
    [
        "Start Date,How happy are you?,Do you like it?\n" + ",".join(['"{""ImportId"":""QID1""}"'] * 3),
        ",Response,Response",
        "Open-Ended Response,Response,Response",
    ],
)
def test_lines_of_survey_tools_are_no_rows(tmp_path, lines):
    header, rest = table("Q1,Q2,Q3", ["3", "5", "4"], ["Yes", "No"]).split("\n", 1)
    report = converted(put(tmp_path, {"survey.csv": f"{header}\n{lines}\n{rest}"}))
    assert classes(report) == {"Yes": 30, "No": 30}
    assert {c["name"]: c["type"] for c in report["columns"]} == {"Q1": "number", "Q2": "number", "Q3": "boolean"}


@pytest.mark.parametrize(("count", "names"), [("3", ["amazed", "happy", "calm"]), ("-2", ["live", "sung"])])
def test_labels_of_meka(tmp_path, count, names):
    flags = "".join(f"@attribute {name} {{0,1}}\n" for name in ("amazed", "happy", "calm"))
    ends = "".join(f"@attribute {name} {{0,1}}\n" for name in ("live", "sung"))
    head = f"@relation 'music: -C {count} -split-percentage 60'\n{flags}@attribute tempo numeric\n{ends}@data\n"
    lines = (f"{i % 2},{i % 3 % 2},{i % 5 % 2},{number(i)},{i % 7 % 2},{i % 4 // 2}" for i in range(60))
    report = converted(put(tmp_path, {"music.arff": head + "\n".join(lines) + "\n"}))
    assert (report["task"], list(classes(report))) == ("multi_label", names)


def test_a_relational_attribute_is_refused(tmp_path):
    head = "@relation b\n@attribute bag relational\n@attribute t0 numeric\n@end bag\n@attribute class {a,b}\n@data\n"
    with pytest.raises(DataError, match=r"relational.*\.ts file"):
        converted(put(tmp_path, {"b.arff": head + "'1\\n2',a\n" * 9}))


def test_moments_of_google_forms():
    days = range(1, 20)
    cells = Counter(f"2023/03/{day:02d} 3:{day:02d}:15 PM GMT{zone}" for day in days for zone in ("+2", "-3:30"))
    format_, moments = date_format(cells)
    assert format_
    assert moments["2023/03/07 3:07:15 PM GMT+2"].isoformat() == "2023-03-07T15:07:15+02:00"
    assert moments["2023/03/07 3:07:15 PM GMT-3:30"].utcoffset().total_seconds() == -12_600


def test_a_short_word_in_every_row_is_no_other_script(tmp_path):
    (tmp_path / "a.csv").write_bytes(("Durée,Saison\n" + "".join(f"{i},été\n" for i in range(50))).encode("mac_roman"))
    assert decode_text(tmp_path / "a.csv")[1] == "mac_roman"


@pytest.mark.parametrize("junk", ["$RECYCLE.BIN/S-1-5", "dark/@eaDir/1.png", "lost+found", "System Volume Information"])
def test_folders_of_systems_are_no_data(tmp_path, junk):
    root = image_upload(tmp_path)
    (root / junk).mkdir(parents=True)
    (root / junk / "thumb.png").write_bytes(next((root / "dark").glob("*.png")).read_bytes())
    assert classes(converted(root)) == {"bright": 12, "dark": 12}


def test_a_class_of_files_that_are_not_read_is_told(tmp_path):
    root = image_upload(tmp_path)
    (root / "drawn").mkdir()
    (root / "drawn" / "1.svg").write_text("<svg/>")
    (root / "dark" / "2.svg").write_text("<svg/>")
    assert "2 files are of a kind that is not read as images (.svg) and left out" in warnings(found := converted(root))
    assert "the folder drawn holds nothing else" in warnings(found)


def test_a_page_beside_texts_is_not(tmp_path):
    root = text_upload(tmp_path)
    source = root if root.is_dir() else root.parent
    (source / "index.html").write_text("<html></html>")
    assert "not read as" not in warnings(converted(source))


@pytest.mark.parametrize("label_file", ["y_train.csv", "train_labels.csv"])
@pytest.mark.parametrize("classes_", [("oak", "elm"), ("0", "1", "2")])
def test_labels_beside_without_header(tmp_path, label_file, classes_):
    numbers = "".join(f"{number(i)},{number(i * 3)},{number(i * 7)}\n" for i in range(60))
    labels = "".join(f"{classes_[i % len(classes_)]}\n" for i in range(60))
    name = "X_train.csv" if label_file[0] == "y" else "train_data.csv"
    report = converted(put(tmp_path, {name: numbers, label_file: labels}))
    assert classes(report) == dict.fromkeys(classes_, 60 // len(classes_))
    assert (report["options"]["target"], len(features(report))) == ("label", 3)


def test_labels_beside_with_a_moment_each(tmp_path):
    numbers = "".join(f"{number(i)} {number(i * 3)} NaN {number(i * 7)}\n" for i in range(60))
    labels = "".join(f'{1 - 2 * (i % 3 // 2)} "{1 + i // 24:02}/07/2008 {i % 24:02}:55:00"\n' for i in range(60))
    report = converted(put(tmp_path, {"secom.data": numbers, "secom_labels.data": labels}))
    assert classes(report) == {"-1": 20, "1": 40}


@pytest.mark.parametrize("rows", [[["elm"], ["oak"]] * 9, [["rain", "no"], ["sun", "yes"], ["rain", "no"]] * 9])
def test_what_comes_back_is_no_header(rows):
    assert not has_header_line(rows)


def test_a_header_of_files_put_together_is_one():
    rows = [["height", "kind"], ["3.1", "oak"], ["2.2", "elm"], ["1.9", "oak"], ["2.9", "elm"], ["3.5", "elm"]]
    assert has_header_line(rows * 3)


def test_cells_of_r_in_quotes(tmp_path):
    lines = [f'"{i + 1}" {number(i)} "north side" "{KINDS[i % 3]}"' for i in range(60)]
    report = converted(put(tmp_path, {"trees.txt": '"height" "site name" "kind"\n' + "\n".join(lines) + "\n"}))
    assert (report["options"]["target"], classes(report)) == ("kind", {"elm": 20, "oak": 40})


def test_attributes_of_celeba(tmp_path):
    root = image_upload(tmp_path)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = [
        f"{file} {1 - 2 * (at % 2):2} {1 - 2 * (at % 3 // 2):2} {at % 4 // 2 * 2 - 1:2} "
        for at, file in enumerate(files)
    ]
    (root / "list_attr.txt").write_text("24\nRound Smiling Young \n" + "\n".join(lines) + "\n")
    report = converted(root)
    assert (report["task"], classes(report)) == ("multi_label", {"Round": 12, "Smiling": 16, "Young": 12})


def test_lists_of_name_frames_and_label(tmp_path):
    root = image_upload(tmp_path)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    for part, at in (("train", slice(0, None, 2)), ("val", slice(1, None, 2))):
        lines = [f"{file} 10 {int('dark' in file)}" for file in files[at]]
        (root / f"{part}_list.txt").write_text("\n".join(lines) + "\n")
    report = converted(root)
    assert (classes(report), report["split"]["how"]) == ({"0": 12, "1": 12}, "given")


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("height,supplier,charges", ["A", "B", "C"]),
        ("", ["M", "F", "I"]),  # nothing tells
    ],
)
def test_amounts_that_stand_last_are_told(tmp_path, header, cells):
    amounts = [f"{1000 + i * 137 % 211}" for i in range(211)]
    report = converted(put(tmp_path, {"a.csv": table(header, cells, amounts, rows=240)}))
    last = header.rpartition(",")[2] or "column_2"
    assert f"but {last!r} could be it too" in warnings(report)


@pytest.mark.parametrize("header", ["height,site,weight,month", "height,species,weight"])
def test_but_not_where_the_label_is_clear(tmp_path, header):
    columns = [["a", "b"], [number(i * 5) for i in range(59)], ["3", "4", "5"]][: header.count(",")]
    assert "weight" not in warnings(converted(put(tmp_path, {"a.csv": table(header, *columns)}), target=None))


def test_columns_of_true_and_false_at_the_end_are_labels(tmp_path):
    flags = [["True", "False"], ["False", "True", "False"], ["True", "True", "False", "False", "True"]]
    report = converted(put(tmp_path, {"a.csv": table("height,rock,jazz,pop", *flags)}))
    assert (report["task"], classes(report)) == ("multi_label", {"rock": 30, "jazz": 20, "pop": 36})
    assert "hold only false and true" in warnings(report)


@pytest.mark.parametrize(
    ("column", "cells", "groups"),
    [
        ("user", [f"user{i}" for i in range(9)], True),
        ("Proband", [f"VP{i:02}" for i in range(9)], True),
        ("subject", [str(i) for i in range(30)], True),
        ("user", ["anna1", "bo2", "cem3"], True),
        ("person", ["1", "2", "3", "4"], False),  # how many
        ("subject", [f"Re: meeting {i}" for i in range(9)], False),
        ("author", ["Ann", "Bo", *(f"C{i}" for i in range(9))], False),
    ],
)
def test_groups_by_bare_names(column, cells, groups):
    assert names_groups(column, cells) == groups


def test_latitudes_and_longitudes():
    cells = ["47.12° N", "12.5° S", "3.25° N"]
    assert [find_writing(cells, ",").number(cell) for cell in cells] == [47.12, -12.5, 3.25]


def test_rooms_that_look_like_powers_are_names(tmp_path):
    report = converted(put(tmp_path, {"a.csv": table("height,room", ["1E2", "2E2", "1E3"])}))
    assert list(classes(report)) == ["1E2", "2E2", "1E3"]


def test_columns_of_tools_for_labelling_are_no_features(tmp_path):
    lines = [
        f"{i + 9},{i % 2},2023-01-01T10:{i:02}:00Z,{i},{number(i)},{'pos' if i % 3 else 'neg'},"
        f"a {'good' if i % 3 else 'bad'} film number {i} with a long plot and no end,2023-01-01T11:{i:02}:00Z"
        for i in range(40)
    ]
    header = "annotation_id,annotator,created_at,id,lead_time,sentiment,text,updated_at"
    report = converted(put(tmp_path, {"export.csv": "\n".join([header, *lines]) + "\n"}))
    assert (report["modality"], report["options"]["target"], features(report)) == ("text", "sentiment", ["text"])


@pytest.mark.parametrize(("start", "kept"), [(842_302, False), (-300, True)])
def test_a_key_in_front_without_a_header(tmp_path, start, kept):
    lines = [f"{start + i * 37},{'MB'[i % 2]},{number(i)},{number(i * 7)}" for i in range(60)]
    report = converted(put(tmp_path, {"wdbc.data": "\n".join(lines) + "\n"}))
    assert (report["options"]["target"], "column_0" in features(report)) == ("column_1", kept)
