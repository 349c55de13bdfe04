"""Time series: .ts files and wide CSVs; gaps, padding, channels; new series."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters import recipe as recipes
from formatters.base import Options, Table
from formatters.detect import detect
from formatters.modalities import timeseries
from formatters.series import recordings
from formatters.unpacking.archive import unpack

HEAD = "# a comment\n@problemName toy\n@timeStamps false\n@classLabel true up down\n@data\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(files: dict[str, str], **options) -> Table:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content, "utf-8")
        assert detect(tmp_path, Options(**options), "a.zip").formatter == "timeseries"
        return timeseries.read(tmp_path, Options(**options))

    return read


def recipe_of(table: Table) -> dict:
    made = recipes.make(table.modality, table.label_names, table.multi_label, table.spec, table.recipe)
    return json.loads(json.dumps(made))


def curve(i: int, length: int = 30, shift: float = 0) -> list[str]:
    return [f"{math.sin(t / (3 + 2 * (i % 2)) + i + shift):.4f}" for t in range(length)]


def test_fixed_length_with_channels(read):
    table = read({"a.ts": HEAD + "1,2,3:4,5,6:up\n7,8,9:0,1,2:down\n" * 3})
    assert table.spec.domain == "series"
    assert (table.spec.sequence_size, table.spec.num_channels) == (3, 2)
    assert table.steps(0).tolist() == [[[[1, 4]]], [[[2, 5]]], [[[3, 6]]]]
    assert table.label_names == ["up", "down"]
    assert table.samples[1].source == "a.ts, line 7"
    assert table.preview(0, Path("x")) == {"kind": "series", "series": [[1, 2, 3], [4, 5, 6]]}


@pytest.mark.parametrize("huge", ["9" * 40, "-1e200"])
def test_values_beyond_float32_become_the_largest(read, huge):
    table = read({"a.ts": HEAD + f"1,{huge},3:4,5,6:up\n7,8,9:0,1,2:down\n" * 3})
    assert np.isfinite(table.steps(0)).all()


def test_padding_is_cut_and_gaps_are_filled(read):
    table = read({"a.ts": HEAD + "1,?,3,NaN,NaN:5,6,7,NaN,NaN:up\n1,2,3,4,5:1,2,3,4,5:down\n" * 3})
    assert table.spec.sequence_size == -1
    assert table.steps(0)[:, 0, 0].tolist() == [[1, 5], [2, 6], [3, 7]]
    assert any("3 series had gaps" in doubt.what for doubt in table.findings.doubts)
    assert table.findings.stats[0] == {"name": "length", "unit": "steps", "min": 3, "median": 4.0, "max": 5}


def test_channels_of_different_length(read):
    table = read({"a.ts": HEAD + "1,2,3:4,5:up\n7,8,9:0,1,2:down\n" * 3})
    assert table.steps(0)[:, 0, 0].tolist() == [[1, 4], [2, 5], [3, 5]]


def test_zero_padding_is_told_and_kept(read):
    table = read({"a.ts": HEAD + "1,2,0,0,0:up\n1,2,3,0,0:down\n" * 5})
    assert table.spec.sequence_size == 5
    assert any("as if padded" in doubt.what for doubt in table.findings.doubts)


def test_train_and_test_files(read):
    case = "1,2,3:up\n3,2,1:down\n"
    table = read({"Toy_TRAIN.ts": HEAD + case * 4, "Toy_TEST.ts": HEAD + case})
    assert Counter(sample.split for sample in table.samples) == {"train": 8, "test": 2}


def test_time_stamps_and_regression(read):
    head = "@problemName t\n@timeStamps true\n@targetLabel true\n@data\n"
    table = read({"a.ts": head + "".join(f"(0,{i}),(1,2.5),(5,3):{i}.5\n" for i in range(6))}, label_cuts="median")
    assert table.steps(4).ravel().tolist() == [4, 2.5, 3]
    assert table.label_names == ["≤ 3", "> 3"]
    assert ["time stamps" in doubt.what for doubt in table.findings.doubts] == [True]


def test_wide_csv_by_names(read):
    rows = "".join(",".join(curve(i)) + f",{'ab'[i % 2]}\n" for i in range(20))
    table = read({"a.csv": ",".join(f"t{i}" for i in range(30)) + ",label\n" + rows})
    assert (table.findings.target, table.spec.sequence_size, table.spec.num_channels) == ("label", 30, 1)
    assert table.steps(2).ravel().tolist() == [np.float32(value) for value in curve(2)]


def test_wide_tsv_without_header_by_smoothness(read):
    files = {
        f"G_{side}.tsv": "".join(f"{i % 2 + 1}\t" + "\t".join(curve(i, 40, shift)) + "\n" for i in range(20))
        for side, shift in (("TRAIN", 0), ("TEST", 0.5))
    }
    table = read(files)
    assert (table.findings.target, table.spec.sequence_size) == ("column_0", 40)
    assert Counter(sample.split for sample in table.samples) == {"train": 20, "test": 20}


def test_wide_csv_with_channels(read):
    header = ",".join([f"ax_{i}" for i in range(30)] + [f"ay_{i}" for i in range(30)]) + ",activity\n"
    rows = "".join(",".join(curve(i) + curve(i, 30, 1)) + f",{'ab'[i % 2]}\n" for i in range(20))
    table = read({"a.csv": header + rows})
    assert (table.spec.sequence_size, table.spec.num_channels) == (30, 2)
    expected = np.float32([float(v) for v in curve(3, 30, 1)])
    np.testing.assert_array_equal(table.steps(3)[:, 0, 0, 1], expected)


def test_new_series(read, tmp_path):
    recipe = recipe_of(read({"a.ts": HEAD + "1,2,3:4,5,6:up\n7,8,9:0,1,2:down\n" * 3}))
    new = tmp_path / "new.ts"
    new.write_text("@problemName n\n@classLabel false\n@data\n1,?,5:1,1,1\n")
    new_data = timeseries.encode(recipe, new)
    names, examples = new_data.names, new_data.examples
    assert names == ["new.ts, line 4"]
    assert examples.steps(0)[:, 0, 0, 0].tolist() == [1, 3, 5]
    one_series = tmp_path / "one.csv"
    one_series.write_text("x,y\n1,4\n2,5\n3,6\n")
    assert timeseries.encode(recipe, one_series).examples.steps(0)[:, 0, 0].tolist() == [[1, 4], [2, 5], [3, 6]]
    new.write_text("@problemName n\n@classLabel false\n@data\n1,2,3,4:1,1,1,1\n")
    with pytest.raises(DataError, match="has 4 steps but the model learned from 3"):
        recipes.encode(recipe, new)
    new.write_text("@problemName n\n@classLabel false\n@data\n1,2,3\n")
    with pytest.raises(DataError, match="1 channel but the model learned from 2"):
        recipes.encode(recipe, new)


def test_new_rows_of_a_wide_csv(read, tmp_path):
    header = ",".join(f"t{i}" for i in range(30))
    rows = "".join(",".join(curve(i)) + f",{'ab'[i % 2]}\n" for i in range(20))
    table = read({"a.csv": header + ",label\n" + rows})
    new = tmp_path / "new.csv"
    new.write_text(header + "\n" + ",".join(curve(5)) + "\n")
    new_data = timeseries.encode(recipe_of(table), new)
    names, examples = new_data.names, new_data.examples
    assert names == ["row 1"]
    np.testing.assert_array_equal(examples.steps(0), table.steps(5))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (HEAD + "1,2,3:up\n1,z,3:down\n", "line 7 of a.ts: could not convert"),
        (HEAD + "1,2,3:4,5,6:up\n1,2,3:down\n", "line 7 of a.ts has 1 channel"),
        (HEAD, "no cases after @data"),
        ("@problemName x\n@classLabel false\n@data\n1,2,3\n", "line 4 of a.ts has no label"),
        (HEAD + "1,2:up\n?,?:down\n", "a.ts, line 7 holds no values"),
        (HEAD + "1:up\n2:down\n", "a single step"),
    ],
)
def test_refused_in_one_sentence(tmp_path, content, sentence):
    (tmp_path / "a.ts").write_text(content)
    with pytest.raises(DataError, match=sentence):
        timeseries.read(tmp_path, Options())


def test_a_transport_stream_is_no_series(tmp_path):
    (tmp_path / "a.ts").write_bytes(b"\x47\x40\x11\x10" * 500)
    assert timeseries.sniff(tmp_path, Options()) is None


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "counts", "length", "channels", "sides"),
    [
        (
            "basic_motions",
            dict.fromkeys(("Standing", "Running", "Walking", "Badminton"), 20),
            100,
            6,
            {"train", "test"},
        ),
        ("japanese_vowels", {str(i): 30 for i in range(9)}, 29, 12, {None}),
        ("gunpoint_csv", {"Gun": 100, "Point": 100}, 150, 1, {None}),
    ],
)
def test_real_sets(real_data, tmp_path, name, counts, length, channels, sides):
    source = real_data / "timeseries" / f"{name}.zip"
    root = unpack(source, tmp_path / "upload").root
    assert detect(root, Options(), name).formatter == "timeseries"
    table = timeseries.read(root, Options())
    assert Counter(sample.labels[0] for sample in table.samples) == counts
    assert table.label_names == list(counts)
    assert (table.spec.sequence_size, table.spec.num_channels) == (length, channels)
    assert {sample.split for sample in table.samples} == sides
    new_data = recipes.encode(recipe_of(table), source)
    names, examples = new_data.names, new_data.examples
    assert all(np.array_equal(examples.steps(i), table.steps(i)) for i in range(len(names)))


def test_a_series_in_a_cell(read, tmp_path):
    rows = "".join(f'{i},"[{", ".join(curve(i, 20 + i % 3))}]",{"ab"[i % 2]}\n' for i in range(20))
    table = read({"a.csv": "id,signal,label\n" + rows})
    assert (len(table.samples), table.spec.sequence_size, table.spec.num_channels) == (20, -1, 1)
    new = tmp_path / "new.csv"
    new.write_text('signal\n"[' + ", ".join(curve(5, 22)) + ']"\n')
    np.testing.assert_array_equal(timeseries.encode(recipe_of(table), new).examples.steps(0), table.steps(5))


def test_a_file_a_series_in_class_folders(tmp_path):
    for i in range(8):
        path = tmp_path / "in" / ("up", "down")[i % 2] / f"r{i}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("time,x\n" + "".join(f"{t},{value}\n" for t, value in enumerate(curve(i))))
    assert detect(tmp_path / "in", Options(), "a.zip").formatter == "timeseries"
    table = timeseries.read(tmp_path / "in", Options())
    assert Counter(sample.labels for sample in table.samples) == {("up",): 4, ("down",): 4}
    new_data = timeseries.encode(recipe_of(table), tmp_path / "in" / "up" / "r0.csv")
    names, examples = new_data.names, new_data.examples
    assert (names, examples.steps(0).shape) == (["r0.csv"], (30, 1, 1, 1))


def test_a_long_table(read, tmp_path):
    lines = [f"{i},{t},{value},{'ab'[i % 2]}\n" for i in range(8) for t, value in enumerate(curve(i))]
    table = read({"a.csv": "id,time,value,label\n" + "".join(lines)})
    assert (len(table.samples), table.spec.sequence_size, table.findings.target) == (8, 30, "label")
    new = tmp_path / "new.csv"
    new.write_text("id,time,value\n" + "".join(f"9,{t},{value}\n" for t, value in enumerate(curve(3))))
    new_data = timeseries.encode(recipe_of(table), new)
    names, examples = new_data.names, new_data.examples
    assert names == ["series 9"]
    np.testing.assert_array_equal(examples.steps(0), table.steps(3))


def test_a_constant_column_is_the_label_of_a_file(tmp_path):
    for i in range(8):
        activity = ("rest", "run")[i % 2]
        pairs = zip(curve(i), curve(i, 30, 2), strict=True)
        rows = "\n".join(f"{x},{y},{activity}" for x, y in pairs)
        (tmp_path / f"r{i}.csv").write_text(f"ax,ay,activity\n{rows}\n")
    table = recordings.read(tmp_path, Options())
    assert table.label_names == ["rest", "run"]
    assert table.recipe["channels"] == ["ax", "ay"]


@pytest.mark.parametrize("columns", ["a,b,label", "id,a,b", "a,b,note"])
def test_tables_in_parts_are_no_series(tmp_path, columns):
    rng = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / f"{2019 + i // 4}" / f"part{i}.csv"
        path.parent.mkdir(exist_ok=True)
        rows = []
        for row in range(40):
            a, b = rng.normal(size=2).round(3)
            cells = {"a": a, "b": b, "label": int(a > 0), "id": 40 * i + row, "note": "good" if b > 0 else "bad"}
            rows.append(",".join(str(cells[name]) for name in columns.split(",")))
        path.write_text("\n".join([columns, *rows]))
    assert recordings.sniff(tmp_path, Options()) is None


def test_a_header_of_wavelengths(read):
    header = ",".join(f"{400 + 1.5 * i}" for i in range(30))
    rows = "".join(f"{','.join(curve(i))},{('oak', 'elm')[i % 2]}\n" for i in range(20))
    table = read({"nir.csv": f"{header},species\n{rows}"})
    assert (len(table.samples), table.spec.sequence_size, table.label_names) == (20, 30, ["elm", "oak"])


def test_a_file_a_sensor(tmp_path):
    for side, count in (("train", 12), ("test", 6)):
        folder = tmp_path / "in" / side / "Signals"
        folder.mkdir(parents=True)
        for sensor in range(2):
            lines = ("  ".join(curve(i, 20, sensor)) for i in range(count))
            (folder / f"acc_{'xy'[sensor]}_{side}.txt").write_text("\n".join(lines))
        (folder.parent / f"y_{side}.txt").write_text("".join(f"{i % 2 + 1}\n" for i in range(count)))
    (tmp_path / "in" / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n")
    table = timeseries.read(tmp_path / "in", Options())
    assert (len(table.samples), table.spec.sequence_size, table.spec.num_channels) == (18, 20, 2)
    assert Counter(sample.split for sample in table.samples) == {"train": 12, "test": 6}
    assert table.label_names == ["WALKING", "SITTING"]
    new_data = timeseries.encode(recipe_of(table), tmp_path / "in" / "test" / "Signals")
    names, examples = new_data.names, new_data.examples
    assert len(names) == 6
    np.testing.assert_array_equal(examples.steps(1), table.steps(13 if table.samples[12].split == "test" else 1))


def test_a_bad_line_of_a_ts_file_is_left_out_and_told(read, tmp_path):
    good = "1,2,3:4,5,6:up\n7,8,9:0,1,2:down\n" * 5
    bad = "1,x,3:4,5,6:up\n1,2,3:up\n1,2,3:4,5,6:\n?,?,?:NaN,?,?:down\n"
    first, _, rest = good.partition("\n")
    table = read({"a.ts": HEAD + "1,2:up\n" + first + "\n" + bad + rest})
    assert (len(table.samples), table.label_names) == (10, ["up", "down"])
    told = [doubt.what for doubt in table.findings.doubts if doubt.level == "warning"]
    assert told[0].startswith("4 lines of a.ts are left out: line 6 of a.ts")
    assert told[1] == "1 series holds no values and is left out"
    new = tmp_path / "new.ts"
    new.write_text(HEAD + good + bad)
    found = timeseries.encode(recipe_of(table), new)
    assert len(found.names) == 14
    assert sorted(found.problems) == [10, 11, 13]  # a label is not needed
    assert found.names[11] == "new.ts, line 17"


def test_foreign_files_beside_those_of_sensors_get_an_entry(read, tmp_path):
    files = {
        f"{side}/{name}_{side}.txt": "\n".join(lines)
        for side in ("train", "test")
        for name, lines in {
            **{f"acc_{axis}": [" ".join(curve(i, 20, shift)) for i in range(12)] for shift, axis in enumerate("xy")},
            "y": [str(1 + i % 2) for i in range(12)],
        }.items()
    }
    broken = files["train/acc_x_train.txt"].split("\n")
    broken[4] = "0.1 0.2"
    table = read(files | {"train/acc_x_train.txt": "\n".join(broken)})
    assert len(table.samples) == 23
    assert any("line 5 has 2 fields" in doubt.what for doubt in table.findings.doubts)
    new = tmp_path / "new"
    for path, text in (files | {"test/photo.jpg": "x", "notes.txt": "some words\nmore of them here"}).items():
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        (new / path).write_text(text)
    found = timeseries.encode(recipe_of(table), new)
    assert [name for at, name in enumerate(found.names) if at in found.problems] == [
        "notes.txt",
        "test/photo.jpg",
        "test/y_test.txt",
        "train/y_train.txt",
    ]
    assert found.names[:2] == ["test, line 1", "test, line 2"]
    assert len(found.examples) == 24
