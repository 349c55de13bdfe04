"""Series as people store them: long tables in any order, headers of times, a file a series; and what is no series."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from formatters import recipe as recipes
from formatters.base import NewData, Options
from formatters.convert import convert
from formatters.series.long import sniff
from formatters.tables.reader import RawTable

STATES = ("ripe", "green", "rotten")
START = datetime(2022, 3, 1)


def wave(i: int, steps: int = 20) -> list[float]:
    return [round(math.sin(t / (3 + 2 * (i % 3)) + i), 4) for t in range(steps)]


def made(folder: Path, files: dict[str, str], **options: str) -> dict:
    for name, content in files.items():
        path = folder / "up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return convert(folder / "up", folder / "out", Options(**options), say=lambda line: None)


def predicted(folder: Path, content: str) -> NewData:
    (folder / "new.csv").write_text(content)
    return recipes.encode(recipes.load(folder / "out" / "recipe.json"), folder / "new.csv")


def long(header: str, line: str, order: str = "i") -> str:
    rows = [(i, t, value) for i in range(12) for t, value in enumerate(wave(i))]
    rows.sort(key=lambda row: (row[1], row[0]) if order == "t" else (row[0], row[1]))
    lines = [
        line.format(
            i=i, t=t, v=v, w=-v, s=STATES[i % 3], at=START + timedelta(days=i, seconds=10 * t), ms=1000 * i + 20 * t
        )
        for i, t, v in rows
    ]
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize("order", ["i", "t"])
@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("device,timestamp,reading,state", "d{i},{at},{v},{s}"),
        ("time,device,x,y,state", "{ms},d{i},{v},{w},{s}"),
        ("device,n,reading,state", "d{i},{t},{v},{s}"),
        ("device,seconds,reading,state", "d{i},{ms},{v},{s}"),
        ("site,device,at,reading,state", "s{i},d{i},{at},{v},{s}"),
    ],
)
def test_long_tables(tmp_path: Path, header: str, line: str, order: str) -> None:
    report = made(tmp_path, {"a.csv": long(header, line, order)})
    assert (report["modality"], report["counts"]["samples"], report["options"]["target"]) == ("timeseries", 12, "state")
    assert report["spec"]["sequence_size"] == 20
    new = predicted(tmp_path, long(header, line, "t").replace(",ripe", ",").replace(",green", ","))
    assert len(new.names) == 12
    found = dict(zip(new.names, new.contents, strict=True))
    np.testing.assert_allclose(
        found[next(name for name in new.names if name.endswith("4"))][:, 0, 0, 0], wave(4), rtol=1e-6
    )


def test_a_long_table_without_a_step(tmp_path: Path) -> None:
    report = made(tmp_path, {"a.csv": long("trial,ax,ay,state", "{i},{v},{w},{s}")})
    assert (report["modality"], report["counts"]["samples"], report["spec"]["num_channels"]) == ("timeseries", 12, 2)


NO_SERIES = {
    "a label a row": long("device,timestamp,reading,state", "d{i},{at},{v},{s}{t}").replace("0\n", "\n"),
    "rows sorted by group": "group,size,mass,kind\n"
    + "".join(f"{i // 20},{i * 37 % 101},{i * 53 % 97},{STATES[i // 20 % 3]}\n" for i in range(160)),
    "orders of shops": "shop,date,sum,size\n"
    + "".join(f"s{i % 8},2022-0{1 + i * 7 % 9}-11,{i * 37 % 101},{STATES[i % 8 % 3]}\n" for i in range(160)),
    "a code a row": "shop,date,sum,size,late\n"
    + "".join(f"s{i % 8},2022-01-{1 + i // 8:02},{i},{STATES[i % 8 % 3]},{i % 3 % 2}\n" for i in range(160)),
    "sorted numbers": "mass,items,state\n"
    + "".join(f"{i % 9}.5,{' '.join(str(i % 7 + k * k) for k in range(12))},{STATES[i % 3]}\n" for i in range(60)),
    "columns that are numbered": ",".join(f"{k}.0" for k in range(20))
    + ",state\n"
    + "".join(",".join(str((i * 37 + k * 53) % 101) for k in range(20)) + f",{STATES[i % 3]}\n" for i in range(60)),
    "a number that labels": long("device,timestamp,reading,label", "{s},{at},{v},{t}").replace(",0\n", ",1\n"),
}


@pytest.mark.parametrize("kind", NO_SERIES)
def test_tables_that_are_no_series(tmp_path: Path, kind: str) -> None:
    report = made(tmp_path, {"a.csv": NO_SERIES[kind]}, label_cuts="each" if "labels" in kind else "")
    assert report["modality"] == "tabular"


@pytest.mark.parametrize(
    "axis",
    [
        [f"{h:02}:{m:02}" for h in range(10) for m in (0, 30)],
        [str(date(2021, 1, 1) + timedelta(days=16 * k)) for k in range(20)],
        [f"{2020 + k // 12}-{1 + k % 12:02}" for k in range(20)],
        [str(1995 + k) for k in range(20)],
    ],
)
def test_a_header_of_times(tmp_path: Path, axis: list[str]) -> None:
    rows = [f"m{i},{','.join(map(str, wave(i)))},{STATES[i % 3]}" for i in range(30)]
    report = made(tmp_path, {"a.csv": "\n".join([f"place,{','.join(axis)},state", *rows])})
    assert (report["modality"], report["counts"]["samples"]) == ("timeseries", 30)
    assert report["spec"]["sequence_size"] == 20


def test_whole_numbers_in_a_cell(tmp_path: Path) -> None:
    curves = [{"id": i, "ecg": [round(500 + 200 * v) for v in wave(i, 50)], "state": STATES[i % 3]} for i in range(30)]
    report = made(tmp_path / "a", {"a.json": json.dumps(curves)})
    assert (report["modality"], report["spec"]["sequence_size"]) == ("timeseries", 50)


def test_files_of_json(tmp_path: Path) -> None:
    files = {
        f"{STATES[i % 3]}/{i}.json": json.dumps([{"t": t, "ax": v, "ay": -v} for t, v in enumerate(wave(i))])
        for i in range(12)
    }
    report = made(tmp_path, files)
    assert (report["modality"], report["counts"]["samples"], report["spec"]["num_channels"]) == ("timeseries", 12, 2)


def test_the_class_in_the_names_of_recordings_is_told(tmp_path: Path) -> None:
    files = {
        f"{STATES[i % 3]}_{i}.csv": "t,x,y\n" + "".join(f"{t / 10},{v},{-v}\n" for t, v in enumerate(wave(i)))
        for i in range(12)
    }
    report = made(tmp_path, files)
    assert (report["modality"], {label["name"] for label in report["labels"]}) == ("timeseries", set(STATES))
    assert any("taken from the names of the files" in doubt["what"] for doubt in report["doubts"])


def test_a_line_of_a_recording_that_is_left_out_is_told(tmp_path: Path) -> None:
    files = {
        f"{STATES[i % 3]}/{i}.csv": "t,ax\n" + "".join(f"{t},{v}\n" for t, v in enumerate(wave(i, 40)))
        for i in range(12)
    }
    files["ripe/3.csv"] = files["ripe/3.csv"].replace("\n7,", "\n7,7,")
    told = [doubt["what"] for doubt in made(tmp_path, files)["doubts"] if doubt["level"] == "warning"]
    assert told[0] == "ripe/3.csv: left out line 9, which has 3 fields instead of 2"


def test_a_column_is_not_read_again_for_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 rows once took minutes."""
    (tmp_path / "rows.csv").write_text(
        "a,b,c,kind\n" + "".join(f"{i}.5,{i % 7},{i % 3},k{i % 2}\n" for i in range(500))
    )
    reads, column = [], RawTable.column

    def counted(self: RawTable, name: str) -> list[str]:
        reads.append(name)
        return column(self, name)

    monkeypatch.setattr(RawTable, "column", counted)
    assert sniff(tmp_path, Options()) is None
    assert len(reads) < 100
