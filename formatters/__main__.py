"""Format raw data: ``python -m formatters SRC OUT``.

Exits with 2 and one sentence if the data could not be read, with 4 and one sentence if the machine fails (disk full).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from automl_engine.errors import exit_code
from automl_engine.run.child import held_memory
from formatters.base import Options, Question
from formatters.convert import convert
from formatters.edits.listed import read_edits
from formatters.labels.cuts import CUTS_HELP

QUESTION = "Question: "


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m formatters", description=__doc__)
    parser.add_argument("source", type=Path, help="zip, tar, folder, CSV, TSV or .ts file, or an AutoDL data set")
    parser.add_argument("out", type=Path, help="output folder; must be new or empty")
    parser.add_argument("--name", help="name of the data set (default: that of the source)")
    parser.add_argument("--target", help="label column, or several 0/1 columns separated by commas")
    parser.add_argument("--test-size", type=float, default=0.25, help="share of test samples (default 0.25)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the split (default 0)")
    parser.add_argument("--modality", help="image, video, audio, text, tabular or timeseries (default: detected)")
    parser.add_argument("--label-cuts", metavar="CUTS", help=CUTS_HELP)
    parser.add_argument(
        "--encoding", help="of files and names that are not UTF-8, such as cp1251, instead of our guess"
    )
    parser.add_argument("--date-order", choices=("day", "month"), help="what comes first in dates that do not tell it")
    parser.add_argument("--data-set", metavar="NAME", help="which one, where an upload holds several AutoDL data sets")
    parser.add_argument("--edits", type=Path, metavar="FILE", help="JSON list of edits (docs/formats.md)")
    parser.add_argument("--more", type=Path, metavar="SRC", action="append", help="more data of the same kind")
    given = vars(parser.parse_args(arguments))
    source, out, edits = given.pop("source"), given.pop("out"), given.pop("edits")
    given["more"] = tuple(given["more"] or ())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the work folder is removed
    return exit_code(lambda: _convert(source, out, Options(**given, edits=read_edits(edits) if edits else ())))


def _convert(source: Path, out: Path, options: Options) -> int:
    with held_memory():
        try:
            report = convert(source, out, options, say=lambda line: print(line, flush=True))
        except Question as question:
            print(QUESTION + json.dumps(question.asked, ensure_ascii=False), flush=True)  # for a page that can ask
            raise
    print(f"Done: {report['title']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
