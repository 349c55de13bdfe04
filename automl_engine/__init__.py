"""Anytime AutoML under a time budget.  Run it with ``python -m automl_engine --help``."""

import os

__version__ = "0.1.0"

# ONNX Runtime would keep a device id and send reports on its use to its maker; the data stay here, and so does that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
