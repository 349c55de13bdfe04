"""Tables: types of columns, the target, values as floats, new rows."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters import recipe as recipes
from formatters.base import Options, Table
from formatters.detect import detect
from formatters.labels.cuts import LabelQuestion
from formatters.modalities import tabular
from formatters.tables.columns import encode_cells, encoder, profile

RNG = random.Random(0)


def number() -> str:
    return f"{RNG.gauss(0, 1):.4f}"


def lines(header: str, count: int, row: Callable[[int], str]) -> str:
    return "\n".join([header, *(row(i) for i in range(count))]) + "\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(files: str | dict[str, str], **options) -> Table:
        for name, content in ({"a.csv": files} if isinstance(files, str) else files).items():
            (tmp_path / name).write_text(content, "utf-8")
        assert detect(tmp_path, Options(**options), "a.zip").formatter == "tabular"
        return tabular.read(tmp_path, Options(**options))

    return read


def recipe_of(table: Table) -> dict:
    made = recipes.make(table.modality, table.label_names, table.multi_label, table.spec, table.recipe)
    return json.loads(json.dumps(made))


MIXED = lines(
    "id,when,colour,yes,height,outcome",
    40,
    lambda i: (
        f"{i + 100},{i % 28 + 1:02d}.03.2021,{['red', 'blue', '?'][i % 3]},{['no', 'yes'][i % 2]},"
        f"{'NA' if i % 5 == 0 else i / 4},{'good' if i % 2 else 'bad'}"
    ),
)


def test_mixed_columns_become_floats(read):
    table = read(MIXED)
    assert table.findings.target == "outcome"
    assert table.label_names == ["bad", "good"]
    dates = ["when (days since 1970)", "when (weekday)", "when (month)"]
    assert list(table.spec.feature_to_index) == [*dates, "colour", "yes", "height"]
    assert table.steps(0).shape == (1, 1, 6, 1)
    assert table.steps(0).dtype == np.float32
    expected = [18687, 0, 3, 0, 0, math.nan]  # Monday 2021-03-01; red is the most frequent colour
    np.testing.assert_array_equal(table.steps(0).ravel(), expected)
    np.testing.assert_array_equal(table.steps(1).ravel(), [18688, 1, 3, 1, 1, 0.25])
    assert math.isnan(table.steps(2).ravel()[3])


def test_report_columns_and_preview(read):
    table = read(MIXED)
    columns = {column["name"]: column for column in table.findings.columns}
    assert columns["id"]["role"] == "ignored"
    assert columns["id"]["type"] == "id"
    assert columns["outcome"]["role"] == "target"
    assert columns["colour"]["missing"] == 13
    assert columns["colour"]["top"] == [["red", 14], ["blue", 13]]
    assert columns["yes"]["type"] == "boolean"
    assert columns["when"]["type"] == "date"
    assert sum(columns["height"]["histogram"]["counts"]) == 32
    assert table.preview(3, Path("x"))["row"] == {
        "id": "103",
        "when": "04.03.2021",
        "colour": "red",
        "yes": "yes",
        "height": "0.75",
    }
    assert any("'id'" in doubt.what for doubt in table.findings.doubts)


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "2.5", "", "-3e2"], "number", [1, 2.5, math.nan, -300]),
        (["1,5", "2,25", "3"], "number", [1.5, 2.25, 3]),
        (["1,234", "12,345,678", "5"], "number", [1234, 12345678, 5]),
        (["50%", "5 %", "$7"], "number", [50, 5, 7]),
        (["True", "false", "N/A", "true"], "boolean", [1, 0, math.nan, 1]),
        (["0", "1", "1"], "boolean", [0, 1, 1]),
        (["b", "a", "b", "null"], "category", [0, 1, 0, math.nan]),
        (["1_000", "x"], "category", [0, 1]),
    ],
)
def test_cells_as_floats(cells, kind, values):
    column = profile("x", cells)
    assert column.type == kind
    np.testing.assert_array_equal(encode_cells(encoder(column), cells).ravel(), np.float32(values))


def test_few_bad_cells_of_a_number_column_are_told(read):
    table = read(lines("a,label", 200, lambda i: f"{'oops' if i == 7 else number()},{'xy'[i % 2]}"))
    assert math.isnan(table.steps(7).item())
    assert any("'oops'" in doubt.what for doubt in table.findings.doubts)


def test_rare_values_share_a_code_and_unknown_ones_too():
    cells = [f"v{i}" for i in range(100)] + ["common"] * 10
    row = encoder(profile("x", cells))
    assert row["categories"] == ["common"]
    assert encode_cells(row, ["common", "v3", "never seen", ""]).ravel()[:3].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("header", "row", "target"),
    [
        ("species,a,b,sex", lambda i: f"{'pqr'[i % 3]},{number()},{number()},{'mf'[i % 2]}", "species"),
        ("a,Survived,b,port", lambda i: f"{number()},{i % 2},{number()},{'xyz'[i % 3]}", "Survived"),
        ("a,b,quality", lambda i: f"{number()},{number()},{i % 7}", "quality"),
        ("a,b,thing", lambda i: f"{number()},{number()},{'uv'[i % 2]}", "thing"),
        ("a,is_class,b", lambda i: f"{number()},{i % 2},{number()}", "is_class"),
    ],
)
def test_target_is_guessed(read, header, row, target):
    table = read(lines(header, 60, row))
    assert table.findings.target == target
    assert target in table.findings.why[0]
    assert table.findings.target_candidates[0] == target


def test_close_call_is_a_doubt_and_target_overrides(read):
    text = lines("a,CHAS,MEDV", 60, lambda i: f"{number()},{i % 2},{RNG.gauss(100, 20):.2f}")
    table = read(text, label_cuts="median")
    assert table.findings.target == "MEDV"
    assert any("'CHAS' could be it too" in doubt.what for doubt in table.findings.doubts)
    assert read(text, target="CHAS").findings.target == "CHAS"


@pytest.mark.parametrize(
    ("cuts", "names", "counts"),
    [
        ("median", ["≤ 30", "> 30"], [30, 30]),
        ("quantiles", ["≤ 15.25", "> 15.25 to 30", "> 30 to 44.75", "> 44.75"], [15, 15, 15, 15]),
        ("40, 10.5", ["≤ 10.5", "> 10.5 to 40", "> 40"], [11, 29, 20]),
        ("10.5 1000", ["≤ 10.5", "> 10.5 to 1000"], [11, 49]),
    ],
)
def test_a_quantity_is_cut_as_asked(read, cuts, names, counts):
    table = read(lines("a,price", 60, lambda i: f"{number()},{i + 0.5}"), label_cuts=cuts)
    assert table.label_names == names
    assert Counter(sample.labels[0] for sample in table.samples) == dict(zip(names, counts, strict=True))


@pytest.mark.parametrize("options", [{}, {"target": "age"}])
@pytest.mark.parametrize("value", [lambda i: f"{i / 7:.3f}", lambda i: str(18 + i % 60)])
def test_a_label_of_many_numbers_is_asked_for(read, options, value):
    text = lines("a,kind,age", 1200, lambda i: f"{number()},{'uvw'[i % 3]},{value(i)}")
    with pytest.raises(LabelQuestion, match="--label-cuts median") as question:
        read(text, **{"target": "age"} | options)
    assert (question.value.asked["column"], question.value.asked["others"][0]) == ("age", "kind")
    assert "--target ('kind'" in str(question.value)


def test_numbers_of_classes_are_no_quantity(read):
    row = lambda i: f"{number()},{i % 43}"  # noqa: E731
    assert len(read(lines("a,ClassId", 430, row)).label_names) == 43
    with pytest.raises(LabelQuestion):
        read(lines("a,rings", 430, row))
    assert len(read(lines("a,rings", 430, row), label_cuts="each").label_names) == 43


@pytest.mark.parametrize(("cuts", "said"), [("low", "but got 'low'"), ("90,80", "leave one range")])
def test_cuts_that_cannot_be_used(read, cuts, said):
    with pytest.raises(DataError, match=said):
        read(lines("a,price", 60, lambda i: f"{number()},{i + 0.5}"), label_cuts=cuts)


def test_trailing_flags_are_several_labels(read):
    table = read(lines("a,b,calm,loud,sad", 40, lambda i: f"{number()},{number()},{i % 2},{i // 2 % 2},{i // 3 % 2}"))
    assert table.multi_label
    assert table.label_names == ["calm", "loud", "sad"]
    assert table.samples[3].labels == ("calm", "loud", "sad")
    assert table.samples[0].labels == ()
    assert table.spec.col_count == 2


def test_one_hot_flags_are_one_label(read):
    table = read(
        lines("a,b,cat,dog,owl", 30, lambda i: f"{number()},{number()},{i % 3 == 0:d},{i % 3 == 1:d},{i % 3 == 2:d}")
    )
    assert not table.multi_label
    assert table.samples[1].labels == ("dog",)


def test_several_targets_by_name(read):
    text = lines("a,b,c,y", 20, lambda i: f"{number()},{i % 2},{i % 3},{i // 2 % 2}")
    assert read(text, target="b, y").label_names == ["b", "y"]
    with pytest.raises(DataError, match=r"column 'c' of a.csv holds '2'"):
        read(text, target="b,c")


def test_list_column_holds_several_labels(read):
    table = read(lines("a,tags", 30, lambda i: f"{number()},{['a|b', 'b|c', 'c'][i % 3]}"))
    assert table.multi_label
    assert table.label_names == ["a", "b", "c"]


def test_train_and_test_files_and_others(read):
    row = lambda i: f"{number()},{i % 2}"  # noqa: E731
    table = read(
        {
            "train.csv": lines("a,y", 20, row),
            "test.csv": lines("y,a", 10, lambda i: f"{i % 2},{number()}"),
            "notes.csv": "p,q\n1,2\n",
        }
    )
    assert Counter(sample.split for sample in table.samples) == {"train": 20, "test": 10}
    assert table.samples[0].source == "test.csv, row 1"
    assert [entry["path"] for entry in table.findings.ignored] == ["notes.csv"]


def test_split_column(read):
    table = read(lines("a,split,y", 40, lambda i: f"{number()},{'test' if i % 4 == 0 else 'train'},{i % 2}"))
    assert Counter(sample.split for sample in table.samples) == {"train": 30, "test": 10}
    assert list(table.spec.feature_to_index) == ["a"]


def test_rows_without_label_are_left_out_and_told(read):
    table = read(lines("a,label", 40, lambda i: f"{number()},{'' if i == 3 else 'xy'[i % 2]}"))
    assert len(table.samples) == 39
    assert table.samples[3].source == "row 5"
    assert any(doubt.where == "row 4" for doubt in table.findings.doubts)


def test_column_that_tells_the_label_is_told(read):
    table = read(lines("a,code,label", 60, lambda i: f"{number()},{'uv'[i % 2]},{'xy'[i % 2]}"))
    assert any("'code' alone tells the label" in doubt.what for doubt in table.findings.doubts)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (lines("a,label", 20, lambda i: f"{i / 3},x"), {}, "always holds 'x', so there is only one class"),
        (lines("a,label", 20, lambda i: f"{i / 3},c{i}"), {}, "20 different values in 20 rows"),
        (lines("a", 20, str), {}, "only the column 'a'"),
        (lines("id,label", 40, lambda i: f"{i},{'xy'[i % 2]}"), {}, "no column to learn from beside the label"),
        (lines("a,b,y", 20, lambda i: f"{i / 3},{i % 3},{i % 2}"), {"target": "z"}, "choose one of 'a', 'b', 'y'"),
        (lines("a,b,y", 20, lambda i: f"{i / 3},u{i}x,{i % 2}"), {"target": "b"}, "too many to be classes"),
    ],
)
def test_refused_in_one_sentence(tmp_path, text, options, sentence):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=sentence) as error:
        tabular.read(tmp_path, Options(**options))
    assert "\n" not in str(error.value)


def test_new_rows_in_any_order_with_and_without_label(read, tmp_path):
    table = read(MIXED)
    recipe = recipe_of(table)
    new = tmp_path / "new.csv"
    new.write_text("HEIGHT;yes;colour;when\n2,5;yes;red;2021-03-02\n;;green;\n")
    new_data = tabular.encode(recipe, new)
    names, examples = new_data.names, new_data.examples
    assert names == ["row 1", "row 2"]
    assert examples.spec.sample_count == len(examples) == 2
    np.testing.assert_array_equal(examples.steps(1).ravel(), [math.nan] * 6)
    np.testing.assert_array_equal(examples.steps(0).ravel()[:5], [18688, 1, 3, 0, 1])
    new_data = tabular.encode(recipe, tmp_path / "a.csv")
    names, examples = new_data.names, new_data.examples
    assert all(np.array_equal(examples.steps(i), table.steps(i), equal_nan=True) for i in range(40))


def test_new_rows_as_json(read, tmp_path):
    recipe = recipe_of(read(MIXED))
    new = tmp_path / "new.json"
    new.write_text(json.dumps([{"when": "01.03.2021", "colour": "blue", "yes": "no", "height": 2.5}]))
    examples = tabular.encode(recipe, new).examples
    assert examples.steps(0).ravel().tolist() == [18687, 0, 3, 1, 0, 2.5]
    new.write_text('[{"when": "", "colour": "blue"}]')
    with pytest.raises(DataError, match="lacks the columns 'yes', 'height'"):
        tabular.encode(recipe, new)


def test_new_rows_without_header(read, tmp_path):
    recipe = recipe_of(read("\n".join(f"{i % 9},{number()},{number()},{i % 2}" for i in range(40))))
    new = tmp_path / "new.csv"
    for text in ("3,1.5,2\n", "3,1.5,2,1\n", "column_2,column_1,column_0\n2,1.5,3\n"):
        new.write_text(text)
        assert tabular.encode(recipe, new).examples.steps(0).ravel().tolist() == [3, 1.5, 2]
    new.write_text("3,1.5\n")
    with pytest.raises(DataError, match="has 2 columns but 3"):
        tabular.encode(recipe, new)


def test_numbered_noise_and_pixels_are_tables(read):
    noise = ",".join(f"f{i}" for i in range(40)) + ",label"
    assert read(lines(noise, 60, lambda i: ",".join(number() for _ in range(40)) + f",{i % 2}")).spec.col_count == 40
    pixels = "label," + ",".join(f"pixel{i}" for i in range(64))
    row = lambda i: f"{i % 3}," + ",".join(f"{128 + 99 * math.sin(t / 9 + i):.0f}" for t in range(64))  # noqa: E731
    assert read(lines(pixels, 60, row)).spec.col_count == 64


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "target", "features", "counts"),
    [
        ("titanic", "Survived", 9, {"0": 549, "1": 342}),
        ("penguins", "species", 6, {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}),
        ("pima_diabetes", "column_8", 8, {"0": 500, "1": 268}),
        ("wine_quality_white", "quality", 11, {"3": 20, "4": 163, "5": 1457, "6": 2198, "7": 880, "8": 175, "9": 5}),
        (
            "music_emotions_multilabel",
            "amazed-suprised,happy-pleased,relaxing-calm,quiet-still,sad-lonely,angry-aggresive",
            72,
            {
                "amazed-suprised": 173,
                "happy-pleased": 166,
                "relaxing-calm": 264,
                "quiet-still": 148,
                "sad-lonely": 168,
                "angry-aggresive": 189,
            },
        ),
    ],
)
def test_real_sets(real_data, tmp_path, name, target, features, counts):
    from formatters.unpacking.archive import unpack

    source = real_data / "tabular" / f"{name}.zip"
    root = unpack(source, tmp_path / "upload").root
    assert detect(root, Options(), name).formatter == "tabular"
    table = tabular.read(root, Options())
    assert (table.findings.target, table.spec.col_count, table.spec.domain) == (target, features, "tabular")
    assert Counter(label for sample in table.samples for label in sample.labels) == counts
    assert table.label_names == list(counts)
    new_data = recipes.encode(recipe_of(table), source)
    names, examples = new_data.names, new_data.examples
    assert all(np.array_equal(examples.steps(i), table.steps(i), equal_nan=True) for i in range(len(names)))
