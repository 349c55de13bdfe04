"""Dates and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

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
