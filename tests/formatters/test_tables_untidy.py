"""What people leave in tables beside the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_engine.errors import DataError
from formatters.base import Options, Table
from formatters.modalities import tabular
from formatters.tables.reader import read_with_findings

ROWS = [f"{i * 37 % 61 / 7:.3f},{i % 11},{'red' if i % 3 else 'blue'},{'oak' if i % 2 else 'elm'}" for i in range(60)]
HEADER = "height,leaves,colour,kind"


def read(folder: Path, *lines: str) -> Table:
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return tabular.read(folder, Options())


@pytest.mark.parametrize(
    "lines",
    [
        [HEADER, "cm,number,,", *ROWS],
        ["Size,,Look,Result", HEADER, *ROWS],
        ["Tree survey 2022,,,", "", HEADER, *ROWS],
        [HEADER, *ROWS, "Grand total,,,60"],
        [HEADER, *ROWS, "Total,300,,60", "Average,5,,"],
        [*(f"# line {i}: written by the logger, version 1.{i}" for i in range(9)), HEADER, *ROWS],
        [*(f"# line {i}" for i in range(9)), f"# {HEADER}", *ROWS],
        [f'"{line}"' for line in (HEADER, *ROWS)],
        ["".join(cell.rjust(12) for cell in line.split(",")) for line in (HEADER, *ROWS)],
        [HEADER, *ROWS, "  ", ",,,"],
        [HEADER, "continuous,continuous,discrete,discrete", ",,,class", *ROWS],
        [HEADER, "c,c,d,d", ",,,class", *ROWS],
        [*(HEADER, *ROWS[:30]), *(HEADER, *ROWS[30:])],
        [f"{HEADER},", *ROWS],
        [f"{HEADER},", *(f"{row}," for row in ROWS)],
        [HEADER, *(row.replace("oak", "'oak'").replace("elm", "'elm'") for row in ROWS)],
    ],
)
def test_the_rows_alone_are_read(tmp_path, lines):
    table = read(tmp_path, *lines)
    assert table.findings.target == "kind"
    assert table.label_names == ["elm", "oak"]
    assert len(table.samples) == 60
    features = {row["name"]: row["type"] for row in table.findings.columns if row["role"] == "feature"}
    assert features == {"height": "number", "leaves": "number", "colour": "category"}


def test_lines_of_another_length_are_left_out_and_told(tmp_path):
    lines = [*ROWS[:30], "1,2,3,4,5", *ROWS[30:]]
    table = read(tmp_path, HEADER, *lines)
    assert len(table.samples) == 60
    assert any(
        "line 32, which has 5 fields" in doubt.what for doubt in table.findings.doubts if doubt.level == "warning"
    )
    kept, found = read_with_findings(tmp_path / "a.csv", keep_empty=True)  # each row to predict needs its answer
    assert len(kept.rows) == 61
    assert found.unread.keys() == {30}
    assert "line 32 has 5 fields instead of 4" in found.unread[30]


def test_a_header_that_comes_again_is_told(tmp_path):
    table = read(tmp_path, HEADER, *ROWS[:20], HEADER, *ROWS[20:], HEADER)
    assert any("left out 2 lines that repeat the header" in doubt.what for doubt in table.findings.doubts)


def test_single_quotes_around_delimiters(tmp_path):
    table = read(tmp_path, "a;kind;note", *(f"{i % 7};{'uv'[i % 2]};'x;{i % 3}'" for i in range(40)))
    assert len(table.samples) == 40


def test_a_quoted_line_break_alone_is_empty(tmp_path):
    with pytest.raises(DataError, match="empty"):
        read(tmp_path, '"', '"')
