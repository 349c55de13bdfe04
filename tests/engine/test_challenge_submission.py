"""Submissions as people have them, and code of 2019 and 2020 on today's libraries."""

from __future__ import annotations

import ast
import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from automl_engine.__main__ import _unpacked, main, resolve
from automl_engine.errors import DataError
from automl_engine.models.challenge import interpreter
from automl_engine.models.challenge.submission import code_folder
from tests.engine.toys import write_table

CODE = "class Model:\n    def train(self, *_): ...\n    def test(self, *_): ...\n"


def write(root: Path, *places: str) -> Path:
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "model.py").write_text(CODE)
    return root


def test_the_code_of_a_submission(tmp_path: Path) -> None:
    assert code_folder(write(tmp_path / "a", ".", "baselines")) == tmp_path / "a"
    assert code_folder(write(tmp_path / "b", "my/team")) == tmp_path / "b" / "my" / "team"
    kit = write(tmp_path / "kit", "AutoDL_sample_code_submission", "AutoDL_simple_baseline_models/linear")
    assert code_folder(kit) == kit / "AutoDL_sample_code_submission"
    model, params = resolve(str(kit), tmp_path / "toy.data", None)
    assert (model, params["path"]) == ("challenge", str(kit / "AutoDL_sample_code_submission"))


def test_what_is_no_submission(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"several model.py \(in a, b\)"):
        code_folder(write(tmp_path / "two", "a", "b"))
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "solution.py").touch()
    with pytest.raises(DataError, match=r"no model.py \(but solution.py\)"):
        code_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("x = 1\nclass Model(:", r"not Python 3 code \(line 2: invalid syntax\)"),
        ("class MyModel:\n    pass", "define the class Model, which the challenge calls, but it has MyModel; add it"),
        ("class Model(object):\n    def train(self): ...", "class Model in model.py has no test, which"),
        ("class Model:\n    pass", "has no train and test"),
    ],
)
def test_code_that_the_challenge_cannot_call(code: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(code)
    with pytest.raises(DataError, match=sentence):
        code_folder(tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        "from other import Model",
        "from other import *",
        "try:\n    from new import Model\nexcept ImportError:\n    from old import Model",
        "import other\nModel = other.Model",
        "class Model(Base):\n    pass",
        "class Model:\n    train = test = lambda self, *_, **__: None",
    ],
)
def test_a_model_may_come_from_elsewhere(code: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(code)
    assert code_folder(tmp_path) == tmp_path


def test_an_archive_of_an_archive(tmp_path: Path) -> None:
    (tmp_path / "code.zip").touch()
    with pytest.raises(DataError, match=r"no model.py \(but code.zip\); unpack code.zip and give its content"):
        code_folder(tmp_path)


def test_a_submission_as_a_folder_a_file_or_an_archive(tmp_path: Path) -> None:
    root, run_dir = write(tmp_path / "code", "."), tmp_path / "run"
    assert _unpacked(root, run_dir) == _unpacked(root / "model.py", run_dir) == str(root)
    for kind in ("zip", "gztar"):
        archive = Path(shutil.make_archive(str(tmp_path / "team"), kind, root))
        assert (Path(_unpacked(archive, run_dir)) / "model.py").read_text() == CODE
    assert _unpacked(Path("auto+text_cnn"), run_dir) == "auto+text_cnn"


def test_links(tmp_path: Path) -> None:
    root = write(tmp_path / "code", ".")
    (root / "weights.bin").write_bytes(b"1")
    (root / "link.bin").symlink_to("weights.bin")
    assert code_folder(root) == root
    (root / "out.bin").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"out\.bin is a link that leads out of the submission"):
        code_folder(root)


SESSIONS = '''
import logging, os, sys
import numpy as np
import tensorflow as tf
import torch
import torchvision.models as models

logger = logging.getLogger(__name__)
tf.logging.set_verbosity(tf.logging.ERROR)
HERE = os.path.dirname(__file__)


class Model(object):
    """Nearest class mean, read through a session as in the PyTorch code of the challenge."""

    def __init__(self, metadata):
        self.metadata_ = metadata
        self.done_training = False
        self.scale = np.float(np.load(os.path.join(HERE, "weights.npy")))
        self.network = models.resnet18().conv1
        self.config = tf.ConfigProto()
        self.train_data = None

    def to_numpy(self, dataset):
        iterator = dataset.map(lambda x, y: (tf.to_float(x), y)).make_one_shot_iterator()
        example, labels = iterator.get_next()
        assert labels.shape[0] == self.metadata_.get_output_size()
        xs, ys = [], []
        with tf.Session(config=self.config) as session:
            while True:
                try:
                    x, y = session.run([example, labels])
                except tf.errors.OutOfRangeError:
                    break
                xs.append(x.ravel() * self.scale)
                ys.append(y)
        return torch.tensor(np.stack(xs)), torch.tensor(np.stack(ys))

    def train(self, dataset, remaining_time_budget=None):
        if self.train_data is None:
            self.train_data = self.to_numpy(dataset)
        else:
            self.done_training = True
        x, y = self.train_data
        self.means = (y.T @ x) / y.sum(0)[:, None]

    def test(self, dataset, remaining_time_budget=None):
        x, _ = self.to_numpy(dataset)
        return torch.softmax(-torch.cdist(x, self.means), 1).numpy()
'''

KERAS = '''
import numpy as np
import tensorflow as tf


class Model:
    """A Keras network on batches, with the names of 2019 beside those of TensorFlow 2."""

    def __init__(self, metadata):
        self.classes = metadata.get_output_size()
        self.done_training = False
        tf.logging.info("made")
        self.network = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(self.classes, "softmax")])
        self.network.compile(tf.keras.optimizers.Adam(0.05), "categorical_crossentropy")

    def train(self, dataset, remaining_time_budget=None):
        iterator = dataset.make_one_shot_iterator()
        example, labels = iterator.get_next()
        assert tuple(labels.shape) == (self.classes,)
        assert dataset.output_types == (tf.float32, tf.float32)
        self.network.fit(dataset.shuffle(100).batch(20), epochs=5, verbose=0)
        self.done_training = hasattr(self, "again")
        self.again = True

    def test(self, dataset, remaining_time_budget=None):
        return self.network.predict(dataset.batch(32), verbose=0)
'''


@pytest.mark.slow  # imports TensorFlow and torch, as challenge code does
@pytest.mark.parametrize("code", [SESSIONS, pytest.param(KERAS, marks=pytest.mark.long)], ids=["sessions", "keras"])
def test_code_of_the_challenge_runs(code: str, tmp_path: Path) -> None:
    import numpy as np

    folder = write_table(tmp_path / "data")
    np.save(tmp_path / "weights.npy", 1.0)
    with zipfile.ZipFile(tmp_path / "team.zip", "w") as archive:
        archive.writestr("kit/AutoDL_sample_code_submission/model.py", code)
        archive.write(tmp_path / "weights.npy", "kit/AutoDL_sample_code_submission/weights.npy")
        archive.writestr("kit/AutoDL_simple_baseline_models/linear/model.py", CODE)
    arguments = ["--out", str(tmp_path / "run"), "--budget", "60", "--model", str(tmp_path / "team.zip")]
    assert main(["run", str(folder), *arguments]) == 0, (tmp_path / "run" / "events.jsonl").read_text()
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert (scores["stopped"], len(scores["predictions"])) == ("done", 2)
    assert scores["nauc"] > 0.9


ESTIMATOR = CODE + "    def train(self):\n        import tensorflow as tf\n        tf.estimator.Estimator()\n"


def test_without_the_old_interpreter_it_is_told_before_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, code = write_table(tmp_path / "data"), tmp_path / "code"
    code.mkdir()
    (code / "model.py").write_text(ESTIMATOR)
    arguments = ["run", str(folder), "--out", str(tmp_path / "run"), "--budget", "20", "--model", str(code)]
    for python, sentence in (
        ("", "This code uses tf.estimator, which TensorFlow 2 no longer has; set CHALLENGE_PYTHON to"),
        ("/nowhere/python", "CHALLENGE_PYTHON names /nowhere/python, which cannot be started"),
    ):
        monkeypatch.setenv("CHALLENGE_PYTHON", python)
        assert main(arguments) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run" / "start.txt").exists()


def test_an_interpreter_without_tensorflow_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.py").write_text(ESTIMATOR)
    monkeypatch.setattr(interpreter, "PROBE", interpreter.PROBE.replace("'tensorflow'", "'no_such_package'"))
    monkeypatch.setenv("CHALLENGE_PYTHON", sys.executable)
    with pytest.raises(DataError, match="lacks no_such_package"):
        interpreter.chosen(tmp_path)


@pytest.mark.parametrize("name", ["old_python.py", "hooks.py"])
def test_the_program_for_the_old_interpreter_is_python_3_6(name: str) -> None:
    text = interpreter.PROGRAM.with_name(name).read_text("utf-8")
    ast.parse(text, feature_version=(3, 6))
    imported = {line for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert not [line for line in imported if "automl_engine" in line or "__future__" in line]


EVERY_GETTER = '''
import os
import threading
import time
import numpy as np
import tensorflow as tf


class Model:
    """Nearest class mean; tf.placeholder( in a comment makes it code of 2019."""

    def __init__(self, metadata):
        assert metadata.metadata_.sample_count == metadata.size() == 60
        assert metadata.metadata_.matrix_spec[0].col_count == 4
        assert metadata.get_tensor_shape(0) == (1, 1, 4, 1)
        assert metadata.get_dataset_name().endswith("toy.data/train")
        assert not (metadata.is_compressed(0) or metadata.is_sparse(0) or metadata.is_sequence())
        assert metadata.get_label_to_index_map() == {}
        assert os.path.isfile(os.path.join("linked", "code.py"))
        self.done_training = False
        self.steps = 0
        threading.Thread(target=time.sleep, args=(600,)).start()  # the run is done all the same

    def train(self, dataset, remaining_time_budget=None):
        assert os.system("pip3 install kapre==0.1.4 -i https://pypi.example/simple") != 0
        assert 0 < remaining_time_budget <= 60
        x, y = (part.numpy() for part in next(iter(dataset.batch(100))))
        assert x.shape == (60, 1, 1, 4, 1)
        self.means = (y.T @ x.reshape(-1, 4)) / y.sum(0)[:, None]
        self.steps += 1
        self.done_training = self.steps == 2

    def test(self, dataset, remaining_time_budget=None):
        x = np.concatenate([part.numpy() for part, _ in dataset.batch(7)]).reshape(-1, 4)
        return -((x[:, None] - self.means) ** 2)[..., :3].sum(2)
'''


@pytest.mark.slow  # imports TensorFlow in the other interpreter
def test_code_runs_in_the_interpreter_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is our own, since Python 3.6 is on few machines: the program is the same."""
    monkeypatch.setenv("CHALLENGE_PYTHON", sys.executable)
    folder, code = write_table(tmp_path / "data"), tmp_path / "code"
    code.mkdir()
    (code / "real").mkdir()
    (code / "real" / "code.py").write_text(EVERY_GETTER)
    (code / "model.py").symlink_to("real/code.py")
    (code / "linked").symlink_to("real")
    (code / "submodule").symlink_to("not/fetched")
    run_dir = tmp_path / "run"
    assert main(["run", str(folder), "--out", str(run_dir), "--budget", "60", "--model", str(code)]) == 0
    journal = (run_dir / "events.jsonl").read_text()
    scores = json.loads((run_dir / "scores.json").read_text())
    assert (scores["stopped"], len(scores["predictions"])) == ("done", 2), journal
    assert scores["nauc"] > 0.9
    assert "runs in an interpreter of its own: Python 3." in journal
    assert "Refused: pip3 install kapre==0.1.4" in journal
    assert "ingestion_success: 1" in (run_dir / "end.txt").read_text()
