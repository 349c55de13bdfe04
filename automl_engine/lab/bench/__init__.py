"""The benchmark: models over data sets and seeds, each an ordinary run; a table, plots and a CSV of the results.

A supervisor like ``run``: converting and running happen in processes of their own, so nothing heavy is loaded here.
"""

import sys

BASELINE = "baseline"
"""The one model of all baselines, and a child process that knows it."""
BASELINE_CHILD = (sys.executable, "-m", "automl_engine.lab.bench.baselines")
