"""Pictures and sounds as public archives and tools for labelling hand them out."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters.media.table_files import class_of_list, joined_lists, read_label_table
from formatters.unpacking.idx import expand
from formatters.unpacking.limits import Tally
from tests.formatters.test_awkward_uploads import classes, converted, warnings
from tests.formatters.test_exports import pictures

LABELS = [["cat", "dog"][i % 2] for i in range(24)]


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def mnist(folder: Path, packed: bool, test_labels: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    made = {}
    for part, count in (("train", 60), ("t10k", 20)):
        made[part] = rng.integers(0, 255, (count, 8, 8), np.uint8)
        files = {f"{part}-images-idx3-ubyte": idx(made[part]), f"{part}-labels-idx1-ubyte": idx(np.arange(count) % 10)}
        if part == "t10k" and not test_labels:
            del files["t10k-labels-idx1-ubyte"]
        for name, content in files.items():
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return made


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_of_mnist(tmp_path, packed):
    (tmp_path / "in").mkdir()
    made = mnist(tmp_path / "in", packed)
    report = converted(tmp_path / "in")
    assert classes(report) == {str(i): 8 for i in range(10)}
    assert report["split"]["how"] == "given"
    assert report["counts"]["test"] == len(made["t10k"])


def test_pictures_of_mnist_without_labels_for_the_test(tmp_path):
    (tmp_path / "in").mkdir()
    mnist(tmp_path / "in", packed=False, test_labels=False)
    assert sum(classes(converted(tmp_path / "in")).values()) == 60


def test_damaged_pictures_of_mnist(tmp_path):
    (tmp_path / "in").mkdir()
    mnist(tmp_path / "in", packed=False)
    path = tmp_path / "in" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="train-images-idx3-ubyte is damaged or no idx file"):
        converted(tmp_path / "in")


@pytest.mark.parametrize("copied", [True, False])
def test_labels_of_mnist_in_folders_of_their_own(tmp_path, copied):
    (tmp_path / "in").mkdir()
    mnist(tmp_path / "in", packed=False)
    for path in list((tmp_path / "in").iterdir()):
        copy = path.with_name(path.name.replace("-idx", ".idx"))
        path.rename(copy)
        path.mkdir()
        (shutil.copy if copied else shutil.move)(copy, path / path.name)
    assert classes(converted(tmp_path / "in")) == {str(i): 8 for i in range(10)}


def test_two_different_files_of_labels_of_mnist(tmp_path):
    (tmp_path / "in" / "old").mkdir(parents=True)
    mnist(tmp_path / "in", packed=False)
    (tmp_path / "in" / "old" / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(60)))
    with pytest.raises(DataError, match="two different files train-labels-idx1-ubyte"):
        converted(tmp_path / "in")


@pytest.mark.parametrize("sizes", [(2**32 - 1, 0, 0), (3, 0, 0)])
def test_pictures_of_mnist_without_pixels(tmp_path, sizes):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "train-images-idx3-ubyte").write_bytes(struct.pack(">HBB3I", 0, 8, 3, *sizes))
    with pytest.raises(DataError, match="train-images-idx3-ubyte is damaged or no idx file"):
        converted(tmp_path / "in")


@pytest.mark.parametrize("other", ["train", "train/3", "train/3/00003.png"])
def test_other_files_where_the_pictures_of_mnist_go(tmp_path, other):
    (tmp_path / "in" / other).parent.mkdir(parents=True)
    (tmp_path / "in" / other).write_bytes(b"other")
    mnist(tmp_path / "in", packed=False)
    with pytest.raises(DataError, match="where other files have their names"):
        converted(tmp_path / "in")


def test_pictures_of_mnist_stay_inside_the_upload(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "..-images-idx3-ubyte").write_bytes(idx(np.zeros((24, 8, 8))))
    with pytest.raises(DataError, match="only dots before 'images'"):
        expand(tmp_path / "in", Tally(tmp_path / "in"))


def test_lists_of_1_and_minus_1_for_each_class(tmp_path):
    names = [f"2007_{i:06d}" for i in range(24)]
    pictures(tmp_path / "in", [f"JPEGImages/{name}.png" for name in names])
    lists = tmp_path / "in" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for k, kind in enumerate(("cat", "dog", "car")):
        flags = [" 1" if (i + k) % (k + 2) == 0 else "-1" for i in range(24)]
        both = [f"{name} {flag}\n" for name, flag in zip(names, flags, strict=True)]
        for part, chosen in (("train", both[:16]), ("val", both[16:]), ("trainval", both)):
            (lists / f"{kind}_{part}.txt").write_text("".join(chosen))
    report = converted(tmp_path / "in")
    assert (report["task"], classes(report)) == ("multi_label", {"car": 6, "cat": 12, "dog": 8})
    assert (report["split"]["how"], report["counts"]["test"]) == ("given", 8)


def class_lists(folder: Path, flags: dict[str, list[str]], header: str = "", mark: str = " ") -> None:
    pictures(folder, [f"2007_{i:06d}.png" for i in range(24)])
    for kind, own in flags.items():
        lines = [f"2007_{i:06d}{mark}{flag:>2}\n" for i, flag in enumerate(own)]
        (folder / f"{kind}_trainval.{'csv' if mark == ',' else 'txt'}").write_text(header + "".join(lines))


def test_objects_hard_to_see_are_of_the_class(tmp_path):
    flags = ["1", "0", "-1", "-1"] * 6
    class_lists(tmp_path / "in", {"cat": flags, "dog": flags[::-1]})
    assert classes(converted(tmp_path / "in")) == {"cat": 12, "dog": 12}


def test_the_header_of_a_list_of_a_class_is_no_picture(tmp_path):
    flags = ["1", "-1"] * 12
    class_lists(tmp_path / "in", {"cat": flags, "dog": flags[::-1]}, "image,flag\n", ",")
    lists = {path.name: read_label_table(path) for path in sorted((tmp_path / "in").glob("*.csv"))}
    joined = joined_lists(lists)
    assert joined
    assert [row[0] for row in joined.rows] == [f"2007_{i:06d}" for i in range(24)]


def test_a_list_whose_first_line_alone_holds_1(tmp_path):
    class_lists(tmp_path / "in", {"cat": ["1"] + ["-1"] * 23, "dog": ["-1", "1"] * 12})
    lists = {path.name: read_label_table(path) for path in sorted((tmp_path / "in").glob("*.txt"))}
    assert [class_of_list(path, table) for path, table in lists.items()] == ["cat", "dog"]
    joined = joined_lists(lists)
    assert joined
    assert (joined.rows[0][2:], len(joined.rows)) == (["1", "0"], 24)


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("via.csv", "filename,label,shape", '{i}.png,{label},"{{""c"": ' + "1" * 5000 + '}}"'),  # too long a number
        ("via.csv", "filename,size,attributes", '{i}.png,{i},"{{""class"":""{label}""}}"'),
        ("labels.xls", "filename\tlabel", "{i}.png\t{label}"),
    ],
)
def test_labels_in_a_table_beside(tmp_path, name, header, row):
    pictures(tmp_path / "in", [f"{i}.png" for i in range(24)])
    rows = [row.format(i=i, label=label) for i, label in enumerate(LABELS)]
    (tmp_path / "in" / name).write_text("\n".join([header, *rows]) + "\n")
    assert classes(converted(tmp_path / "in")) == {"cat": 12, "dog": 12}


def test_objects_of_cells_with_other_keys_in_each(tmp_path):
    own = ({f"k{10 * i + k}": 1 for k in range(10)} for i in range(60))
    rows = (f"{i}.png|{LABELS[i % 24]}|{json.dumps(one)}\n" for i, one in enumerate(own))
    (tmp_path / "via.csv").write_text("filename|label|shape\n" + "".join(rows))
    assert read_label_table(tmp_path / "via.csv").columns == ["filename", "label", "shape"]


def test_videos_beside_the_pictures_of_a_class_are_told(tmp_path):
    pictures(tmp_path / "in", [f"{label}/{i}.png" for i, label in enumerate(LABELS)])
    (tmp_path / "in" / "cat" / "VID_1.mp4").write_bytes(bytes(99))
    assert "not read as images (.mp4)" in warnings(converted(tmp_path / "in"))


@pytest.mark.parametrize("folders", [["100APPLE", "101APPLE"], ["2021-03-01", "2021-03-02"], ["2020", "2021"]])
def test_folders_of_a_camera_or_days_are_told(tmp_path, folders):
    pictures(tmp_path / "in", [f"{folders[i % 2]}/{i}.png" for i in range(24)])
    assert "look like those of a camera, or dates" in warnings(converted(tmp_path / "in"))


def test_a_split_by_numbers_of_pictures_is_told(tmp_path):
    pictures(tmp_path / "in", [f"images/{label}/{label}_{i}.png" for i, label in enumerate(LABELS)])
    (tmp_path / "in" / "train_test_split.txt").write_text("".join(f"{i + 1} {int(i < 16)}\n" for i in range(24)))
    assert "train_test_split.txt numbers the files" in warnings(converted(tmp_path / "in"))


def test_boxes_of_objects_are_told(tmp_path):
    pictures(tmp_path / "in", [f"{i}.png" for i in range(24)])
    rows = (f"{i}.png,{label},1,2,{9 + i % 3},9\n" for i, label in enumerate(LABELS))
    (tmp_path / "in" / "_annotations.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n" + "".join(rows))
    assert "_annotations.csv tells boxes of objects" in warnings(converted(tmp_path / "in"))


def test_a_folder_of_labels_beside_texts_is_no_class(tmp_path):
    for i, label in enumerate(LABELS):
        for folder, content in (("texts", f"what {i} people said of the film"), ("labels", label)):
            path = tmp_path / "in" / folder / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    with pytest.raises(DataError, match="folder 'labels' has the same names of files as 'texts'"):
        converted(tmp_path / "in")


@pytest.mark.parametrize("folders", [["mask", "no_mask"], ["with_mask", "without_mask", "mask_worn_wrongly"]])
def test_classes_with_and_without_masks(tmp_path, folders):
    pictures(tmp_path / "in", [f"{folder}/{i}.png" for folder in folders for i in range(12)])
    assert classes(converted(tmp_path / "in")) == dict.fromkeys(folders, 12)


def test_classes_that_differ_in_numbers_are_told(tmp_path):
    folders = ["walk-2023-01-01_10", "walk-2023-01-02_11", "sit-2023-01-01_12", "sit-2023-01-02_13"]
    pictures(tmp_path / "in", [f"{folders[i % 4]}/{i}.png" for i in range(24)])
    report = converted(tmp_path / "in")
    assert "differ only in numbers" in warnings(report)
    fixes = [fix for doubt in report["doubts"] for fix in doubt["fixes"] if fix["title"] == "Merge these classes"]
    assert len(fixes[0]["edits"]) == 2
