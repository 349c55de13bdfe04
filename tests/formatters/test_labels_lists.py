"""Where cells are lists of labels, and where they only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_engine.errors import DataError
from formatters.labels.lists import list_separator
from tests.formatters.test_downloads import classes, converted, put, table, warnings


@pytest.mark.parametrize(
    "cells",
    [
        ["black", "white", "black/white"],
        ["yes", "no", "yes/no"],
        ["N", "A", "N/A"],
        ["R", "D", "R&D", "X"],
        ["Java", "Python", "C++", "Java+Python", "C", "Java+C", "C+Python"],
    ],
)
def test_a_mark_within_a_class_parts_no_list(cells: list[str]) -> None:
    assert list_separator(5 * cells, "labels") is None


@pytest.mark.parametrize("column", ["genres", "topics", "keywords"])
def test_names_of_several_words_are_no_lists(column: str) -> None:
    assert list_separator(5 * ["Rock", "Classic Rock", "Jazz", "Hip Hop", "Rock Jazz"], column) is None


def test_a_row_without_flags_has_no_label(tmp_path: Path) -> None:
    cells = ['"[1, 0, 1]"', '"[0, 1, 0]"', '"[1, 1, 0]"', "NA"]
    report = converted(put(tmp_path, {"a.csv": table("height,width,labels", ["1", "2", "3"], cells)}))
    assert set(classes(report)) == {"0", "1", "2"}
    assert "rows have no label in column 'labels' and are left out" in warnings(report)


def test_a_list_of_objects_that_was_cut_off_is_told(tmp_path: Path) -> None:
    cells = ["\"[{'id': 1, 'name': 'Drama'}]\"", "\"[{'id': 2, 'name': 'Act\"", "\"[{'id': 3, 'name': 'War'}]\""]
    data = put(tmp_path, {"a.csv": table("height,width,genres", ["1", "2", "3"], cells)})
    with pytest.raises(DataError, match="Row 2 of column 'genres' begins like a list of objects"):
        converted(data, target="genres")
