"""Challenge code of 2019 and 2020 in its own interpreter: a program that stands alone, in the syntax of Python 3.6.

    CHALLENGE_PYTHON old_python.py NAME.data RUN

It takes the place of run/ingestion.py: the same order (``RUN/run.json``), the challenge's clock, loop and files, and
the same journal.  It needs numpy and the interpreter's own TensorFlow (1.13 or later), and reads the records with
``tf.data``, as the challenge's reader does.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from typing import Any, Dict, List, Optional, Tuple

import hooks  # from this folder, which is then no longer searched: its modules must not stand for the submission's

sys.path.pop(0)
import numpy as np
import tensorflow
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

tf = tensorflow.compat.v1 if hasattr(tensorflow.compat, "v1") else tensorflow
EXIT_OK, EXIT_FAILED = 0, 1

# The challenge's DataSpecification, with its field numbers
KINDS = {"int": 5, "bool": 8, "string": 9, "message": 11, "enum": 14}
MATRIX = [
    ("col_count", 1, "int", -1),
    ("row_count", 2, "int", -1),
    ("is_sequence_col", 3, "bool", None),
    ("is_sequence_row", 4, "bool", None),
    ("has_locality_col", 5, "bool", None),
    ("has_locality_row", 6, "bool", None),
    ("is_sparse", 7, "bool", None),
    ("num_channels", 9, "int", -1),
]
SPECIFICATION = [
    ("is_sequence", 2, "bool", None),
    ("output_dim", 3, "int", None),
    ("sequence_size", 7, "int", 1),
    ("sample_count", 8, "int", None),
]
MAPS = [("label_to_index_map", 4), ("feature_to_index_map", 5), ("channel_to_index_map", 6)]


def specification_class() -> Any:
    """The message, built here since code made by another protoc would not fit every protobuf."""
    file = descriptor_pb2.FileDescriptorProto(name="autodl.proto", package="autodl", syntax="proto2")
    matrix = file.message_type.add(name="MatrixSpec")
    formats = matrix.enum_type.add(name="Format")
    for number, name in enumerate(("DENSE", "SPARSE", "COMPRESSED")):
        formats.value.add(name=name, number=number)
    _fields(matrix, MATRIX)
    matrix.field.add(name="format", number=8, label=1, type=KINDS["enum"], type_name=".autodl.MatrixSpec.Format")
    whole = file.message_type.add(name="DataSpecification")
    _fields(whole, SPECIFICATION)
    whole.field.add(name="matrix_spec", number=1, label=3, type=KINDS["message"], type_name=".autodl.MatrixSpec")
    for name, number in MAPS:
        entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        pair = whole.nested_type.add(name=entry)
        pair.options.map_entry = True
        _fields(pair, [("key", 1, "string", None), ("value", 2, "int", None)])
        kind = ".autodl.DataSpecification." + entry
        whole.field.add(name=name, number=number, label=3, type=KINDS["message"], type_name=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("autodl.DataSpecification")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(found)
    return message_factory.MessageFactory(pool).GetPrototype(found)


def _fields(message: Any, fields: List[Tuple[str, int, str, Optional[int]]]) -> None:
    for name, number, kind, default in fields:
        field = message.field.add(name=name, number=number, label=1, type=KINDS[kind])
        if default is not None:
            field.default_value = str(default)


class Metadata:
    """The getters of the challenge's ``AutoDLMetadata``, and ``metadata_``, the message."""

    def __init__(self, folder: str) -> None:
        self._name = folder
        self.metadata_ = specification_class()()
        with open(os.path.join(folder, "metadata.textproto"), encoding="utf-8") as file:
            text_format.Merge(file.read(), self.metadata_)

    def get_dataset_name(self) -> str:
        return self._name

    def is_compressed(self, bundle_index: int = 0) -> bool:
        return self.metadata_.matrix_spec[bundle_index].format == 2

    def is_sparse(self, bundle_index: int = 0) -> bool:
        return self.metadata_.matrix_spec[bundle_index].format == 1

    def get_bundle_size(self) -> int:
        return len(self.metadata_.matrix_spec)

    def get_matrix_size(self, bundle_index: int = 0) -> Tuple[int, int]:
        matrix = self.metadata_.matrix_spec[bundle_index]
        return matrix.row_count, matrix.col_count

    def get_num_channels(self, bundle_index: int = 0) -> int:
        channels = self.metadata_.matrix_spec[bundle_index].num_channels
        return channels if channels != -1 else 3 if self.is_compressed(bundle_index) else 1

    def get_tensor_size(self, bundle_index: int = 0) -> Tuple[int, int, int]:
        rows, columns = self.get_matrix_size(bundle_index)
        return rows, columns, self.get_num_channels(bundle_index)

    def get_tensor_shape(self, bundle_index: int = 0) -> Tuple[int, int, int, int]:
        rows, columns, channels = self.get_tensor_size(bundle_index)
        return self.get_sequence_size(), rows, columns, channels

    def get_sequence_size(self) -> int:
        return self.metadata_.sequence_size

    def is_sequence(self) -> bool:
        return self.metadata_.is_sequence

    def get_output_size(self) -> int:
        return self.metadata_.output_dim

    def size(self) -> int:
        return self.metadata_.sample_count

    def get_label_to_index_map(self) -> Dict[str, int]:
        return dict(self.metadata_.label_to_index_map)

    def get_channel_to_index_map(self) -> Dict[str, int]:
        return dict(self.metadata_.channel_to_index_map)

    def get_feature_to_index_map(self) -> Dict[str, int]:
        return dict(self.metadata_.feature_to_index_map)


def dataset_of(metadata: Metadata) -> Any:
    """(4-D float32 tensor, label vector) of each record, unbatched and unshuffled."""
    folder = metadata.get_dataset_name()
    files = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.startswith("sample")]
    return tf.data.TFRecordDataset(files).map(lambda record: parsed(record, metadata))


def parsed(record: Any, metadata: Metadata) -> Tuple[Any, Any]:
    rows, columns, channels = metadata.get_tensor_size()
    context = {"label_index": tf.VarLenFeature(tf.int64), "label_score": tf.VarLenFeature(tf.float32)}
    if metadata.is_sparse():
        lists = {"0_sparse_" + name + "_index": tf.VarLenFeature(tf.int64) for name in ("col", "channel")}
        lists["0_sparse_value"] = tf.VarLenFeature(tf.float32)
    elif metadata.is_compressed():
        lists = {"0_compressed": tf.VarLenFeature(tf.string)}
    else:
        lists = {"0_dense_input": tf.FixedLenSequenceFeature([rows * columns * channels], tf.float32)}
    labels, steps = tf.parse_single_sequence_example(record, context_features=context, sequence_features=lists)
    index, score = labels["label_index"].values, labels["label_score"].values
    score = tf.cond(tf.equal(tf.size(score), 0), lambda: tf.ones_like(index, tf.float32), lambda: score)
    vector = tf.scatter_nd(tf.expand_dims(index, 1), score, [np.int64(metadata.get_output_size())])
    return tensor_of(steps, metadata), vector


def tensor_of(steps: Dict[str, Any], metadata: Metadata) -> Any:
    rows, columns, channels = metadata.get_tensor_size()
    if metadata.is_compressed():

        def decoded(content: Any) -> Any:
            image = tf.image.decode_image(content, channels=channels)
            image.set_shape([None if size == -1 else size for size in (rows, columns, channels)])
            return tf.image.convert_image_dtype(image, tf.float32)

        found = tf.map_fn(decoded, steps["0_compressed"].values, dtype=tf.float32)
    elif metadata.is_sparse() and columns > channels:
        place = tf.cast(steps["0_sparse_col_index"].values, tf.float32)
        found = tf.stack([place, steps["0_sparse_value"].values], axis=1)[None, :, :, None]
    elif metadata.is_sparse():
        found = tf.cast(steps["0_sparse_channel_index"].values, tf.float32)[:, None, None, None]
    else:
        found = tf.reshape(steps["0_dense_input"], [-1, rows, columns, channels])
    if not metadata.is_sparse():
        found.set_shape([None if size == -1 else size for size in metadata.get_tensor_shape()])
    return found


def dangling(folder: str, names: List[str]) -> List[str]:
    """Links to nothing; ``ignore_dangling_symlinks`` looks for relative ones in the working directory."""
    return [name for name in names if not os.path.exists(os.path.join(folder, name))]


class Run:
    """The challenge's loop around one model."""

    def __init__(self, data_dir: str, run_dir: str) -> None:
        self.data_dir, self.run_dir = os.path.abspath(data_dir), os.path.abspath(run_dir)
        with open(os.path.join(run_dir, "run.json"), encoding="utf-8") as file:
            self.order = json.load(file)
        self.folder = os.path.abspath(self.order["params"]["path"])
        self.copy = self.folder
        self.budget_s = float(self.order["budget_s"])
        self.start: Optional[float] = None

    def move_into(self, around: str) -> None:
        """Run a copy of the code, in it, as in the challenge: code writes files beside itself and to ``../log``."""
        self.copy = os.path.join(around, "submission", os.path.basename(self.folder))
        shutil.copytree(self.folder, self.copy, ignore=dangling)
        os.chdir(self.copy)

    def run(self) -> int:
        code = EXIT_FAILED
        try:
            train, test = (Metadata(os.path.join(self.data_dir, side)) for side in ("train", "test"))
            datasets = dataset_of(train), dataset_of(test)
            hooks.install(self.source(), lambda text: self.emit("note", text=text))
            sys.path.insert(0, self.copy)
            from model import Model

            model = Model(train)
            self.start_clock(train)
            self.loop(model, datasets, (test.size(), test.get_output_size()))
            code = EXIT_OK
        except Exception as error:  # whatever a model raises: reported once; earlier predictions count
            text = "{}: {}".format(type(error).__name__, error)
            self.emit("failed", what="model", error=text, traceback=traceback.format_exc(), fatal=True)
        finally:  # also on SIGTERM
            fields = [("ingestion_duration", self.elapsed_s()), ("ingestion_success", int(code == EXIT_OK))]
            fields.append(("end_time", time.time()))
            self.write("end.txt", "".join("{}: {!r}\n".format(*field) for field in fields))
        return code

    def source(self) -> str:
        """All code of the submission, as one text."""
        found = []
        for folder, _, names in sorted(os.walk(self.folder)):
            for path in [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]:
                with open(path, encoding="utf-8", errors="replace") as file:
                    found.append(file.read())
        return "\n".join(found)

    def loop(self, model: Any, datasets: Tuple[Any, Any], shape: Tuple[int, int]) -> None:
        """``done_training`` is looked at before train only, as in the challenge."""
        k = 0
        while not getattr(model, "done_training", False) and self.elapsed_s() < self.budget_s:
            model.train(datasets[0], remaining_time_budget=self.budget_s - self.elapsed_s())
            prediction = model.test(datasets[1], remaining_time_budget=self.budget_s - self.elapsed_s())
            if prediction is None:
                break
            prediction = np.asarray(prediction, np.float64)
            if prediction.shape != shape:
                raise ValueError("test() must return an array of shape {} but got {}".format(shape, prediction.shape))
            now = time.time()
            if self.elapsed_s(now) > self.budget_s:
                break
            with open(os.path.join(self.run_dir, "start.txt"), "a") as file:
                file.write("{}: {!r}\n".format(k, now))
            rows = [" ".join("%g" % value for value in row) + "\n" for row in self.ranked(prediction).tolist()]
            self.write("{}.predict_{}".format(self.name, k), "".join(rows))
            by = os.path.basename(self.folder)
            self.emit("prediction", k=k, by=by, reason="code for the AutoDL challenge")
            k += 1

    def ranked(self, prediction: np.ndarray) -> np.ndarray:
        """Without NaN, which cannot be ranked: the mean of the class stands in, as in run/ingestion.py."""
        holes = np.isnan(prediction)
        if not holes.any():
            return prediction
        self.emit("note", text="the model predicted NaN for some values; the mean of their class stands in")
        known = np.maximum((~holes).sum(0), 1)
        return np.where(holes, np.where(holes, 0, prediction).sum(0) / known, prediction)

    def start_clock(self, metadata: Metadata) -> None:
        self.start = time.time()
        lines = [("ingestion_pid", os.getpid()), ("task_name", self.name)]
        lines += [("time_budget", self.budget_s), ("start_time", repr(self.start))]
        self.write("start.txt", "".join("{}: {}\n".format(*line) for line in lines))
        order = self.order
        about = {"budget_s": self.budget_s, "t0_s": order["t0_s"], "seed": order["seed"], "model": order["name"]}
        versions = "Python {}.{}, TensorFlow {}".format(*sys.version_info[:2], tensorflow.__version__)
        self.emit("started", dataset=self.name, modality="", device="cpu", **about)
        self.emit("note", text="This code runs in an interpreter of its own: {}.".format(versions))

    @property
    def name(self) -> str:
        return os.path.basename(self.data_dir)[: -len(".data")]

    def elapsed_s(self, now: Optional[float] = None) -> float:
        return 0.0 if self.start is None else (now or time.time()) - self.start

    def emit(self, kind: str, **fields: Any) -> None:
        """One event of the journal, appended with a single write."""
        event = dict({"event": kind, "time": round(time.time(), 3), "t": round(self.elapsed_s(), 3)}, **fields)
        descriptor = os.open(os.path.join(self.run_dir, "events.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, (json.dumps(event) + "\n").encode())
        os.close(descriptor)

    def write(self, name: str, text: str) -> None:
        """Under a hidden name first, so that nobody reads half of it."""
        part = os.path.join(self.run_dir, "." + name)
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(part, os.path.join(self.run_dir, name))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides
    run = Run(*sys.argv[1:])
    with tempfile.TemporaryDirectory() as around:
        run.move_into(around)
        code = run.run()
        os.chdir("/")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that a model leaves behind would keep us until the budget is used up
