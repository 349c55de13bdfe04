"""Dates and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from formatters.base import Options
from formatters.modalities import tabular
from formatters.tables.columns import encode_cells, encoder, profile

DAY = datetime(2023, 2, 15, tzinfo=UTC).timestamp() / 86400


@pytest.mark.parametrize(
    ("cell", "others", "hours"),
    [
        ("2/15/2023 1:30 PM", ["11/9/2023 10:55 AM"], 13.5),
        ("2/15/23", ["11/28/23"], 0),
        ("15.02.23", ["01.12.22"], 0),
        ("2023年2月15日", ["2023年12月1日"], 0),
        ("2023年2月15日 13时30分", ["2023年12月1日 07时05分"], 13.5),
        ("2023-02-15T13:30:00Z", ["2023-03-01T00:00:00Z"], 13.5),
        ("2023-02-15 13:30:00 UTC", ["2023-03-01 01:00:00 UTC"], 13.5),
        ("2023-02-15 15:30:00 +0200", ["2023-03-01 01:00:00 +0200"], 13.5),
        ("Wed, 15 Feb 2023 13:30:00 GMT", ["Mon, 27 Feb 2023 01:00:00 GMT"], 13.5),
        ("15-Feb-23", ["01-Dec-22"], 0),
        ("Feb 15, 2023 1:30 p.m.", ["Dec 1, 2022 3:05 a.m."], 13.5),
        ("2023-2-15", ["2023-11-3"], 0),
    ],
)
def test_dates(cell, others, hours):
    column = profile("when", [cell, *others])
    assert column.type == "date"
    assert encode_cells(encoder(column), [cell])[0, 0] == pytest.approx(DAY + hours / 24, abs=2e-3)


@pytest.mark.parametrize("parts", [1, 1000])
def test_seconds_since_1970(parts):
    column = profile("created_at", [str(1676419200 * parts), str(1676500000 * parts)])
    assert column.type == "date"
    assert encode_cells(encoder(column), [str(1676419200 * parts)])[0].tolist() == [DAY, 2, 2]
    assert profile("income", [str(1676419200 * parts), "1676500000"]).type == "number"


def test_a_few_unreadable_dates_are_missing():
    cells = [f"2023-01-{day:02}" for day in range(1, 29)] + ["soon"]
    column = profile("when", cells)
    assert (column.type, column.unreadable) == ("date", ["soon"])
    assert np.isnan(encode_cells(encoder(column), ["soon"])).all()


def table(tmp_path, pairs, **options):
    lines = [f"{sent},{paid},{i % 7},{'xy'[i % 2]}" for i, (sent, paid) in enumerate(pairs)]
    (tmp_path / "a.csv").write_text("\n".join(["sent,paid,count,label", *lines]))
    return tabular.read(tmp_path, Options(**options))


UNSURE = [(f"{i % 12 + 1:02}/{i * 5 % 12 + 1:02}/2024", f"{i % 11 + 1}/{i % 10 + 1}/2023") for i in range(40)]


@pytest.mark.parametrize(("order", "day"), [(None, 2), ("day", 2), ("month", 32)])
def test_an_order_that_no_date_tells_is_a_finding_and_a_choice(tmp_path, order, day):
    found = table(tmp_path, UNSURE, date_order=order)
    days = found.spec.feature_to_index["sent (days since 1970)"]
    assert found.steps(0).ravel()[days] == 19723
    assert found.steps(1).ravel()[days] - 19723 == {2: 153, 32: 36}[day]
    assert found.findings.choices == {"date_order": order or "day"}
    told = [
        doubt.what for doubt in found.findings.doubts if doubt.level == "warning" and "could be months" in doubt.what
    ]
    assert len(told) == (0 if order else 2)
    if told:
        assert "'sent' were read with the day first ('01/01/2024' as 01 January 2024)" in told[0]


def test_an_order_that_one_column_tells_holds_for_the_others(tmp_path):
    found = table(tmp_path, [*UNSURE, ("02/01/2024", "12/31/2023")])
    days = found.spec.feature_to_index["sent (days since 1970)"]
    assert found.steps(40).ravel()[days] == 19754  # 1 February
    assert found.findings.choices == {}
    assert not any("could be months" in doubt.what for doubt in found.findings.doubts)
