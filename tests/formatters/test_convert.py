"""The command line, from upload to report: what it says, what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_engine.errors import DataError
from formatters.__main__ import main
from formatters.base import Options
from formatters.convert import convert, data_set_name
from formatters.progress import never_silent
from tests.formatters import toys
from tests.formatters.test_archive import make_zip


def report_of(source: Path, out: Path, options: Options | None = None) -> dict:
    return convert(source, out, options or Options(), say=lambda line: None)


def test_command_line(tmp_path: Path) -> None:
    source = toys.image_upload(tmp_path)
    command = [sys.executable, "-m", "formatters", source, tmp_path / "out", "--name", "my train set", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Done: 24 images in 2 classes, 16×16, grey"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["name"] == "my_trn_set"
    assert report["split"] == {"how": "stratified", "test_size": 0.25, "seed": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "toy_image"]


BAD = {
    "empty.zip": {},
    "traversal.zip": {"../x.csv": "a,b\n1,2\n"},
    "unknown.zip": {"a.xyz": "?", "b.xyz": "?"},
    "one_class.zip": {f"cat/{i}.png": "ok" for i in range(5)},
    "one_class_wrapped.zip": {f"set/images/cat/{i}.png": "ok" for i in range(5)},
    "one_each.zip": {f"{label}/0.png": "ok" for label in ("cat", "dog", "cow")},
    "all_broken.zip": {f"{label}/{i}.png": "broken" for label in ("cat", "dog") for i in range(3)},
    "no_labels.zip": {f"{i}.png": "ok" for i in range(5)},
    "ragged.csv": "a,b,label\n1,2,x\n3,y\n5,6,x\n7,8,y\n",
    "empty.csv": "",
    "constant.csv": "a,label\n" + "".join(f"{i},x\n" for i in range(20)),
    "missing.zip": {"1.png": "ok", "2.png": "ok", "labels.csv": "file,label\n1.png,a\n2.png,b\n3.png,a\n"},
    "picture.png": "ok",
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_data_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "ok.png")
    good = (tmp_path / "ok.png").read_bytes()
    (tmp_path / "ok.png").unlink()
    content = BAD[name]
    if isinstance(content, dict):
        make_zip(tmp_path / name, {path: good if data == "ok" else data for path, data in content.items()})
    else:
        (tmp_path / name).write_bytes(good if content == "ok" else content.encode())
    assert main([str(tmp_path / name), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) > 30
    assert said.strip().endswith(".")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_full_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    with pytest.raises(DataError, match="not empty"):
        report_of(toys.tabular_upload(tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "precious").exists()


def test_an_output_within_the_source(tmp_path: Path) -> None:
    source = toys.image_upload(tmp_path)
    assert report_of(source, source / "out")["counts"]["samples"] == 24


def test_native_bundles_are_copied_byte_for_byte(tmp_path: Path) -> None:
    source = toys.native_upload(tmp_path)
    report_of(source, tmp_path / "out")
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        assert (source / path).read_bytes() == (tmp_path / "out" / path).read_bytes()


@pytest.mark.parametrize("damage", ["solution", "record", "shape", "metadata"])
def test_broken_native_bundles(tmp_path: Path, damage: str) -> None:
    source = toys.native_upload(tmp_path)
    name = source.name
    records = source / f"{name}.data" / "train" / f"sample-{name}-train.tfrecord"
    if damage == "solution":
        (source / f"{name}.solution").unlink()
    elif damage == "shape":
        (source / f"{name}.solution").write_text("0 1\n")
    elif damage == "metadata":
        (source / f"{name}.data" / "test" / "metadata.textproto").write_text("output_dim: }")
    else:
        records.write_bytes(records.read_bytes()[:-5])
    with pytest.raises(DataError):
        report_of(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_duplicates_and_doubts(tmp_path: Path) -> None:
    source = toys.image_upload(tmp_path, per_class=40)
    for i in range(20):  # of each picture a copy, the last of them with another label
        label = "dark" if i else "bright"
        (source / label / f"copy{i}.png").write_bytes((source / "dark" / f"dark_{i}.png").read_bytes())
    (source / "rare").mkdir()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(source / "rare" / "1.png")
    (source / "rare" / "2.png").write_bytes(b"broken")
    report = report_of(source, tmp_path / "out")
    assert report["duplicates"]["exact"] == 20
    assert 0 < report["duplicates"]["across_split"] <= 20
    assert len(report["duplicates"]["examples"]) == 20
    assert report["unreadable"][0]["path"] == "rare/2.png"
    told = " / ".join(doubt["what"] for doubt in report["doubts"])
    for words in (
        "1 file cannot be read",
        "has 59 samples but 'rare' only 1",
        "class rare has only one sample",
        "have exact copies among the train samples",
        "1 sample has a copy with other labels",
    ):
        assert words in told
    assert next(label for label in report["labels"] if label["name"] == "rare")["test"] == 0


def test_a_labels_table_beside_media_is_no_table_upload(tmp_path: Path) -> None:
    report = report_of(toys.audio_upload(tmp_path), tmp_path / "out")
    assert report["modality"] == "audio"
    assert report["options"]["target"] == "pitch"


def test_modality_can_be_overridden(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [",".join(f"t{k}" for k in range(20)) + ",label"]
    lines += [",".join(f"{value:.3f}" for value in rng.normal(i % 2, 1, 20)) + f",{'ab'[i % 2]}" for i in range(40)]
    source = tmp_path / "wide.csv"
    source.write_text("\n".join(lines) + "\n")
    report = report_of(source, tmp_path / "out", Options(modality="tabular"))
    assert report["modality"] == "tabular"
    assert report["options"]["modality_candidates"][0] == "timeseries"
    with pytest.raises(DataError, match="modality must be one of"):
        report_of(source, tmp_path / "out2", Options(modality="smell"))


@pytest.mark.parametrize(
    ("wish", "name"),
    [("a b.c", "a_b_c"), ("TrainSet", "trnSet"), ("Ünï", "n"), ("图片", "data"), ("x" * 99, "x" * 60)],
)
def test_names(wish: str, name: str) -> None:
    assert data_set_name(wish) == name


def test_no_torch_tensorflow_or_django(tmp_path: Path) -> None:
    source = toys.audio_upload(tmp_path)
    code = (
        "import sys; from formatters.__main__ import main; "
        f"assert main([{str(source)!r}, {str(tmp_path / 'out')!r}]) == 0; "
        "print({'torch', 'tensorflow', 'django', 'sklearn', 'pandas', 'av'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_long_step_is_never_silent() -> None:
    lines: list[str] = []
    with never_silent(lines.append) as tell:
        tell("Reading the rows")
        time.sleep(2.2)
        tell("Writing")
    assert lines == ["Reading the rows", "Reading the rows (1 s)", "Reading the rows (2 s)", "Writing"]
