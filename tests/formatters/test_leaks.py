"""What makes scores look too good: near-copies and the same speaker on both sides, columns that tell the label."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from formatters import groups, leaks
from formatters.base import Options
from formatters.convert import convert

WORDS = [f"word{i}" for i in range(300)]


def warnings_of(source: Path, out: Path) -> str:
    report: dict[str, Any] = convert(source, out, Options(), say=lambda line: None)
    return " / ".join(doubt["what"] for doubt in report["doubts"] if doubt["level"] == "warning")


def photo(seed: int, size_px: int = 48) -> Image.Image:
    rng = np.random.default_rng(seed)
    grid = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return grid.resize((size_px, size_px), Image.Resampling.BICUBIC)


def test_pictures_that_were_saved_again_are_told(tmp_path: Path) -> None:
    for i in range(40):
        for side, quality, size_px in (("train", 95, 96), ("test", 60, 48)):
            path = tmp_path / "up" / side / "ab"[i % 2] / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo(i if i < 10 else i + 1000 * (side == "test"), size_px).save(path, quality=quality)
    assert "10 test samples are nearly the same as train samples" in warnings_of(tmp_path / "up", tmp_path / "out")


def test_texts_with_a_word_changed_are_told(tmp_path: Path) -> None:
    draw = random.Random(1)
    lines = []
    for i in range(60):
        words = draw.choices(WORDS, k=40)
        for side in ("train", "test"):
            words[5] = side
            words = words if i < 12 else draw.choices(WORDS, k=40)
            lines.append(f"{' '.join(words)},{'ab'[i % 2]},{side}")
    (tmp_path / "a.csv").write_text("\n".join(["text,label,split", *lines]))
    assert "12 test samples are nearly the same as train samples" in warnings_of(tmp_path / "a.csv", tmp_path / "out")


@pytest.mark.parametrize("name", ["patient_id", "Speaker", "userId"])
def test_the_same_person_on_both_sides_is_told(tmp_path: Path, name: str) -> None:
    draw = random.Random(2)
    rows = [f"p{i % 20},{draw.gauss(0, 1):.3f},{draw.choice('xy')}" for i in range(200)]
    (tmp_path / "a.csv").write_text("\n".join([f"{name},a,label", *rows]))
    assert f"values of '{name}' stand in train and in test" in warnings_of(tmp_path / "a.csv", tmp_path / "out")


def test_votes_are_told(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = []
    for i in range(120):
        votes = [draw.randrange(2) for _ in range(3)]
        votes[i % 3] = 3
        rows.append(f"{draw.gauss(0, 1):.3f},{','.join(map(str, votes))},{'uvw'[i % 3]}")
    (tmp_path / "a.csv").write_text("\n".join(["a,rude,sharp,neither,label", *rows]))
    assert "the largest of the columns 'rude', 'sharp', 'neither'" in warnings_of(tmp_path / "a.csv", tmp_path / "out")


def test_a_date_sorted_by_class_is_told(tmp_path: Path) -> None:
    rows = [f"{i % 7},2024-{1 + i // 28:02d}-{1 + i % 28:02d},{'ab'[i // 100]}" for i in range(200)]
    (tmp_path / "a.csv").write_text("\n".join(["a,day,label", *rows]))
    assert "'day' alone tells the label" in warnings_of(tmp_path / "a.csv", tmp_path / "out")


def test_nothing_is_told_of_different_samples() -> None:
    draw = random.Random(4)
    sides = range(100), range(100, 200)
    looks = [photo(seed, 16).convert("L").tobytes() for seed in range(200)]
    assert leaks.alike_pictures(looks, *sides) == ([], [])
    assert leaks.alike_texts([" ".join(draw.choices(WORDS, k=30)) for _ in range(200)], *sides) == ([], [])
    assert leaks.alike_texts(["thank you very much", ""] * 100, *sides) == ([], [])
    assert leaks.alike_pictures([bytes(256)] * 200, *sides) == ([], [])


def test_frames_of_one_camera_are_similar_and_no_copies(tmp_path: Path) -> None:
    for i in range(40):
        for side in ("train", "test"):
            path = tmp_path / "up" / side / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            frame = photo(i if i < 10 else i + 1000 * (side == "test"), 96)
            frame.paste((128,) * 3, (20, 20, 26, 26) if side == "train" else (70, 60, 76, 66))  # what passes by
            frame.save(path)
    report = convert(tmp_path / "up", tmp_path / "out", Options(), say=lambda line: None)
    told = [(doubt["what"], doubt["level"]) for doubt in report["doubts"] if "similar" in doubt["what"]]
    assert told == [("10 test samples are similar to train samples, so scores look better than they are", "info")]
    assert not any("nearly the same" in doubt["what"] for doubt in report["doubts"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("{i:03d}-{label}-speaker{who}.png", "'speaker', such as 'speaker 1'"),
        ("S{who:02d}_{label}_{i:03d}.png", "'subject', such as 'S01'"),
        ("Patient_{who}/{label}-{i:03d}.png", "'patient', such as 'patient 1'"),
        ("{label}/sub-{who:02d}/{i:03d}.png", "'sub', such as 'sub 1'"),
        ("{who:02d}_{label}_{take:02d}.png", "'number in the names of the files', such as '01'"),
        ("{who}/{label}_{take}.png", "'number in the names of the files', such as '1'"),
        ("{label}/{who}/{take:03d}.png", "'number in the names of the files', such as '1'"),
    ],
)
def test_the_same_person_in_the_names_of_files_is_told(tmp_path: Path, name: str, value: str) -> None:
    rows = ["file,label"]
    for i in range(60):
        label = ("happy", "sad", "calm")[i % 3]
        file = name.format(i=i, label=label, who=1 + i // 3 % 5, take=i // 15)
        path = tmp_path / "up" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(i).save(path)
        rows.append(f"{file},{label}")
    (tmp_path / "up" / "labels.csv").write_text("\n".join(rows))
    of, such = value.split(", ")
    assert f"values of {of} stand in train and in test, {such}" in warnings_of(tmp_path / "up", tmp_path / "out")


def test_folders_of_persons_are_told(tmp_path: Path) -> None:
    for i in range(12):
        folder = tmp_path / "raw" / f"Actor_{i % 3:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        photo(i).save(folder / f"03-01-{i:02d}.png")
    assert "each named after one actor" in warnings_of(tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize("in_order", [True, False])
def test_neighbours_in_time_on_both_sides_are_told(tmp_path: Path, in_order: bool) -> None:
    times = [f"2021-03-05 10:{i // 60:02d}:{i % 60:02d}" for i in range(240)]
    rows = [f"{time},{i * 37 % 61},{('walk', 'run', 'sit')[i // 20 % 3]}" for i, time in enumerate(times)]
    random.Random(0).shuffle(rows) if not in_order else None
    (tmp_path / "a.csv").write_text("\n".join(["when,speed,activity", *rows]) + "\n")
    told = warnings_of(tmp_path / "a.csv", tmp_path / "out")
    assert ("the order of 'when' and keep their class for 20 rows" in told) == in_order


def test_persons_who_are_the_classes_are_no_groups() -> None:
    names = [f"speaker{i % 4}/{i}.wav" for i in range(40)]
    assert not groups.groups_in_names(names, [(str(i % 4),) for i in range(40)])
    assert not groups.groups_in_names(["scan12.png", "person.png", "tap S3.wav", "IMG_20240101.jpg"], list("abab"))


NO_PERSONS = {
    "files counted in each class": lambda i, label: f"{label}/{i // 3:03d}.png",
    "counted, with a rating": lambda i, label: f"{'train' if i % 2 else 'test'}/{label}/{i // 6}_{i % 10}.txt",
    "objects, one of each class": lambda i, label: f"{i // 3:03d}_{label}_1.png",
    "folds": lambda i, label: f"{i % 5 + 1}-{100000 + i}-A-{label}.wav",
    "folders of many files": lambda i, label: f"images/{i // 50:03d}/{i:06d}.jpg",
    "ages": lambda i, label: f"{i * 7 % 40}_{label}_2017011620{i:05d}.jpg",
    "angles": lambda i, label: f"{10 * (i // 3 % 20)}_{label}_{i // 60}.png",
    "dates": lambda i, label: f"{1 + i // 3 % 28:02d}-{1 + i // 84:02d}-2023_{label}_1.png",
    "digits": lambda i, label: f"{i // 3 % 10}_{label}_{i // 30}.wav",
    "parts of a table": lambda i, label: f"{i % 8}.csv, row {i // 8}",
    "two sizes": lambda i, label: f"{1 + i // 3 % 2}_{label}_{i // 6}.png",
}


@pytest.mark.parametrize("kind", NO_PERSONS)
def test_numbers_that_are_no_persons_are_no_groups(kind: str) -> None:
    labels = ["happy", "sad", "calm"] * 100
    assert not groups.groups_in_names([NO_PERSONS[kind](i, label) for i, label in enumerate(labels)], labels)


def test_the_same_subject_of_series_on_both_sides_is_told(tmp_path: Path) -> None:
    draw = random.Random(6)
    steps = [f"t{t}" for t in range(12)]
    rows = [",".join([f"p{i % 9}", *(f"{draw.gauss(i % 2, 1):.2f}" for _ in steps), "xy"[i % 2]]) for i in range(90)]
    (tmp_path / "a.csv").write_text("\n".join([",".join(["subject_id", *steps, "label"]), *rows]))
    report = convert(tmp_path / "a.csv", tmp_path / "out", Options(), say=lambda line: None)
    assert report["modality"] == "timeseries"
    assert any("values of 'subject_id' stand in train and in test" in doubt["what"] for doubt in report["doubts"])
