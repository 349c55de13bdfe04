"""Columns of tables that are taken, or not, for keys and units by their names."""

from __future__ import annotations

import pytest

from tests.formatters.test_awkward_uploads import converted, features, put, table, warnings

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


@pytest.mark.parametrize("units", [["Sales", "HR"], ["Sales", "HR", "IT"], ["12", "14"], ["Intensive care", "Surgery"]])
def test_units_of_a_business_are_no_units_of_numbers(tmp_path, units):
    report = converted(put(tmp_path, {"a.csv": table("value,Business Unit,kind", units, ["oak", "elm"])}))
    assert "tells several units" not in warnings(report)


@pytest.mark.parametrize("units", [["mg/dL", "mmol/L"], ["°C", "°F"], ["C", "F"], ["km per h", "miles per hour"]])
def test_units_of_numbers_are_told(tmp_path, units):
    report = converted(put(tmp_path, {"a.csv": table("value,temp_unit,kind", units, ["oak", "elm", "oak"])}))
    assert f"tells several units, such as {units[0]!r} and {units[1]!r}" in warnings(report)
