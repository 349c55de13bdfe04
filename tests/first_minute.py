"""What a visitor waits for, on a site of its own with nobody else: figures as CSV.

    python -m tests.first_minute DATA [--modalities image,text] [--repeats 3] [--drops 10] [--write]

DATA: a folder with zips of raw data, MODALITY/NAME.zip.  For each modality: from *Start training* to the first point
of the curve; from a score in the journal to its arrival; from *Predict* to the answer, for the first sample and for
five later ones.  Then from the drop of an image zip of 9 MB to the first point.  A client without a window asks as the
pages' scripts do; what a browser takes to draw comes on top.  ``--write`` leaves the figures in
docs/results/first_minute.csv.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import tempfile
import time
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests

from automl_engine.run.events import read
from tests.e2e.conftest import ROOT, running_site

RESULTS = ROOT / "docs" / "results" / "first_minute.csv"
SETS = {
    "image": "cats_dogs",
    "video": "kth_person15_clips",
    "audio": "music_speech_silence",
    "text": "sms_spam",
    "tabular": "titanic",
    "timeseries": "chinatown_pedestrians",
}
BUDGET_S = 20
CHUNK_BYTES = 2**20
WARM_SAMPLES = 5
STILL_S, SETTLE_LIMIT_S, IDLE_PERCENT = 4, 60, 15
REPORT_POLL_S = 0.5  # as the page of a data set asks while it is read
FIRST_POLL_S, POLL_S = 0.05, 0.4  # as static/js/model.js
Figures = defaultdict[tuple[str, str], list[float]]
"""(what, data set) to seconds, one for each repetition."""


class Visitor:
    """A registered user who asks as the pages do."""

    def __init__(self, site: str) -> None:
        self.site, self.session = site, requests.Session()
        self.get("/accounts/signup/")
        self.post(
            "/accounts/signup/", email=f"{uuid.uuid4().hex[:8]}@example.org", password1=f"long-{uuid.uuid4().hex}"
        )

    def get(self, path: str) -> requests.Response:
        answer = self.session.get(self.site + path, timeout=60)
        answer.raise_for_status()
        return answer

    def post(self, path: str, files: Any = None, json_wanted: bool = False, **fields: Any) -> requests.Response:
        fields |= {"csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        headers = {"Referer": self.site} | ({"Accept": "application/json"} if json_wanted else {})
        answer = self.session.post(self.site + path, fields, files=files, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer

    def upload(self, source: Path) -> str:
        """The address of the data, once it can be learned from."""
        data = source.read_bytes()
        headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": self.session.cookies["csrftoken"], "Referer": self.site}
        name = base64.b64encode(source.name.encode()).decode()
        about = {"Upload-Length": str(len(data)), "Upload-Metadata": f"filename {name}"}
        place = self.session.post(f"{self.site}/uploads/", headers=headers | about, timeout=60).headers["Location"]
        place = requests.compat.urljoin(self.site, place)
        for offset in range(0, len(data), CHUNK_BYTES):
            kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
            chunk = data[offset : offset + CHUNK_BYTES]
            self.session.patch(place, chunk, headers=headers | kind, timeout=60).raise_for_status()
        address = self.session.get(place, timeout=60).url.removeprefix(self.site)
        while 'id="learn"' not in self.get(address).text:
            time.sleep(REPORT_POLL_S)
        return address

    def start(self, address: str) -> str:
        """The address of the run."""
        return self.post(f"{address}/learn", budget_s=BUDGET_S, model="auto").url.removeprefix(self.site)

    def points(self, run: str) -> Iterator[tuple[float, int]]:
        """(when it came in Unix time, k) of each point of the curve, until the run has ended."""
        with self.session.get(f"{self.site}{run}/stream", stream=True, timeout=60) as answer:
            kind = ""
            for line in answer.iter_lines(chunk_size=1):
                text = line.decode()
                if text.startswith("event: "):
                    kind = text.removeprefix("event: ")
                elif text.startswith("data: ") and kind == "point":
                    yield time.time(), json.loads(text.removeprefix("data: "))["k"]
                elif text.startswith("data: ") and kind == "end":
                    return

    def predict(self, address: str, files: Any = None, **fields: Any) -> None:
        found = self.post(f"{address}/predict", files=files, json_wanted=True, **fields).json()
        pause_s = FIRST_POLL_S
        while self.get(f"{address}/predictions/{found['id']}").headers["X-State"] == "queued":
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, POLL_S)


def settle() -> None:
    """Until the site has packed the last model and the next engine waits."""
    still, deadline = 0, time.monotonic() + SETTLE_LIMIT_S
    while still < STILL_S and time.monotonic() < deadline:
        still = still + 1 if psutil.cpu_percent(1) < IDLE_PERCENT else 0


def learn(visitor: Visitor, address: str, folder: Path, what: str, found: Figures) -> str:
    """One run to its end; its address."""
    settle()
    begun = time.time()
    run = visitor.start(address)
    came = {k: at for at, k in visitor.points(run)}
    found["start to first point", what].append(min(came.values()) - begun)
    journal = next(folder.glob(f"**/{run.rpartition('/')[2]}/events.jsonl"))
    scored = {event["k"]: event["time"] for event in read(journal)[0] if event["event"] == "score"}
    found["score to its arrival", what] += [came[k] - scored[k] for k in came]
    return run


def try_it(visitor: Visitor, run: str, folder: Path, what: str, found: Figures) -> None:
    """The same sample again and again; the first has the model loaded."""
    address = run.replace("/runs/", "/models/")
    while f"{address}/predict" not in visitor.get(address).text:
        time.sleep(1)
    settle()
    model = next(folder.glob(f"**/{run.rpartition('/')[2]}/**/model.zip"))
    for turn in range(1 + WARM_SAMPLES):
        begun = time.time()
        visitor.predict(address, **_sample(model, what))
        found["sample to answer, " + ("later" if turn else "first"), what].append(time.time() - begun)
        time.sleep(1)


def _sample(model: Path, what: str) -> dict[str, Any]:
    if what == SETS["text"]:
        return {"text": "Free entry! Call now to win a prize."}
    if what == SETS["tabular"]:
        return {"value": ["3", *[""] * 10]}
    with zipfile.ZipFile(model) as archive:  # a model brings samples of its data
        name = next(name for name in archive.namelist() if name.startswith("sample/input/") and not name.endswith("/"))
        return {"files": {"files": (Path(name).name, archive.read(name))}}


def drop(visitor: Visitor, source: Path, found: Figures) -> None:
    """Whoever drops the file starts as soon as the page offers it."""
    settle()
    begun = time.time()
    run = visitor.start(visitor.upload(source))
    at, _ = next(visitor.points(run))
    found["drop of a 9 MB zip to first point", source.stem].append(at - begun)
    visitor.post(f"{run}/stop")


def measure(data: Path, modalities: list[str], repeats: int, drops: int) -> Figures:
    found: Figures = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="autodl-first-") as name, running_site(Path(name)) as site:
        visitor, folder = Visitor(site), Path(name)
        for modality in modalities:
            what = SETS[modality]
            address = visitor.upload(data / modality / f"{what}.zip")
            for _ in range(repeats):
                run = learn(visitor, address, folder, what, found)
            try_it(visitor, run, folder, what, found)
            print(f"{what} is done", flush=True)
        for _ in range(drops):
            drop(visitor, data / "image" / f"{SETS['image']}.zip", found)
    return found


def rows(found: Figures) -> list[dict[str, Any]]:
    """Median and 95th percentile of each figure, and of all data sets together."""
    lines: Figures = defaultdict(list)
    for (figure, what), values in found.items():
        lines[figure, what] = values
        lines[figure, "all"] += values
    return [
        {
            "figure": figure,
            "data set": what,
            "count": len(values),
            "median s": round(float(np.median(values)), 2),
            "p95 s": round(float(np.percentile(values, 95)), 2),
            "most s": round(max(values), 2),
            "date": date.today(),
        }
        for (figure, what), values in sorted(lines.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.first_minute", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--modalities", default=",".join(SETS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--drops", type=int, default=10)
    parser.add_argument("--write", action="store_true", help=f"leave the figures in {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    found = measure(options.data, options.modalities.split(","), options.repeats, options.drops)
    table = rows(found)
    for row in table:
        print(*row.values(), sep="\t")
    if options.write:
        with open(RESULTS, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
