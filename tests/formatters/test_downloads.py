"""What other programs, shops and public archives hand out: tables, with labels and dates in their own notations."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from automl_engine.errors import DataError
from formatters import recipe
from formatters.tables.dates import date_format
from formatters.tables.delimited import preamble_lines, without_names
from tests.formatters.test_awkward_uploads import classes, converted, features, number, put, table, warnings
from tests.formatters.toys import write_workbook

ELMS = ["oak", "oak", "elm", "elm"]
WORDS = "sun rain wind snow storm cloud river hill road town house garden train plane".split()  # noqa: SIM905


def sentence(i: int, words: int = 9) -> str:
    return " ".join(random.Random(i).choices(WORDS, k=words))


def types(report: dict[str, Any]) -> dict[str, str]:
    return {column["name"]: column["type"] for column in report["columns"]}


def lines(*rows: tuple[object, ...], mark: str = ",") -> str:
    return "".join(mark.join(map(str, row)) + "\n" for row in rows)


def trees(kinds: list[str], start: int = 0) -> list[tuple[object, ...]]:
    rows = [(i * 37 % 61 / 7, i * 29 % 61 / 7, *kinds[i % 2 : i % 2 + 1]) for i in range(start, start + 20)]
    return [("height", "width", "species")[: len(rows[0])], *rows]


@pytest.mark.parametrize("word", ["#NULL!", "#DIV/0!", "#NV", "#N/D", "#WERT!", "#¿NOMBRE?"])
def test_errors_of_spreadsheets_are_missing(tmp_path, word):
    report = converted(put(tmp_path, {"a.csv": table("height,width,kind", ["3.1", word, "2"], [*ELMS, word])}))
    assert classes(report) == {"elm": 24, "oak": 24}
    assert types(report)["width"] == "number"
    assert "12 of 60 rows have no label" in warnings(report)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("{:02d}JAN2020", "2020-01-07T00:00:00"),
        ("{:02d}JAN2020:10:20:33", "2020-01-07T10:20:33"),
        ("Jan {}, 2022, 8:10:12 PM", "2022-01-07T20:10:12"),
        ("2023/03/{:02d} 3:10:15 PM MEZ", "2023-03-07T15:10:15"),
    ],
)
def test_moments_of_sas_strava_and_google(cell, moment):
    format_, moments = date_format(Counter(cell.format(day) for day in range(1, 28)))
    assert format_
    assert moments[cell.format(7)].isoformat() == f"{moment}+00:00"


@pytest.mark.parametrize("name", ["Matrikelnummer", "Order Number", "Phone", "Kunden-Nr.", "学号"])
def test_numbers_of_persons_and_orders_are_no_features(tmp_path, name):
    keys = [str(1_000_000 + i * 894_887 % 8_999_999) for i in range(60)]
    assert features(converted(put(tmp_path, {"a.csv": table(f"height,{name},kind", keys, ELMS)}))) == ["height"]


def test_a_name_in_each_cell_is_the_header(tmp_path):
    rows = (f"Temp:{number(i)},Hum:{40 + i % 20},Door:{['open', 'shut'][i % 2]}\n" for i in range(60))
    report = converted(put(tmp_path, {"serial.csv": "".join(rows)}))
    assert types(report) == {"Temp": "number", "Hum": "number", "Door": "category"}
    assert classes(report) == {"open": 30, "shut": 30}


@pytest.mark.parametrize("cell", ['="{}"', '"=""{}"""'])
def test_cells_that_excel_shall_not_change(tmp_path, cell):
    rows = [tuple(cell.format(one) for one in (f"{i:05d}", number(i), ELMS[i % 4])) for i in range(60)]
    report = converted(put(tmp_path, {"a.csv": lines(("nr", "height", "kind"), *rows)}))
    assert (classes(report), features(report)) == ({"elm": 30, "oak": 30}, ["height"])


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("defects", ["crack/rust", "rust", "stain", "crack", "rust/stain", "crack/stain"]),
        ("defects", ["crack + rust", "rust", "stain", "crack", "rust+stain", "crack+stain"]),
        ("defects", ["crack & rust", "rust", "stain", "crack", "rust & stain", "crack&stain"]),
        ("defects", ["\"{'crack', 'rust'}\"", "{'rust'}", "{'stain'}", "{'crack'}", "\"{'rust', 'stain'}\""]),
        ("labels", ['"crack,rust"', '"crack,rust,stain"']),
        ("genres", ["\"[{'id': 1, 'name': 'crack'}, {'id': 2, 'name': 'rust'}]\"", "\"[{'id': 3, 'name': 'stain'}]\""]),
    ],
)
def test_lists_of_labels(tmp_path, column, cells):
    report = converted(put(tmp_path, {"a.csv": table(f"height,width,{column}", ["1", "2", "3"], cells)}))
    assert (report["task"], list(classes(report))) == ("multi_label", ["crack", "rust", "stain"])


@pytest.mark.parametrize("cells", [["A+", "B+", "A", "B"], ["km/h", "m/s", "km/h"], ["R&D", "R&D", "Sales"]])
def test_marks_within_names_part_no_lists(tmp_path, cells):
    report = converted(put(tmp_path, {"a.csv": table("height,width,class", ["1", "2", "3"], cells)}))
    assert set(classes(report)) == set(cells)
    assert report["task"] == "single_label"


def test_a_list_of_0_and_1_names_labels_by_place(tmp_path):
    cells = ['"[1, 0, 1]"', '"[0, 1, 0]"', '"[1, 1, 0]"', '"[0, 0, 1]"']
    report = converted(put(tmp_path, {"a.csv": table("height,width,labels", ["1", "2", "3"], cells)}))
    assert (report["task"], classes(report)) == ("multi_label", {"0": 30, "1": 30, "2": 30})


def test_lines_between_the_rows_that_sum_up_are_left_out(tmp_path):
    rows: list[tuple[object, ...]] = [("region", "units", "demand")]
    for region in ("North", "South", "East"):
        rows += [(region, number(i), ["low", "high"][i // 2 % 2]) for i in range(16)] + [
            (f"Subtotal {region}", "99.5", "")
        ]
    report = converted(put(tmp_path, {"sales.csv": lines(*rows)}), target="demand")
    assert classes(report) == {"high": 24, "low": 24}
    assert "left out 3 lines between the rows such as 'Subtotal North'" in warnings(report)


def test_a_game_that_is_called_total_is_no_subtotal(tmp_path):
    games = [(f"Game {i}", ["puzzle", "race"][i % 2], number(i), ["low", "high"][i // 2 % 2]) for i in range(40)]
    games[20:20] = [("Total War", "strategy", "", "low")]
    report = converted(put(tmp_path, {"a.csv": lines(("name", "genre", "sales", "demand"), *games)}), target="demand")
    assert classes(report) == {"high": 20, "low": 21}


def test_a_label_behind_an_empty_column_that_ends_earlier_is_kept(tmp_path):
    rows = [(number(i), number(3 * i), "", ELMS[i % 4] if i < 28 else "") for i in range(40)]
    report = converted(put(tmp_path, {"a.csv": lines(("f1", "f2", "", "label"), *rows)}))
    assert classes(report) == {"elm": 14, "oak": 14}


def test_one_odd_row_is_no_second_table(tmp_path):
    rows = [(f"N{i % 20}", number(i), i % 3) for i in range(80)]
    rows[40:40] = [("Zed", "unknown", "missing")]
    report = converted(put(tmp_path, {"a.csv": lines(("name", "x", "y"), *rows)}), target="name")
    assert sum(classes(report).values()) >= 80


@pytest.mark.parametrize(
    "below",
    [
        [("", "", ""), ("year", "rain", "river"), *((2000 + i, i * 7 % 90, "Elbe") for i in range(12))],
        [("year", "river", "rain"), *((2000 + i, "Elbe", i * 7 % 90) for i in range(12))],
    ],
)
def test_two_tables_in_one_file_are_refused(tmp_path, below):
    below = lines(*below)
    with pytest.raises(DataError, match="two tables, the second begins with the line 'year, r"):
        converted(put(tmp_path, {"a.csv": table("height,width,kind", ["1", "2"], ELMS, rows=30) + below}))


def with_notes(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    notes = [("code", "means"), ("1", "ill"), ("2", "well")]
    return [(*row, "", *(notes[at] if at < 3 else ("", ""))) for at, row in enumerate(rows)]


def test_notes_beside_a_table_are_left_out(tmp_path):
    rows = with_notes(trees(["oak", "elm"]))
    write_workbook(tmp_path / "t.xlsx", {"trees": rows})
    for report in (converted(tmp_path / "t.xlsx"), converted(put(tmp_path / "csv", {"t.csv": lines(*rows)}))):
        assert (classes(report), features(report)) == ({"elm": 10, "oak": 10}, ["height", "width"])
        assert "left out 2 columns beside the table that end earlier" in warnings(report)


def test_a_row_of_words_between_others_is_no_second_table(tmp_path):
    rows = table("height,width,kind", ["1", "2", "3"], ELMS).splitlines()
    report = converted(put(tmp_path, {"a.csv": "\n".join([*rows[:30], "absent,excused,oak", *rows[30:]])}))
    assert classes(report) == {"elm": 30, "oak": 31}


@pytest.mark.parametrize("at", [0, 31])
def test_a_table_of_genes_is_turned(tmp_path, at):
    kinds = [["ALL", "AML"][i % 3 == 0] for i in range(40)]
    rows = [
        ("id", *(f"S{i}" for i in range(40))),
        *((f"G{k}", *(number(i * (k + 1)) for i in range(40))) for k in range(30)),
    ]
    rows.insert(at or 1, ("class", *kinds))
    path = put(tmp_path, {"genes.tsv": lines(*rows, mark="\t")})
    report = converted(path)
    assert (classes(report), len(features(report))) == ({"ALL": 26, "AML": 14}, 30)
    del rows[at or 1]  # the classes
    path.write_text(lines(*rows, mark="\t"), "utf-8")
    found = recipe.encode(recipe.load(path.parent / "out" / "recipe.json"), path)
    assert (len(found.names), len(found.examples)) == (40, 40)


def test_parts_without_a_header_have_that_of_the_first(tmp_path):
    parts = [table("height,kind", ELMS, rows=30), table("", ELMS, rows=28), table("", ELMS, rows=20)]
    report = converted(put(tmp_path, {f"part-{i:05d}.csv": part for i, part in enumerate(parts)}))
    assert (sum(classes(report).values()), features(report)) == (78, ["height"])


def test_parts_of_other_columns_do_not_have_the_header_of_the_first(tmp_path):
    first = lines(("x", "y", "label"), *((number(i), number(2 * i), ELMS[i % 4]) for i in range(40)))
    other = lines(*((ELMS[i % 4], number(i), number(2 * i)) for i in range(20)))
    report = converted(put(tmp_path, {"data1.csv": first, "data2.csv": other}))
    assert classes(report) == {"elm": 20, "oak": 20}


def test_x_and_y_in_text_files_of_both_parts(tmp_path):
    files = {"names/activity_labels.txt": "1 WALK\n2 SIT\n", "names/features.txt": "1 mean\n2 std\n3 max\n"}
    for part, count in (("train", 40), ("test", 20)):
        files[f"{part}/X_{part}.txt"] = lines(*((f"  {number(i)}", number(i * 3), -i) for i in range(count)), mark="  ")
        files[f"{part}/y_{part}.txt"] = lines(*((i // 2 % 2 + 1,) for i in range(count)))
        files[f"{part}/subject_{part}.txt"] = lines(*((i // 9,) for i in range(count)))
    report = converted(put(tmp_path, files))
    assert (report["modality"], classes(report), report["split"]["how"]) == (
        "tabular",
        {"SIT": 30, "WALK": 30},
        "given",
    )


def test_a_sheet_for_each_class(tmp_path):
    texts = {
        name: [("text",), *((sentence(i),) for i in range(at, at + 20))] for name, at in (("ham", 0), ("spam", 50))
    }
    write_workbook(tmp_path / "t.xlsx", texts)
    report = converted(tmp_path / "t.xlsx")
    assert classes(report) == {"ham": 20, "spam": 20}
    assert "the class of a row is the name of its sheet (ham, spam)" in warnings(report)


@pytest.mark.parametrize("title", [[], [("Report",)]])
def test_sheets_are_no_classes_where_a_column_may_be_the_label(tmp_path, title):
    def month(start: int) -> list[tuple[object, ...]]:
        rows = [(20 + i, ["a", "b"][i // 2 % 2], ["no", "yes"][i % 2]) for i in range(start, start + 20)]
        return [*title, ("age", "plan", "returned"), *rows * 2]

    write_workbook(tmp_path / "t.xlsx", {name: month(20 * i) for i, name in enumerate(("Jan", "Feb", "Mar"))})
    report = converted(tmp_path / "t.xlsx")
    assert (report["options"]["target"], classes(report)) == ("returned", {"no": 60, "yes": 60})
    assert features(report) == ["age", "plan"]


def test_an_empty_workbook_is_refused(tmp_path):
    write_workbook(tmp_path / "t.xlsx", {"one": []})
    with pytest.raises(DataError, match="holds no rows"):
        converted(tmp_path / "t.xlsx")


def test_sheets_of_one_header_are_one_table(tmp_path):
    months = {name: trees(["oak", "elm"], 20 * i) for i, name in enumerate(("January", "February", "March"))}
    write_workbook(tmp_path / "t.xlsx", months)
    report = converted(tmp_path / "t.xlsx")
    assert (classes(report), features(report)) == ({"elm": 30, "oak": 30}, ["height", "width"])


def test_a_sheet_that_repeats_another_is_not_joined(tmp_path):
    write_workbook(tmp_path / "t.xlsx", {"data": trees(["oak", "elm"]), "copy": trees(["oak", "elm"])})
    report = converted(tmp_path / "t.xlsx")
    assert sum(classes(report).values()) == 20
    assert "what stands in the other sheets ('copy')" in warnings(report)


@pytest.mark.parametrize(
    ("cells", "told"),
    [(["$4.50", "€3.20", "$7"], "mixes '$4.50' and '€3.20'"), (["45%", "0.31", "0.2"], "mixes '45%' and '0.31'")],
)
def test_a_column_of_two_currencies_or_of_percents_and_shares_is_told(tmp_path, cells, told):
    report = converted(put(tmp_path, {"a.csv": table("height,price,kind", cells, ELMS)}))
    assert told in warnings(report)


@pytest.mark.parametrize(
    "cell", ["{}°C|{}°F", "5'{}|6'{}", "1h {}m", "1{}/80", "51°{}'N", "{} kg|{} lbs", "{} (3%)", "5:{}/km"]
)
def test_quantities_that_are_read_as_words_are_told(tmp_path, cell):
    cells = [one.format(i) for i in range(10, 50) for one in cell.split("|")]
    report = converted(put(tmp_path, {"a.csv": table("height,size,kind", cells, ELMS)}))
    assert "column 'size' holds quantities such as" in warnings(report)


def test_a_column_of_units_is_told(tmp_path):
    report = converted(put(tmp_path, {"a.csv": table("value,unit,kind", ["mg", "mg", "g"], ELMS)}))
    assert "column 'unit' tells several units, such as 'mg' and 'g'" in warnings(report)


def test_cells_that_are_written_once_for_those_below_are_told(tmp_path):
    regions = [["North", "East", "South"][i // 20] if i % 20 == 0 else "" for i in range(60)]
    report = converted(put(tmp_path, {"a.csv": table("value,region,kind", regions, ELMS)}))
    assert "column 'region' is filled in 3 times and empty below each" in warnings(report)


def test_a_table_of_counts_is_told(tmp_path):
    rows = [(f"{i % 4}st", ["m", "f"][i // 4 % 2], ["no", "yes"][i // 8 % 2], i * 37 % 300) for i in range(16)]
    report = converted(put(tmp_path, {"a.csv": lines(("rank", "sex", "survived", "Freq"), *rows)}), target="survived")
    assert "as if column 'Freq' told how many samples it stands for" in warnings(report)


def test_limits_that_name_classes_are_no_numbers(tmp_path):
    parts = {
        "adult.data": table("", ["Private", "Gov"], ["<=50K", "<=50K", ">50K"]),
        "adult.test": table("", ["Private", "Gov"], ["<=50K.", "<=50K.", ">50K."], rows=30),
    }
    assert classes(converted(put(tmp_path, parts))) == {"<=50K": 60, ">50K": 30}


def test_moments_of_a_log_are_no_classes(tmp_path):
    log = (
        f"[{i % 9 + 1:02d}.03.21, 10:{i % 60:02d}:33] {'Ann' if i % 2 else 'Ben'}: {sentence(i)}\n" for i in range(60)
    )
    with pytest.raises(DataError, match="no column that could be a label"):
        converted(put(tmp_path, {"chat.txt": "".join(log)}))


def test_geometries_are_no_texts(tmp_path):
    places = [f'"POINT ({13 + i / 100} {52 + i / 200})"' for i in range(60)]
    report = converted(put(tmp_path, {"a.csv": table("ndvi,WKT,landcover", places, ["forest", "urban"])}))
    assert (report["modality"], features(report)) == ("tabular", ["ndvi"])


def test_a_post_with_its_number_moment_and_author_is_a_text(tmp_path):
    rows = [
        (i * 7 // 3 % 2 * 4, 1467810369 + i * 97, f"Mon Apr 06 22:19:{i:02d} PDT 2009", f"u{i % 50}", sentence(i))
        for i in range(60)
    ]
    report = converted(put(tmp_path, {"posts.csv": lines(*rows)}))
    assert (report["modality"], classes(report)) == ("text", {"0": 30, "4": 30})


def test_which_of_several_columns_about_labels_is_the_label(tmp_path):
    rows = [
        {"annotator_labels": [ELMS[i % 4]] * 3, "label_confidence": 0.5 + i % 2 / 4, "gold_label": ELMS[i % 4]}
        | {"text": sentence(i)}
        for i in range(60)
    ]
    report = converted(put(tmp_path, {"a.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}))
    assert report["options"]["target"] == "gold_label"


def test_titles_filled_up_with_delimiters_are_no_header(tmp_path):
    rows = table("height;width;kind", ["1,5", "2,5"], ELMS, mark=";")
    report = converted(put(tmp_path, {"a.csv": f"Export of the trees;;\nMay 2023;;\n;;\n{rows}"}))
    assert (classes(report), features(report)) == ({"elm": 30, "oak": 30}, ["height", "width"])


@pytest.mark.parametrize(("first", "below"), [("class,,,", ["a", "b"]), ("5,,,", ["1", "2"])])
def test_a_first_line_of_one_cell_above_rows_is_no_title(tmp_path, first, below):
    text = "\n".join([first, *(f"{below[i % 2]},{i % 7},{i % 5},{i % 3}" for i in range(40))])
    assert preamble_lines(text + "\n") == 0


def test_names_in_each_cell_but_the_last_line(tmp_path):
    text = "Temp:2,Hum:4\n" * 20_000 + "end"
    tracemalloc.start()
    assert without_names(text) == text
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(text)


def test_text_that_is_called_xls(tmp_path):
    (tmp_path / "a.xls").write_bytes(table("height\tkind", ELMS, mark="\t").encode("utf-16"))
    assert classes(converted(tmp_path / "a.xls")) == {"elm": 30, "oak": 30}


def test_a_web_page_that_is_called_xls(tmp_path):
    with pytest.raises(DataError, match=r"a\.xls is a web page"):
        converted(put(tmp_path, {"a.xls": "<html><table><tr><td>height</td></tr></table></html>"}))


def test_texts_of_one_word_each_are_read_by_letters(tmp_path):
    genes = ["".join(random.Random(i).choices("ACGT", k=80)) for i in range(60)]
    report = converted(put(tmp_path, {"dna.csv": lines(("sequence", "class"), *zip(genes, ELMS * 15, strict=True))}))
    assert report["title"] == "60 texts in 2 classes, 4 different characters"


@pytest.mark.parametrize("suffix", ["tsv", "txt"])
def test_noisy_series_of_the_ucr_archive(tmp_path: Path, suffix: str) -> None:
    values = random.Random(5)

    def part(count: int) -> str:
        return lines(
            *((i % 3 + 1, *(f"{values.gauss(i % 3, 1):.5f}" for _ in range(60))) for i in range(count)), mark="\t"
        )

    report = converted(put(tmp_path, {f"Noise_{side}.{suffix}": part(30) for side in ("TRAIN", "TEST")}))
    assert (report["modality"], classes(report)) == ("timeseries", {"1": 20, "2": 20, "3": 20})


def test_a_long_table_whose_id_stands_last(tmp_path):
    rows = [
        (t, number(t + trial), ["walk", "run"][trial % 2], f"trial{trial}") for trial in range(16) for t in range(30)
    ]
    report = converted(put(tmp_path, {"imu.csv": lines(("time", "ax", "activity", "trial_id"), *rows)}))
    assert (report["modality"], classes(report)) == ("timeseries", {"run": 8, "walk": 8})
