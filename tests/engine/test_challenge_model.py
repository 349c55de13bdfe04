"""Code in the challenge's own form: a folder with model.py, run through the command line."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from automl_engine.__main__ import main
from automl_engine.dataset.reader import open_split
from automl_engine.models.challenge.wrapper import Metadata
from automl_engine.run import confined, isolation
from tests.engine.toys import write_table

MODEL = '''
import numpy as np
import tensorflow as tf
import neighbour


class Model:
    """Nearest class mean, one more epoch a step."""

    def __init__(self, metadata):
        self.metadata = metadata
        assert metadata.get_dataset_name().endswith("toy.data/train")
        assert metadata.get_tensor_shape(0) == (1, 1, 4, 1)
        assert metadata.get_output_size() == neighbour.CLASSES
        self.done_training = False
        self.seen = []

    def train(self, dataset, remaining_time_budget=None):
        assert isinstance(dataset, tf.data.Dataset)
        self.seen.append(id(dataset))
        assert len(set(self.seen)) == 1, "the same object at every call"
        batch = next(iter(dataset.shuffle(100).batch(100)))
        x, y = batch[0].numpy().reshape(-1, 4), batch[1].numpy()
        assert len(x) == self.metadata.size()
        self.means = (y.T @ x) / y.sum(0)[:, None]
        self.done_training = len(self.seen) == 2

    def test(self, dataset, remaining_time_budget=None):
        assert 0 < remaining_time_budget < 60
        x = np.concatenate([batch.numpy() for batch, _ in dataset.batch(7)]).reshape(-1, 4)
        return -((x[:, None] - self.means) ** 2)[..., :3].sum(2)
'''


def test_a_challenge_folder_runs(tmp_path: Path) -> None:
    folder = write_table(tmp_path / "data")
    code = tmp_path / "nearest_mean"
    code.mkdir()
    (code / "model.py").write_text(MODEL)
    (code / "neighbour.py").write_text("CLASSES = 3\n")
    run_dir = tmp_path / "run"
    arguments = ["run", str(folder), "--out", str(run_dir), "--budget", "60", "--model", str(code)]
    assert main(arguments) == 0, (run_dir / "events.jsonl").read_text()
    scores = json.loads((run_dir / "scores.json").read_text())
    assert scores["stopped"] == "done"
    assert scores["nauc"] > 0.9
    assert scores["accuracy"] == 1, "scores below zero are fine"
    assert [p["by"] for p in scores["predictions"]] == ["nearest_mean"] * 2


def test_getters_of_the_challenge(tmp_path: Path) -> None:
    split = open_split(write_table(tmp_path) / "toy.data", "train")
    metadata = Metadata(split.spec, "x.data/train")
    assert metadata.size() == 60
    assert metadata.get_sequence_size() == 1
    assert metadata.get_matrix_size(0) == (1, 4)
    assert metadata.get_num_channels(0) == 1
    assert metadata.get_tensor_size(0) == (1, 4, 1)
    assert metadata.get_bundle_size() == 1
    assert (metadata.is_compressed(0), metadata.is_sparse(0), metadata.is_sequence()) == (False, False, False)
    assert metadata.get_label_to_index_map() == metadata.get_channel_to_index_map() == {}
    assert np.prod(metadata.get_tensor_shape()) == 4


HOSTILE = """
import os
import socket
import subprocess
import sys


def tried(action):
    try:
        return repr(action())
    except Exception as error:
        return f"refused: {error!r}"


class Model:
    def __init__(self, metadata):
        self.done_training = True
        data = os.path.dirname(metadata.get_dataset_name())
        attempts = {
            "pip": lambda: os.system("pip --version") and 1 / 0,
            "module": lambda: subprocess.check_call([sys.executable, "-m", "pip", "install", CODE], timeout=60),
            "network": lambda: socket.create_connection(("127.0.0.1", PORT), 2),
            "key": lambda: os.environ["SECRET_KEY"],
            "key file": lambda: open(SITE + "/secret_key").read(),
            "database": lambda: open(SITE + "/db.sqlite3", "rb").read(),
            "other run": lambda: open(SITE + "/runs/other/scores.json").read(),
            "write there": lambda: open(SITE + "/runs/other/scores.json", "w"),
            "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)),
            "labels": lambda: open(data.replace(".data", ".solution")).read(),
            "kill": lambda: os.kill(SUPERVISOR, 0),
        }
        for name, attempt in attempts.items():
            print(name, tried(attempt), sep=": ", flush=True)

    def train(self, dataset, remaining_time_budget=None):
        pass

    def test(self, dataset, remaining_time_budget=None):
        return None
"""


@pytest.mark.slow  # imports TensorFlow, as challenge code does
@pytest.mark.parametrize(
    "kind", [isolation, pytest.param(confined, marks=pytest.mark.long)], ids=["namespaces", "landlock"]
)
def test_foreign_code_reaches_nothing(kind: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel makes namespaces, and where it does not."""
    if kind.obstacle():
        pytest.skip(kind.obstacle())
    if kind is confined:
        monkeypatch.setattr(isolation, "obstacle", lambda: "no namespaces")
    folder = write_table(tmp_path / "data")
    site, code = tmp_path / "site", tmp_path / "submission"
    for made in (site / "runs" / "other", code):
        made.mkdir(parents=True)
    for name in ("secret_key", "db.sqlite3", "runs/other/scores.json"):
        (site / name).write_text("secret")
    monkeypatch.setenv("SECRET_KEY", "secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = {"SITE": str(site), "PORT": server.getsockname()[1], "SUPERVISOR": os.getpid(), "CODE": str(code)}
        (code / "model.py").write_text("".join(f"{key} = {value!r}\n" for key, value in given.items()) + HOSTILE)
        main(["run", str(folder), "--out", str(tmp_path / "run"), "--budget", "30", "--model", str(code)])
    log = (tmp_path / "run" / "ingestion.log").read_text()
    said = dict(line.split(": ", 1) for line in log.splitlines() if ": " in line)
    attempts = {name for name in said if f'"{name}": lambda' in HOSTILE}
    assert len(attempts) == HOSTILE.count(": lambda")
    assert [name for name in attempts if not said[name].startswith("refused: ")] == []
    assert (site / "runs" / "other" / "scores.json").read_text() == "secret"


def test_without_isolation_it_runs_only_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, code = write_table(tmp_path / "data"), tmp_path / "code"
    code.mkdir()
    (code / "model.py").write_text("class Model:\n    train = test = None\n")
    for check in (isolation, confined):
        monkeypatch.setattr(check, "obstacle", lambda: "the kernel refuses")
    confined.refusal.cache_clear()
    arguments = ["run", str(folder), "--out", str(tmp_path / "run"), "--budget", "30", "--model", str(code)]
    assert main(arguments) == 2
    assert "cannot isolate foreign code" in capsys.readouterr().err
    assert not (tmp_path / "run" / "ingestion.log").exists()
    monkeypatch.setenv(confined.OVERRIDE, "1")
    confined.refusal.cache_clear()
    main(arguments)
    confined.refusal.cache_clear()
    journal = (tmp_path / "run" / "events.jsonl").read_text()
    assert "not isolated from this machine's files and network: the kernel refuses" in journal
