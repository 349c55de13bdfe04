"""Columns of tables that are taken, or not, for keys and units by their names."""

from __future__ import annotations

import pytest

from tests.formatters.test_awkward_uploads import converted, features, put, table

ELMS = ["oak", "elm", "oak"]
NUMBERS = [str(1_000_000 + i * 894_887 % 8_999_999) for i in range(60)]


@pytest.mark.parametrize("name", ["Reynolds number", "Wave number", "mobile", "atomic_number"])
def test_measures_called_numbers_are_features(tmp_path, name):
    report = converted(put(tmp_path, {"a.csv": table(f"height,{name},kind", NUMBERS, ELMS)}))
    assert features(report) == ["height", name]


@pytest.mark.parametrize("name", ["mobile number", "OrderNumber", "card number", "Invoice-Number", "telephone"])
def test_numbers_of_people_and_papers_are_no_features(tmp_path, name):
    report = converted(put(tmp_path, {"a.csv": table(f"height,{name},kind", NUMBERS, ELMS)}))
    assert features(report) == ["height"]
