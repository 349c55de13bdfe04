"""From raw data to ``model.zip``: the proof, what it refuses, what it needs, and that its bytes repeat."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from automl_engine import weights
from automl_engine.__main__ import main
from automl_engine.errors import DataError
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.network_files import write_graph
from automl_engine.models.shared.residual import residual_network
from automl_engine.package import export as exporting
from automl_engine.package.export import ParityError, export, requirements
from automl_engine.package.predictor import predict_zip
from formatters.base import Options
from formatters.convert import convert
from tests.formatters.toys import TOYS

HEAVY = {"torch", "tensorflow", "scipy", "sklearn", "pandas"}
OTHER_DATA = {"pyarrow", "python_calamine", "zstandard", "pydicom", "pillow_heif", "av", "soundfile", "soxr"}
ROWS = {"image": "image_linear", "tabular": "tabular_linear", "text": "text_naive_bayes"}


@pytest.fixture(scope="module", params=ROWS)
def run_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted toy and a short run on it, with its model.zip."""
    folder = tmp_path_factory.mktemp(request.param)
    convert(TOYS[request.param](folder / "raw"), folder / "data set", Options(name="toy"), say=lambda line: None)
    arguments = ["run", str(folder / "data set"), "--out", str(folder / "the run"), "--budget", "20"]
    assert main([*arguments, "--model", ROWS[request.param], "--device", "cpu"]) == 0
    return folder / "the run"


@pytest.fixture
def bundle(run_dir: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(run_dir / "model.zip") as archive:
        archive.extractall(tmp_path / "bundle")
    return tmp_path / "bundle"


def call(bundle: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """``predict.py`` as a user starts it, in a process of its own."""
    command = [sys.executable, "-I", str(bundle / "predict.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=bundle.parent)


def test_the_bundle_predicts_what_the_run_predicted(run_dir: Path, bundle: Path, tmp_path: Path) -> None:
    done = call(bundle, bundle / "sample" / "input", "-o", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out.csv").read_text().splitlines()
    labels = (bundle / "labels.txt").read_text().split()
    assert lines[0] == ",".join(["name", "prediction", *labels])
    answers = np.array([line.split(",")[2:] for line in lines[1:]], float)
    proof = json.loads((bundle / "verify.json").read_text())
    assert proof["agree"] == proof["samples"] == len(answers)
    last = np.loadtxt(run_dir / f"toy.predict_{json.loads((bundle / 'card.json').read_text())['prediction']}")
    expected = last[json.loads((bundle / "sample" / "index.json").read_text())]
    assert np.abs(answers - expected).max() <= proof["max_difference"] + 1e-9 <= proof["tolerance"]
    assert "Version 2.0, January 2004" in (bundle / "LICENSE").read_text()
    assert f"{proof['max_difference']:.2g}" in (bundle / "README.md").read_text()
    predict_zip(run_dir / "model.zip", bundle / "sample" / "input", tmp_path / "same.csv")
    assert (tmp_path / "same.csv").read_text() == (tmp_path / "out.csv").read_text()


def test_nothing_heavy_is_imported_and_nothing_is_pickled(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        f"print(sorted({HEAVY | OTHER_DATA!r} & set(sys.modules)))"
    )
    command = [
        sys.executable,
        "-I",
        "-c",
        code,
        bundle / "predict.py",
        bundle / "sample" / "input",
        "-o",
        tmp_path / "o",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert {path.suffix for path in (bundle / "model").iterdir()} <= {".json", ".onnx", ".npz", ".txt"}


@pytest.mark.parametrize("what", ["missing", "empty folder", "wrong kind"])
def test_a_mistake_of_the_user_is_one_sentence(bundle: Path, tmp_path: Path, what: str) -> None:
    source = tmp_path / "new.mid"
    if what == "empty folder":
        source.mkdir()
    if what == "wrong kind":
        source.write_bytes(bytes(range(256)))
    done = call(bundle, source, "-o", tmp_path / "out.csv")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "new.mid" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_what_cannot_be_read_has_a_row_that_says_why(run_dir: Path, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle / "sample" / "input", tmp_path / "new")
    (tmp_path / "new" / "zz.pdf").write_bytes(b"%PDF")
    done = call(bundle, tmp_path / "new", "-o", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "out.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[-1] == "problem"
    assert all(row[1] and row[2] and not row[-1] for row in rows[:-1])
    assert rows[-1][:-1] == ["zz.pdf"] + [""] * (len(header) - 2)
    assert rows[-1][-1].startswith("zz.pdf ")
    assert done.stderr.startswith(
        f"1 of {len(rows)} inputs could not be read and have no prediction; the first is zz.pdf"
    )
    notes = tmp_path / "notes.json"
    arguments = ["predict", str(run_dir / "model.zip"), str(tmp_path / "new"), "-o", str(tmp_path / "o.csv")]
    assert main([*arguments, "--notes", str(notes)]) == 0
    assert json.loads(notes.read_text()) == done.stderr.splitlines()


def test_a_missing_package_is_named(bundle: Path) -> None:
    code = (
        "import runpy, sys; sys.modules['numpy'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"
    )
    command = [sys.executable, "-I", "-c", code, str(bundle / "predict.py"), str(bundle / "sample" / "input")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=bundle)
    assert done.returncode == 2
    assert done.stderr.startswith("The package numpy is missing; pip install -r ")


def test_the_bytes_repeat(run_dir: Path) -> None:
    before = (run_dir / "model.zip").read_bytes()
    assert export(run_dir).read_bytes() == before
    with zipfile.ZipFile(run_dir / "model.zip") as archive:
        assert not [name for name in archive.namelist() if "__pycache__" in name]


def test_the_graph_of_a_network_repeats_it_for_any_number_of_examples_and_holds_no_path(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PixelNetwork(residual_network(3, 2, side=64, width=8), 3, multi_label=False, flips=(3,))
    network(torch.randint(256, (32, 64, 64, 3), dtype=torch.uint8))  # batch statistics that are not 0 and 1
    network.eval()
    graphs = [tmp_path / "one.onnx", tmp_path / "two.onnx"]
    for graph in graphs:
        write_graph(graph, network, torch.zeros(2, 64, 64, 3, dtype=torch.uint8), "pixels")
    written = graphs[0].read_bytes()
    assert written == graphs[1].read_bytes()
    assert str(exporting.ROOT).encode() not in written
    session = onnxruntime.InferenceSession(written)
    for count in (1, 2, 7):
        pixels = torch.randint(256, (count, 64, 64, 3), dtype=torch.uint8)
        with torch.inference_mode():
            expected = network(pixels).numpy()
        np.testing.assert_allclose(session.run(None, {"pixels": pixels.numpy()})[0], expected, atol=1e-5)


def test_paths_may_be_relative(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_dir.parent)
    assert export(Path(run_dir.name), Path("data set")) == run_dir / "model.zip"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["export", "nowhere"], "holds no run"),
        (["predict", "nowhere.zip", ".", "-o", "out.csv"], "is no model.zip"),
        (["predict", "data set/recipe.json", ".", "-o", "out.csv"], "is no model.zip"),
        (["predict", "the run/model.zip", "nothing", "-o", "out.csv"], "nothing does not exist"),
        (["predict", "the run/model.zip", "data set/sample/input", "-o", "no/out.csv"], "cannot be written"),
    ],
)
def test_mistakes_on_the_command_line(
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(run_dir.parent)
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_tampered_graph_is_refused_and_the_good_zip_stays(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = exporting._write_predictor

    def tampered(out: Path, *rest: object) -> None:
        write(out, *rest)
        for path in out.glob("*.onnx"):
            graph = onnx.load(path)
            for tensor in graph.graph.initializer:
                values = onnx.numpy_helper.to_array(tensor)
                if values.dtype.kind == "f":
                    tensor.CopyFrom(onnx.numpy_helper.from_array(-values - 1, tensor.name))
            onnx.save(graph, path)

    before = (run_dir / "model.zip").read_bytes()
    monkeypatch.setattr(exporting, "_write_predictor", tampered)
    with pytest.raises(ParityError, match="differs from the engine by up to"):
        export(run_dir)
    assert main(["export", str(run_dir)]) == 3
    assert "differs from the engine" in capsys.readouterr().err
    assert (run_dir / "model.zip").read_bytes() == before
    assert not list(run_dir.glob(".export-*"))


def test_a_forgotten_requirement_is_found(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof hides what ``requirements.txt`` doesn't bring, though it is installed here."""
    monkeypatch.setattr(exporting, "requirements", lambda *_: f"numpy=={np.__version__}\n")
    with pytest.raises(ParityError, match=r"does not run: The package \w+ is missing"):
        export(run_dir)


@pytest.mark.parametrize(
    ("modality", "member", "records", "packages"),
    [
        ("tabular", "graph", False, ["numpy", "charset-normalizer", "onnxruntime"]),
        ("tabular", "booster", False, ["numpy", "charset-normalizer", "lightgbm"]),
        ("text", "graph", False, ["numpy", "charset-normalizer", "onnxruntime"]),
        ("timeseries", "graph", False, ["numpy", "charset-normalizer", "onnxruntime"]),
        ("image", "graph", False, ["numpy", "opencv-python-headless", "simplejpeg", "pillow", "onnxruntime"]),
        ("video", "graph", False, ["numpy", "opencv-python-headless", "simplejpeg", "pillow", "av", "onnxruntime"]),
        ("audio", "graph", False, ["numpy", "soundfile", "soxr", "av", "onnxruntime"]),
        (
            "image",
            "graph",
            True,
            ["numpy", "opencv-python-headless", "simplejpeg", "pillow", "google-crc32c", "onnxruntime"],
        ),
    ],
)
def test_requirements_are_exact(modality: str, member: str, records: bool, packages: list[str]) -> None:
    lines = requirements({"modality": modality}, [{member: "x"}], records).split()
    assert lines == [f"{package}=={importlib.metadata.version(package)}" for package in packages]


def test_only_images_that_need_them_bring_further_decoders() -> None:
    lines = requirements({"modality": "image", "packages": ["pillow-heif"]}, [], False).split()
    assert f"pillow-heif=={importlib.metadata.version('pillow-heif')}" in lines


def test_a_run_without_a_model(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    with pytest.raises(DataError, match="left no model"):
        export(tmp_path / "run")
    order = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(order | {"model": "challenge"}))
    with pytest.raises(DataError, match="Code for the AutoDL challenge leaves no model"):
        export(tmp_path / "run")


def test_the_readme_says_on_whose_terms_a_model_holds_pretrained_weights() -> None:
    assert exporting._terms([]) == ""
    assert exporting._terms(["the weights of net (photographs; Apache-2.0)"]).endswith(
        "- This model uses the weights of net (photographs; Apache-2.0).\n"
    )


def test_weights_of_a_package_bring_its_notice_and_the_text_of_the_licence(tmp_path: Path) -> None:
    package = weights.PACKAGES["efficientnet_lite0"]
    sentence = f"the weights of {package} (photographs; Apache-2.0)"
    assert exporting.named_packages([sentence, "weights of our own: words"]) == [package]
    assert exporting._terms([sentence]).endswith("the text of the Apache License 2.0 is in `LICENSE`.\n")
    exporting._write_notice(tmp_path / "notices" / "net.txt", package)
    assert "Copyright (c) 2020" in (tmp_path / "notices" / "net.txt").read_text()


def test_onnx_runtime_reports_nothing_to_its_maker(tmp_path: Path) -> None:
    """It would leave a device id and a queue of reports in the user's home."""
    code = (
        "import automl_engine.package.predictor, onnxruntime\n"
        "from onnx import TensorProto, helper\n"
        "ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in 'xy']\n"
        "graph = helper.make_graph([helper.make_node('Identity', ['x'], ['y'])], 'g', ends[:1], ends[1:])\n"
        "model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)\n"
        "onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=environment | {"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
