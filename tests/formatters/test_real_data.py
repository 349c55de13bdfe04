"""Small real sets with their quirks; ``make test-data`` sweeps over all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from formatters.base import Options
from formatters.convert import convert

pytestmark = pytest.mark.data

SETS = {
    "image/mnist_png.zip": ("image", "2,500 images in 10 classes, 28×28, grey", 500),
    "image/blood_cells_multilabel.zip": ("image", "364 images with 3 labels, 640×480, colour", 91),
    "audio/music_speech_silence.zip": ("audio", "120 sounds in 3 classes, 1 s", 30),
    "video/kth_person15_clips.zip": ("video", "48 videos in 6 classes, 22 to 24 frames, 160×120, grey", 12),
    "tabular/titanic.zip": ("tabular", "891 rows in 2 classes, 9 features", 223),
    "tabular/music_emotions_multilabel.zip": ("tabular", "593 rows with 6 labels, 72 features", 148),
    "timeseries/basic_motions.zip": ("timeseries", "80 series in 4 classes, length 100, 6 channels", 40),
    "timeseries/gunpoint_csv.zip": ("timeseries", "200 series in 2 classes, length 150, 1 channel", 50),
    "text/sms_spam.zip": ("text", "5,574 texts in 2 classes", 1394),
    "autodl_native/miniciao": ("image", "100 images in 10 classes, 32×32, colour", 18),
    "autodl_native/Monkeys": ("image", "30 images in 10 classes", 4),
    "autodl_native/contrib/tfrecord_format/mini-mnist": ("image", "100 images in 10 classes, 28×28, grey", 25),
    "autodl_native/contrib/file_format/monkeys": ("image", "30 images in 10 classes", 10),
    "autodl_native/contrib/file_format/randomtext": ("text", "30 texts with", 4),
}


@pytest.mark.parametrize("path", sorted(SETS))
def test_real_set(real_data: Path, tmp_path: Path, path: str) -> None:
    modality, title, test_count = SETS[path]
    report = convert(real_data / path, tmp_path / "out", Options(), say=lambda line: None)
    assert report["modality"] == modality
    assert report["title"].startswith(title)
    assert report["counts"]["test"] == pytest.approx(test_count, abs=2)


@pytest.mark.long
def test_every_set_is_what_its_manifest_says(real_data: Path, tmp_path: Path) -> None:
    wrong = {}
    for known in json.loads((real_data / "manifest.json").read_text("utf-8")):
        report = convert(real_data / known["file"], tmp_path / known["name"], Options(), say=lambda line: None)
        found = {
            "modality": report["modality"],
            "n_samples": report["counts"]["samples"],
            "n_classes": report["counts"]["classes"],
            "multi_label": report["task"] == "multi_label",
        }
        if found.items() - known.items():
            wrong[known["name"]] = found
    assert wrong == {}
