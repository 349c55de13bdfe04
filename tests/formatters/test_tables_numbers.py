"""Numbers as people write them, decided a column at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from formatters.base import Options
from formatters.modalities import tabular
from formatters.tables.columns import encode_cells, encoder, profile


@pytest.mark.parametrize(
    ("cells", "delimiter", "values"),
    [
        (["1248 CC", "1586 CC", "900cc"], ",", [1248, 1586, 900]),
        (["5 years", "10+ years", "< 1 year"], ",", [5, 10, 1]),
        (["₹4,458", "₹1,200.50", "Rs. 900"], ",", [4458, 1200.5, 900]),
        (["444k", "7.0M", "12"], ",", [444e3, 7e6, 12]),
        (["12 500,50", "3 099,00", "7,5"], ";", [12500.5, 3099, 7.5]),
        (["1.234.567", "18.932", "411"], ",", [1234567, 18932, 411]),
        (["18.932", "411", "700"], ";", [18932, 411, 700]),
        (["1.234,50", "99,9", "2.000,00"], ",", [1234.5, 99.9, 2000]),
        (["40,66,516", "8,17,995", "950"], ",", [4066516, 817995, 950]),
        (["1,234,567", "12,500", "7"], ";", [1234567, 12500, 7]),
        (["<0.3", "0.52", "1.7"], ",", [0.3, 0.52, 1.7]),
        (["5.2±0.1", "6 ± 0.25", "7.5 +/- 1"], ",", [5.2, 6, 7.5]),
        (["1’250.5", "980.25", "12'000"], ",", [1250.5, 980.25, 12000]),
        (["(1,200)", "3,400", "-12"], ",", [-1200, 3400, -12]),
        (["0.123", "2", "1.456"], ",", [0.123, 2, 1.456]),
        (["21.5 °C", "19 °C", "-3.25 °C"], ",", [21.5, 19, -3.25]),
        (["09:38", "0:42:50", "23:15"], ",", [9 + 38 / 60, 42 / 60 + 50 / 3600, 23.25]),
        (["1:30 PM", "12:15 am", "9:00 AM"], ",", [13.5, 0.25, 9]),
        (["0 days 06:30:00", "2 days 01:00:00"], ",", [6.5, 49]),
        (["1 day, 2:00:00", "3:15:00"], ",", [26, 3.25]),
        (["1,096円", "137円", "２，０５５円"], ",", [1096, 137, 2055]),
        (["1,586 CC", "998 CC", "2,100 CC"], ",", [1586, 998, 2100]),
        (["1\u00a0234\u00a0567,5", "12\u202f500,25", "7,5"], ";", [1234567.5, 12500.25, 7.5]),
        (["￥１，２００", "￥９５０", "￥７"], ",", [1200, 950, 7]),
        (["١٢٫٥", "٧", "١٬٢٠٠٫٢٥"], ",", [12.5, 7, 1200.25]),
        (["12,50-", "3,75", "1.200,00-"], ";", [-12.5, 3.75, -1200]),
        (["12.50-", "1,234.50-", "7"], ",", [-12.5, -1234.5, 7]),
        (["8.1*", "7.25", "6†"], ",", [8.1, 7.25, 6]),
        (["5.1 b", "4.2", "3.3 e", "2.4 p", "1.5", "0.6", "0.7"], ",", [5.1, 4.2, 3.3, 2.4, 1.5, 0.6, 0.7]),
        (["5.1 b", "4.2", "3.3"], ",", [5.1, 4.2, 3.3]),
        (["1.2m", "350000", "8000"], ",", [1.2e6, 350000, 8000]),
        (["500 g", "1.5 kg", "250 g"], ",", [500, 1500, 250]),
        (["512 MB", "2 GB", "1 GB"], ",", [512e3, 2e6, 1e6]),
        (["90 min", "1.5 h", "45 min"], ",", [5400, 5400, 2700]),
        (["15 ms", "20 ms", "17 ms"], ",", [15, 20, 17]),
    ],
)
def test_writings(cells, delimiter, values):
    column = profile("x", cells, delimiter)
    assert column.type == "number"
    np.testing.assert_allclose(encode_cells(encoder(column), cells).ravel(), np.float32(values), rtol=1e-6)


@pytest.mark.parametrize(
    "cells",
    [["12a", "13b", "12c"] * 9, ["A1", "B2", "C3"] * 9, ["40-49", "50-59"] * 9, ["1", "2", "3", "other"] * 9],
)
def test_codes_are_no_numbers(cells):
    assert profile("x", cells).type == "category"


@pytest.mark.parametrize(("cell", "told"), [("7.5*", True), ("<0.2", True), ("7.5 p", True), ("7.5 kg", False)])
def test_marks_that_were_left_out_are_told(tmp_path: Path, cell: str, told: bool) -> None:
    cells = [cell, "1.5 e" if cell.endswith("p") else "1.5"] + [f"{i / 8}" for i in range(1, 78)]
    (tmp_path / "a.csv").write_text("\n".join(["height,kind", *(f"{c},{'ab'[i % 2]}" for i, c in enumerate(cells))]))
    doubts = [doubt.what for doubt in tabular.read(tmp_path, Options()).findings.doubts]
    assert any(f"limits or marks such as {cell!r}" in what for what in doubts) is told


@pytest.mark.parametrize("filler", ["n.d.", "unknown", "Varies with device"])
def test_fillers_are_missing_and_told(tmp_path: Path, filler):
    rows = [f"{filler if i % 4 == 0 else i * 37 % 101 / 7:},{'ab'[i % 2]}" for i in range(80)]
    (tmp_path / "a.csv").write_text("\n".join(["height,kind", *rows]) + "\n")
    table = tabular.read(tmp_path, Options())
    assert math.isnan(table.steps(0).item())
    assert table.steps(1).item() == pytest.approx(37 / 7)
    assert any(
        "20 cells" in doubt.what and filler in doubt.what for doubt in table.findings.doubts if doubt.level == "warning"
    )
