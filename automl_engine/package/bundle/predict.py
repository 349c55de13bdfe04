#!/usr/bin/env python3
"""Predict new raw data with this model:  python predict.py INPUT [-o predictions.csv]

INPUT is a file, a folder, a zip or a table like those the model learned from, without labels.  Each file or row gets a
row of the CSV; where something could not be read, its last column ("problem") says why.
Needs: pip install -r requirements.txt
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

from automl_engine.errors import EXIT_DATA, exit_code  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("predictions.csv"))
    arguments = parser.parse_args()
    try:
        return exit_code(lambda: answer(arguments.input, arguments.out))
    except ModuleNotFoundError as error:
        print(f"The package {error.name} is missing; pip install -r {HERE / 'requirements.txt'}", file=sys.stderr)
        return EXIT_DATA


def answer(source: Path, out: Path) -> int:
    from automl_engine.package.predictor import predict

    predicted = predict(HERE, source, out)
    for note in predicted.notes:
        print(note, file=sys.stderr)
    print(f"{predicted.count} predictions written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
