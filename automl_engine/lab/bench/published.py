"""Published results on other data: table 2 of Liu et al., "AutoCV challenge design and baseline results" (2019)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

AUTOCV = Path(__file__).with_name("autocv.csv")
AUTOCV_MODELS = {"linear": "Linear", "resnet": "ResNet50 V2", "inception": "Inception V3, pretrained"}


def autocv_table() -> dict[str, Any]:
    """Table 2 of the AutoCV paper, for the page: names of the baselines, and NAUC and ALC of each on each set."""
    with open(AUTOCV, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [f"{model}_{score}" for model in AUTOCV_MODELS for score in ("nauc", "alc")]
    return {
        "models": list(AUTOCV_MODELS.values()),
        "rows": [
            {key: row[key] for key in ("phase", "dataset", "domain")} | {"values": [float(row[key]) for key in columns]}
            for row in rows
        ],
    }
