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
        ("15.02.2023, 13:30 Uhr", ["01.12.2022, 7:05 Uhr"], 13.5),
        ("15/02/2023 13h30", ["01/12/2022 07h05"], 13.5),
        ("15 février 2023, 13:30", ["1 décembre 2022, 07:05"], 13.5),
        ("15-Feb-23", ["01-Dec-22"], 0),
        ("Feb 15, 2023 1:30 p.m.", ["Dec 1, 2022 3:05 a.m."], 13.5),
        ("2023-2-15", ["2023-11-3"], 0),
        ("Wed Feb 15 13:30:00 +0000 2023", ["Sat Dec 03 08:00:00 +0000 2022"], 13.5),
        ("Wed Feb 15 13:30:00 EST 2023", ["Sat Dec  3 08:00:00 EST 2022"], 13.5),
        ("February 15th, 2023", ["December 1st, 2022"], 0),
        ("15. Februar 2023", ["3. März 2023", "24. Dezember 2022"], 0),
        ("15 février 2023", ["1 août 2022", "7 juil. 2021"], 0),
        ("15 de febrero de 2023", ["1 de enero de 2022"], 0),
        ("15 февраля 2023", ["9 мая 2022"], 0),
        ("20230215", ["20221201", "20211130"], 0),
    ],
)
def test_dates(cell, others, hours):
    column = profile("when", [cell, *others])
    assert column.type == "date"
    assert encode_cells(encoder(column), [cell])[0, 0] == pytest.approx(DAY + hours / 24, abs=2e-3)


@pytest.mark.parametrize("cell", ["2023-02", "2023/02", "02/2023", "Feb 2023", "Feb-23"])
def test_months_are_their_first_day(cell):
    column = profile("period", [cell, cell.replace("02", "11").replace("Feb", "Nov")])
    assert column.type == "date"
    assert encode_cells(encoder(column), [cell])[0].tolist() == [19389, 2, 2]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("code", [str(20240000 + i) for i in range(40)]),
        ("code", ["20230215", "20230216"]),
        ("shop", [f"Market-{i:02}" for i in range(1, 40)]),
        ("size", ["3-4 rooms", "1-2 rooms", "5-6 rooms"]),
        ("version", ["1.2.3", "1.10.0", "2.0.1"]),
    ],
)
def test_what_is_no_date(name, cells):
    assert profile(name, cells).type != "date"


def test_cells_of_two_writings_are_both_read():
    cells = [f"{day:02}.03.2023" for day in range(1, 29)] + ["2023-04-01", "2023-04-02", "soon"]
    column = profile("when", cells)
    assert (column.type, column.unreadable) == ("date", ["soon"])
    assert encode_cells(encoder(column), ["2023-04-01"])[0, 0] == 19448


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
