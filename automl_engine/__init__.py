"""Anytime AutoML under a time budget.  Run it with ``python -m automl_engine --help``."""

__version__ = "0.1.0"
