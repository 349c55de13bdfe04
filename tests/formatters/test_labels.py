"""Class folders, labels tables in all their shapes, and what is wrong with some of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.media.labels import Labelled, labelled_files
from formatters.media.order import natural


def label(
    root: Path, files: list[str], table: str = "", name: str = "labels.csv", target: str | None = None
) -> Labelled:
    """Labels of empty .png files, perhaps with a table beside them."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x")
    if table:
        (root / name).write_text(table)
    return labelled_files(root, (".png",), Options(target=target), "images")


def pairs(result: Labelled) -> dict[str, tuple[str, ...]]:
    return {sample.source: sample.labels for sample in result.samples}


FLAT = [f"{i}.png" for i in range(8)]


def table_of(header: str, *cells: str) -> str:
    return "\n".join([header, *(f"{i}.png,{cell}" for i, cell in enumerate(cells))]) + "\n"


def test_class_folders_in_natural_order(tmp_path: Path) -> None:
    result = label(tmp_path, ["10/a.png", "9/a.png", "9/b.png", "9/note.md", "lost.png"])
    assert pairs(result) == {"9/a.png": ("9",), "9/b.png": ("9",), "10/a.png": ("10",)}
    assert result.label_names == ["9", "10"]
    assert {entry["path"]: entry["why"] for entry in result.findings.ignored} == {
        "lost.png": "stands outside the class folders",
        "9/note.md": "not one of the images",
    }
    assert "outside the class folders" in result.findings.doubts[0].what


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Testing"), ("train", "test", "valid")])
def test_train_and_test_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    result = label(tmp_path, [f"images/{side}/{c}/{i}.png" for side in names for c in ("cat", "dog") for i in range(2)])
    assert result.label_names == ["cat", "dog"]
    sides = {sample.source.split("/")[1]: sample.split for sample in result.samples}
    assert sides == {name: "test" if name.lower().startswith("test") else "train" for name in names}


def test_classes_that_are_called_train_and_test(tmp_path: Path) -> None:
    result = label(tmp_path, ["train/1.png", "bus/1.png", "car/1.png"])
    assert result.label_names == ["bus", "car", "train"]
    assert {sample.split for sample in result.samples} == {None}


def test_folders_within_class_folders(tmp_path: Path) -> None:
    result = label(tmp_path, ["cat/day1/1.png", "cat/day2/1.png", "dog/day1/1.png"])
    assert result.label_names == ["cat", "dog"]
    assert "day1, day2" in result.findings.doubts[0].what


@pytest.mark.parametrize("how", ["{}", "images/{}", "./images/{}", "/home/me/images/{}", "..\\images\\{}", "bare"])
def test_file_names_in_all_shapes(tmp_path: Path, how: str) -> None:
    rows = [f"{'ab'[i % 2]},{str(i) if how == 'bare' else how.format(f'{i}.PNG')}" for i in range(8)]
    result = label(tmp_path, [f"images/{i}.png" for i in range(8)], "\n".join(["what,pic", *rows]))
    assert pairs(result) == {f"images/{i}.png": ("ab"[i % 2],) for i in range(8)}
    assert result.findings.target == "what"
    assert result.findings.ignored == []


@pytest.mark.parametrize("header", ["", "file label\n"])
def test_a_list_with_blanks(tmp_path: Path, header: str) -> None:
    table = header + "".join(f"{i}.png {'ab'[i % 2]}\n" for i in range(8))
    assert pairs(label(tmp_path, FLAT, table, "list.txt")) == {f"{i}.png": ("ab"[i % 2],) for i in range(8)}


def test_words_are_the_classes_where_numbers_stand_for_them(tmp_path: Path) -> None:
    cells = [f"{i % 3},{('dog', 'rain', 'saw')[i % 3]},{i // 3}" for i in range(8)]
    assert label(tmp_path, FLAT, table_of("file,target,category,take", *cells)).label_names == ["dog", "rain", "saw"]


def test_a_json_list(tmp_path: Path) -> None:
    table = json.dumps([{"image": f"{i}.png", "label": "ab"[i % 2]} for i in range(8)])
    assert label(tmp_path, FLAT, table, "labels.json").label_names == ["a", "b"]


def test_a_contest_form_holds_no_labels(tmp_path: Path) -> None:
    files = [f"train/{c}/{i}.png" for c in "ab" for i in range(4)] + ["test/0.png"]
    result = label(tmp_path, files, "id,label\n0,0\n", "sample_submission.csv")
    assert result.label_names == ["a", "b"]


def test_a_split_column_and_a_group_column(tmp_path: Path) -> None:
    cells = [f"{'ab'[i % 2]},{'train' if i < 6 else 'TEST'},g{i // 2}" for i in range(8)]
    result = label(tmp_path, FLAT, table_of("FileName,Labels,subset,group", *cells))
    assert [sample.split for sample in result.samples] == ["train"] * 6 + ["test"] * 2
    assert [sample.group for sample in result.samples] == ["g0", "g0", "g1", "g1", "g2", "g2", "g3", "g3"]
    assert result.findings.target_candidates == ["Labels"]


def test_several_0_1_columns_are_several_labels(tmp_path: Path) -> None:
    cells = ["1,0,1", "0,0,0", "1,1,0", "0,1,0"] * 2
    result = label(tmp_path, FLAT, table_of("file,red,green,blue", *cells))
    assert result.multi_label
    assert result.label_names == ["red", "green", "blue"]
    assert pairs(result)["0.png"] == ("red", "blue")
    assert pairs(result)["1.png"] == ()


def test_one_hot_columns_are_one_label(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("image,MEL,NV", *["1.0,0.0", "0.0,1.0"] * 4))
    assert not result.multi_label
    assert pairs(result)["1.png"] == ("NV",)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["a|b", "a", "b", "c|a"] * 2, ["a", "b", "c"]),
        (['"a, b"', "a", "b", '"c, a"'] * 2, ["a", "b", "c"]),
        (["3 7", "3", "7", "12 3"] * 2, ["3", "7", "12"]),
        (["\"['a', 'b']\"", "['a']", "['b']", "\"['c', 'a']\""] * 2, ["a", "b", "c"]),
    ],
)
def test_separated_lists(tmp_path: Path, cells: list[str], names: list[str]) -> None:
    result = label(tmp_path, FLAT, table_of("file,labels", *cells))
    assert result.multi_label
    assert result.label_names == names
    assert pairs(result)["0.png"] == tuple(names[:2])


def test_blanks_and_commas_within_a_label(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("file,label", *['"Washington, DC"', "New York"] * 4))
    assert not result.multi_label
    assert result.label_names == ["New York", "Washington, DC"]


def test_confidence_pairs_of_the_challenge(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("FileName,LabelConfidencePairs", *["2 0.4 7 0.6", "7 1.0"] * 4))
    assert pairs(result)["0.png"] == ("2", "7")
    assert result.multi_label


def test_one_row_per_label(tmp_path: Path) -> None:
    table = "file,label\n" + "".join(f"{i}.png,a\n{i}.png,{'ab'[i % 2]}\n" for i in range(8))
    result = label(tmp_path, FLAT, table)
    assert result.multi_label
    assert pairs(result)["1.png"] == ("a", "b")
    assert "several rows" in result.findings.doubts[0].what


def test_label_names_of_the_challenge(tmp_path: Path) -> None:
    (tmp_path / "label.name").write_text("cat\ndog\n")
    result = label(tmp_path, FLAT, table_of("FileName,Labels", *"01010101"))
    assert result.label_names == ["cat", "dog"]
    assert pairs(result)["1.png"] == ("dog",)


def test_the_label_column_is_found_by_its_name_or_its_few_values(tmp_path: Path) -> None:
    cells = [f"{0.1 * i},{'xy'[i % 2]},{'ab'[i // 4]}" for i in range(8)]
    cells2 = [f"{'ab'[i // 4]},{0.1 * i},{'xy'[i % 2]}" for i in range(8)]
    named = label(tmp_path, FLAT, table_of("file,size,speaker,label", *cells))
    assert named.findings.target == "label"
    assert (named.findings.target_candidates, named.findings.doubts) == (["label", "speaker"], [])
    guessed = label(tmp_path, FLAT, table_of("file,word,size,speaker", *cells2))
    assert guessed.findings.target == "speaker"
    assert (guessed.findings.doubts[0].level, "'word' could be it too" in guessed.findings.doubts[0].what) == (
        "warning",
        True,
    )
    chosen = label(tmp_path, FLAT, table_of("file,word,size,speaker", *cells2), target="word")
    assert (chosen.findings.target, chosen.findings.doubts) == ("word", [])


def test_tables_for_train_and_test(tmp_path: Path) -> None:
    (tmp_path / "test_labels.csv").write_text(table_of("file,label", *"ab"))
    rows = "file,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(2, 8))
    result = label(tmp_path, FLAT, rows, "train_labels.csv")
    assert [sample.split for sample in result.samples] == ["test"] * 2 + ["train"] * 6


def test_files_without_a_row_are_left_out_and_told(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("file,label", *"abab"))
    assert len(result.samples) == 4
    assert result.findings.ignored[0] == {"path": "4.png", "why": "has no label in labels.csv"}
    assert "4 of 8 files have no label" in result.findings.doubts[0].what


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            table_of("file,label", *"abababababab"),
            r"row 10 of labels\.csv names '8\.png', which is not in the upload \(and 3",
        ),
        ("file,label\na.png,x\nb.png,y\n", r"row 2 of labels\.csv names 'a\.png', which is not in the upload"),
        ("file,label\n" + "".join(f"{i}.png,a\n" for i in range(7)) + "7.png\n", "ragged|has 1 field"),
        ("", "No labels found: all images stand in one folder"),
        (table_of("file,width", *"12345678"), "labels.csv names the files, but holds no label: the values of 'width'"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        label(tmp_path, FLAT, table)


def test_a_name_that_fits_two_files(tmp_path: Path) -> None:
    files = [f"{folder}/{i}.png" for folder in ("x", "y") for i in range(4)]
    with pytest.raises(DataError, match=r"which can be x/0\.png or y/0\.png"):
        label(tmp_path, files, table_of("file,label", *"abab"))


def test_a_target_that_is_no_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'colour' to use as target; choose one of 'kind'"):
        label(tmp_path, FLAT, table_of("file,kind", *"abababab"), target="colour")


def test_natural_order() -> None:
    assert sorted(["b2", "B10", "a", "2", "10"], key=natural) == ["2", "10", "a", "b2", "B10"]


def in_folders(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{i}.png" for folder in folders for i in range(count)]


@pytest.mark.parametrize("names", ["seg_{0}/seg_{0}", "{0}ing_set/{0}ing_set", "{0}2024", "data-{0}/images", "{0}/{0}"])
def test_folders_named_after_a_part_are_no_classes(tmp_path: Path, names: str) -> None:
    train, test = names.format("train"), names.format("test")
    result = label(tmp_path, in_folders(f"{train}/oak", f"{train}/elm", f"{test}/oak", f"{test}/elm"))
    assert result.label_names == ["elm", "oak"]
    assert {sample.source.startswith(test): sample.split for sample in result.samples} == {True: "test", False: "train"}


@pytest.mark.parametrize("bare", ["Test", "test/images", "test/test", "pred/pred", "unsup", "test1"])
def test_parts_without_labels_are_left_out_and_told(tmp_path: Path, bare: str) -> None:
    result = label(tmp_path, in_folders("Train/oak", "Train/elm", bare))
    assert result.label_names == ["elm", "oak"]
    assert len(result.samples) == 6
    assert all(entry["why"].startswith("belongs to a part without labels") for entry in result.findings.ignored)
    assert "3 of the images" in result.findings.doubts[0].what


def test_validation_is_the_test_where_the_test_has_no_labels(tmp_path: Path) -> None:
    result = label(tmp_path, in_folders("train/oak", "train/elm", "val/oak", "val/elm", "test"))
    assert {sample.source.split("/")[0]: sample.split for sample in result.samples} == {"train": "train", "val": "test"}


def test_a_data_set_that_holds_a_copy_of_itself(tmp_path: Path) -> None:
    result = label(tmp_path, in_folders("oak", "elm", "trees/oak", "trees/elm"))
    assert [sample.source.split("/")[0] for sample in result.samples] == ["elm"] * 3 + ["oak"] * 3
    assert "a copy of the same file further up" in result.findings.doubts[-1].what


def test_two_classes_that_are_parts_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'test' and 'train' beside extra look like the parts of a split"):
        label(tmp_path, in_folders("train/oak", "test/oak", "extra"))


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("train/{0}.{1}.png", ["elm", "oak"]),
        ("0{1}-{0}-speaker{1}.png", ["elm", "oak"]),
        ("{0}{1}.png", ["elm", "oak"]),
        ("red_{0}_{1}.png", ["elm", "oak"]),
    ],
)
def test_the_class_in_the_names_of_files(tmp_path: Path, names: str, classes: list[str]) -> None:
    result = label(tmp_path, [names.format(c, i) for c in ("oak", "elm") for i in range(4)])
    assert result.label_names == classes
    assert "taken from the names of the files" in result.findings.doubts[0].what


def test_numbers_and_names_of_devices_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No labels found"):
        label(tmp_path, [f"{device}_{i}.png" for device in ("IMG", "DSC") for i in range(4)])


def rows_of(files: list[str]) -> list[tuple[str, str]]:
    return [(file, "ab"[i % 2]) for i, file in enumerate(files)]


TABLES = {
    "labels.jsonl": lambda rows: "\n".join(json.dumps({"file_name": f, "label": c}) for f, c in rows),
    "map.json": lambda rows: json.dumps(dict(rows)),
    "by_class.json": lambda rows: json.dumps({c: [f for f, d in rows if d == c] for c in "ab"}),
    "dataset.json": lambda rows: json.dumps({"labels": [list(row) for row in rows]}),
    "nested.json": lambda rows: json.dumps({f: {"label": c} for f, c in rows}),
    "list.txt": lambda rows: "\n".join(f"{f} {c}" for f, c in rows),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_other_kinds(tmp_path: Path, name: str) -> None:
    result = label(tmp_path, FLAT, TABLES[name](rows_of(FLAT)), name)
    assert pairs(result) == {file: (c,) for file, c in rows_of(FLAT)}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([f"x/{i}.png" for i in range(8)], [f"{i}.jpg" for i in range(8)]),
        ([f"x/{i:04d}.png" for i in range(8)], [str(i) for i in range(8)]),
        ([f"x/{i}.png" for i in range(8)], [f"{i:03d}.png" for i in range(8)]),
        ([f"Stra\u00dfe u\u0308 {i}.png" for i in range(8)], [f"Stra\u00dfe \u00fc {i}.png" for i in range(8)]),
        ([f"my shot ä{i}.png" for i in range(8)], [f"my%20shot%20%C3%A4{i}.png" for i in range(8)]),
        ([f"x/shot{i}.png" for i in range(8)], [f"/data/upload/1/0a1b2c3{i}-shot{i}.png" for i in range(8)]),
    ],
)
def test_names_that_differ_a_little(tmp_path: Path, files: list[str], names: list[str]) -> None:
    table = "file,label\n" + "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    assert pairs(label(tmp_path, files, table)) == {file: (c,) for file, c in rows_of(files)}


def test_names_in_train_and_test_mean_the_side_of_the_table(tmp_path: Path) -> None:
    files = [f"{side}/{i}.png" for side in ("Train", "Test") for i in range(6)]
    table = "id,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(6))
    result = label(tmp_path, files, table, "train_labels.csv")
    assert {sample.source.split("/")[0] for sample in result.samples} == {"Train"}


def test_a_few_missing_files_are_left_out_and_told(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("file,label", *"ababababa"))
    assert len(result.samples) == 8
    assert "row 10 of labels.csv names '8.png', which is not in the upload; left out" in result.findings.doubts[0].what


def test_0_and_0_0_are_one_class(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(table_of("file,label", "0.0", "1.0", "0.0", "1.0"))
    rows = "file,label\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(4, 8))
    assert label(tmp_path, FLAT, rows, "train.csv").label_names == ["0", "1"]


def test_minus_1_is_no(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("file,Smiling,Young", *["1,-1", "1,1", "-1,-1", "-1,1"] * 2))
    assert (result.multi_label, pairs(result)["0.png"]) == (True, ("Smiling",))


@pytest.mark.parametrize("name", ["SampleSubmission.csv", "submission_format.csv", "submit_here.csv"])
def test_forms_to_be_filled_in_hold_no_labels(tmp_path: Path, name: str) -> None:
    files = in_folders("train/oak", "train/elm", "test")
    (tmp_path / name).write_text("id,label\n" + "".join(f"test/{i}.png,oak\n" for i in range(3)))
    assert len(label(tmp_path, files).samples) == 6


def test_lists_of_train_and_test_and_names_of_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("1 oak\n2 elm\n")
    (tmp_path / "trainlist01.txt").write_text("".join(f"{i}.png {i % 2 + 1}\n" for i in range(6)))
    result = label(tmp_path, FLAT, "".join(f"{i}.png {i % 2 + 1}\n" for i in (6, 7)), "testlist01.txt")
    assert result.label_names == ["elm", "oak"]
    assert [sample.split for sample in result.samples] == ["train"] * 6 + ["test"] * 2


def test_folders_and_a_table_of_the_test(tmp_path: Path) -> None:
    files = in_folders("Train/oak", "Train/elm", "Test")
    result = label(tmp_path, files, "Path,ClassId\n" + "Test/0.png,oak\nTest/1.png,elm\nTest/2.png,oak\n", "Test.csv")
    assert len(result.samples) == 9
    assert {sample.source.split("/")[0]: sample.split for sample in result.samples} == {
        "Train": "train",
        "Test": "test",
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", json.dumps({"images": [], "annotations": [], "categories": []}), "a.json is a COCO file"),
        ("all/0.xml", "<annotation><object><bndbox/></object></annotation>", "all/0.xml holds boxes of objects"),
        ("all/0.txt", "0 0.5 0.5 0.1 0.1\n3 0.1 0.2 0.3 0.4\n", "all/0.txt holds boxes of objects"),
        ("masks/0.png", "x", "masks/0.png is a mask"),
        ("odd.json", '{"a": 1, "b": [2]}', "odd.json holds no rows of file names and labels"),
    ],
)
def test_other_tasks_and_tables_not_understood_are_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    files = in_folders("all") + ["masks/0.png"] * name.startswith("masks")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=said):
        label(tmp_path, files, content, name)


@pytest.mark.parametrize("mask", ["{0}/{1}_mask.png", "{0}/masks/{1}.png", "{0}/{1}-seg.png"])
def test_masks_beside_images_are_left_out(tmp_path: Path, mask: str) -> None:
    files = [f"{c}/{'images/' * ('masks/' in mask)}{i}.png" for c in ("oak", "elm") for i in range(3)]
    result = label(tmp_path, files + [mask.format(c, i) for c in ("oak", "elm") for i in range(3)])
    assert (result.label_names, len(result.samples)) == (["elm", "oak"], 6)
    assert "6 files are left out, each a mask" in result.findings.doubts[-1].what


def test_a_form_that_names_the_test_files_like_the_train_files(tmp_path: Path) -> None:
    files = [f"{side}/{i}.png" for side in ("train", "test") for i in range(6)]
    (tmp_path / "example_entry.csv").write_text("id,kind\n" + "".join(f"{i},a\n" for i in range(6)))
    result = label(tmp_path, files, "id,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(6)), "train.csv")
    assert pairs(result) == {f"train/{i}.png": ("ab"[i % 2],) for i in range(6)}


def test_constant_columns_are_no_labels(tmp_path: Path) -> None:
    table = "".join(f"{i}.png {i % 2 + 1} 1 1\n" for i in range(8))
    assert label(tmp_path, FLAT, table, "list.txt").label_names == ["1", "2"]


def test_unlabelled_folders_among_the_classes_of_a_part(tmp_path: Path) -> None:
    result = label(tmp_path, in_folders("train/pos", "train/neg", "train/unsup", "test/pos", "test/neg"))
    assert result.label_names == ["neg", "pos"]
    assert "3 of the images (train/unsup) have no label" in result.findings.doubts[0].what


def test_minus_1_beside_0_is_told(tmp_path: Path) -> None:
    result = label(tmp_path, FLAT, table_of("file,Edema,Mass", *["1,0", "0,1", "-1,0", "0,1"] * 2))
    assert "'Edema' holds -1 beside 0 and 1" in result.findings.doubts[0].what
