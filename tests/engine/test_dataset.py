"""The record codec, both ways against TensorFlow, and the reader on whole and on damaged files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from automl_engine.dataset import records
from automl_engine.dataset.decode import decode_image
from automl_engine.dataset.examples import Steps
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_split
from automl_engine.errors import DataError
from tests.engine.toys import edit, write_dataset, write_table

rng = np.random.default_rng(0)
IMAGE = cv2.imencode(".png", rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (96, 64)))[1].tobytes()

TOYS: dict[str, tuple[Spec, list[Steps]]] = {
    "table": (Spec("t", 0, 3, 1, 1, 5, 1), [np.array([[1, -2, np.nan, 0, 7.5]], "f4").reshape(1, 1, 5, 1)] * 4),
    "series": (Spec("s", 0, 3, -1, 1, 1, 1), [rng.normal(size=(n, 1, 1, 1)).astype("f4") for n in (1, 2, 700, 40000)]),
    "channels": (Spec("c", 0, 3, -1, 1, 1, 40), [rng.normal(size=(n, 1, 1, 40)).astype("f4") for n in (1, 3, 50, 9)]),
    "raw_image": (Spec("r", 0, 3, 1, 7, 6, 3), [rng.integers(0, 256, (1, 7, 6, 3)).astype("f4") for _ in range(4)]),
    "image": (Spec("i", 0, 3, 1, -1, -1, 3, "COMPRESSED"), [[IMAGE], [JPEG], [IMAGE], [JPEG]]),
    "video": (Spec("v", 0, 3, -1, -1, -1, 3, "COMPRESSED"), [[IMAGE] * n for n in (1, 2, 5, 200)]),
    "sparse_table": (
        Spec("p", 0, 3, 1, 1, 300, 1, "SPARSE"),
        [np.array([[0, 1.5], [7, -2], [299, 3]], "f4")[..., None]] * 4,
    ),
    "sparse_text": (Spec("x", 0, 3, -1, 1, 1, 900, "SPARSE"), [np.array([5, 0, 899, 5], "f4")[:, None, None]] * 4),
}
LABELS = [[0], [2, 1], [], [1]]


def write_toy(folder: Path, name: str, split: str = "train", hide_labels: bool = False) -> Path:
    spec, steps = TOYS[name]
    examples = list(zip(steps, LABELS, strict=True))
    assert write_split(folder / f"{spec.name}.data" / split, spec, examples, 10, hide_labels) == 4
    return folder / f"{spec.name}.data"


@pytest.mark.parametrize("name", TOYS)
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    read = open_split(write_toy(tmp_path, name), "train")
    assert read.labels.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]]
    assert read.spec.sample_count == len(read) == 4
    for i, steps in enumerate(TOYS[name][1]):
        if isinstance(steps, list):
            assert read.steps(i) == steps
        else:
            np.testing.assert_array_equal(read.steps(i), steps)
        assert read.tensor(i).ndim == 4
        assert read.tensor(i).dtype == np.float32
    part = read.subset([3, 1])
    assert part.labels.tolist() == [[0, 1, 0], [0, 1, 1]]
    np.testing.assert_array_equal(part.tensor(0), read.tensor(3))


@pytest.mark.parametrize("name", TOYS)
def test_tensorflow_reads_ours_and_we_read_its(tmp_path: Path, name: str) -> None:
    """Its parser understands our bytes; what it serializes (other orders, same message) we read back."""
    import tensorflow as tf

    path = next(write_toy(tmp_path, name).glob("train/sample*"))
    datas = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    theirs = [tf.train.SequenceExample.FromString(data) for data in datas]
    for i, example in enumerate(theirs):
        assert example.context.feature["id"].int64_list.value[:] == [10 + i]
        assert example.context.feature["label_index"].int64_list.value[:] == LABELS[i]
        assert example.context.feature["label_score"].float_list.value[:] == [1.0] * len(LABELS[i])
        again = example.SerializeToString()
        assert_same(records.decode_context(again), records.decode_context(datas[i]))
        assert_same(records.decode_lists(again), records.decode_lists(datas[i]))
        for key, found in records.decode_lists(datas[i]).items():
            check_list(example.feature_lists.feature_list[key].feature, found)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in theirs:
            writer.write(example.SerializeToString())
    read = open_split(path.parents[1], "train")
    for i, steps in enumerate(TOYS[name][1]):
        np.testing.assert_array_equal(np.asarray(read.steps(i)), np.asarray(steps))


def assert_same(ours: dict, other: dict) -> None:
    assert ours.keys() == other.keys()
    for key, value in ours.items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(other[key]))


def check_list(features: list, found: records.FeatureList) -> None:
    assert len(features) == len(found)
    for feature, values in zip(features, found, strict=True):
        kind = feature.WhichOneof("kind")
        np.testing.assert_array_equal(np.asarray(getattr(feature, kind).value[:]), np.asarray(values))


def test_unpacked_numbers_and_negative_integers() -> None:
    """proto2 writers don't pack repeated numbers: each has its own tag."""
    floats = b"\x12\x0a" + b"\x0d" + np.float32(1.5).tobytes() + b"\x0d" + np.float32(-2).tobytes()
    integers = b"\x1a\x0d" + b"\x08\x05" + b"\x08" + b"\xff" * 9 + b"\x01"
    entries = [b"\x0a\x01f\x12" + bytes([len(floats)]) + floats, b"\x0a\x01i\x12" + bytes([len(integers)]) + integers]
    features = b"".join(b"\x0a" + bytes([len(entry)]) + entry for entry in entries)
    context = records.decode_context(b"\x0a" + bytes([len(features)]) + features)
    assert context["f"].tolist() == [1.5, -2]
    assert context["i"].tolist() == [5, -1]


def test_series_with_an_odd_step_takes_the_general_parser() -> None:
    """The same total length as 3 even steps, but not the same heads."""
    steps = [np.float32([1, 2]), np.float32([3]), np.float32([4, 5, 6])]
    found = records.decode_lists(records.encode_example({}, {"a": steps}))["a"]
    assert [step.tolist() for step in found] == [[1, 2], [3], [4, 5, 6]]


def test_masked_crc_of_the_rfc() -> None:
    """CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4)."""
    crc = 0x8A9136AA
    assert records.masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_hidden_labels_are_not_in_the_file(tmp_path: Path) -> None:
    data_dir = write_toy(tmp_path, "table", split="test", hide_labels=True)
    assert not open_split(data_dir, "test").labels.any()


def test_label_confidences_reach_the_model(tmp_path: Path) -> None:
    data_dir = write_toy(tmp_path, "table")
    path = next(data_dir.glob("train/sample*"))
    context = {"label_index": np.array([2, 0]), "label_score": np.float32([0.25, 1])}
    lists = {"0_dense_input": np.zeros((1, 5), np.float32)}
    path.write_bytes(records.frame(records.encode_example(context, lists)) * 4)
    assert open_split(data_dir, "train").labels.tolist() == [[1, 0, 0.25]] * 4


def flip(position: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[position] ^= 1

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip(0), "record 0 of sample-toy-train.tfrecord cannot be read: its length field is damaged"),
        (flip(60), "record 0 of sample-toy-train.tfrecord cannot be read: its content is damaged"),
        (flip(-10), "record 59 of sample-toy-train.tfrecord cannot be read: its content is damaged"),
        (lambda data: data.__delitem__(slice(-10, None)), "record 59 .* ends inside it"),
        (lambda data: data.extend(b"12345"), "record 60 .* cut off"),
        (lambda data: data.clear(), "says sample_count 60 but the records are 0"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[bytearray], None], message: str) -> None:
    data_dir = write_table(tmp_path) / "toy.data"
    edit(next(data_dir.glob("train/sample*")), change)
    with pytest.raises(DataError, match=message):
        list(open_split(data_dir, "train"))


def test_right_checksum_around_nonsense(tmp_path: Path) -> None:
    data_dir = write_toy(tmp_path, "table")
    path = next(data_dir.glob("train/sample*"))
    for nonsense in (b"\xff" * 30, b"\x0a\x05abc", b"\x08\x01", b"\x0b"):
        path.write_bytes(records.frame(nonsense) * 4)
        with pytest.raises(DataError, match=r"record 0 of sample-t-train\.tfrecord"):
            open_split(data_dir, "train").steps(0)


def test_content_that_does_not_fit_the_metadata(tmp_path: Path) -> None:
    data_dir = write_table(tmp_path) / "toy.data"
    metadata = data_dir / "train" / "metadata.textproto"
    text = metadata.read_text()
    for old, new, message in (
        ("sample_count: 60", "sample_count: 61", "says sample_count 61 but the records are 60"),
        ("col_count: 4", "col_count: 5", "every time step must hold 5 floats"),
        ("output_dim: 3", "output_dim: 2", r"label_index must be in \[0, 2\)"),
        ("sequence_size: 1", "sequence_size: 2", "1 steps but metadata.textproto says sequence_size 2"),
        ("format: DENSE", "format: COMPRESSED", "no list '0_compressed'"),
        ("format: DENSE", "format: SPARSE", "no list '0_sparse_col_index'"),
    ):
        assert old in text
        metadata.write_text(text.replace(old, new))
        with pytest.raises(DataError, match=message):
            list(open_split(data_dir, "train"))


def test_missing_files(tmp_path: Path) -> None:
    data_dir = write_table(tmp_path) / "toy.data"
    next(data_dir.glob("test/sample*")).unlink()
    with pytest.raises(DataError, match="holds no sample"):
        open_split(data_dir, "test")
    (data_dir / "train" / "metadata.textproto").unlink()
    with pytest.raises(DataError, match=r"metadata\.textproto is missing"):
        open_split(data_dir, "train")


def test_several_train_shards_but_one_test_shard(tmp_path: Path) -> None:
    data_dir = write_table(tmp_path) / "toy.data"
    for split in ("train", "test"):
        shard = next(data_dir.glob(f"{split}/sample*"))
        half = len(shard.read_bytes()) // 2
        data = shard.read_bytes()
        shard.write_bytes(data[:half])
        shard.with_name("sample-toy-2.tfrecord").write_bytes(data[half:])
    assert open_split(data_dir, "train").labels.sum(0).tolist() == [20, 20, 20]
    with pytest.raises(DataError, match="2 shards"):
        open_split(data_dir, "test")


def test_writer_checks_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    spec = TOYS["table"][0]
    for steps, labels in ((np.zeros((1, 1, 4, 1), "f4"), [0]), (TOYS["table"][1][0], [3]), ([b"x"], [0])):
        with pytest.raises(ValueError, match="must"):
            write_split(tmp_path / "t.data" / "train", spec, [(steps, labels)], 0, False)
    assert list((tmp_path / "t.data" / "train").iterdir()) == []


def test_images_as_tensorflow_decodes_them() -> None:
    import tensorflow as tf

    png = tf.io.decode_image(IMAGE, channels=3).numpy()
    np.testing.assert_array_equal(decode_image(IMAGE, 3), png)
    jpeg = tf.io.decode_image(JPEG, channels=3).numpy().astype(int)
    assert np.abs(decode_image(JPEG, 3).astype(int) - jpeg).mean() < 2
    rgba = cv2.imencode(".png", rng.integers(0, 256, (6, 5, 4), dtype=np.uint8))[1].tobytes()
    np.testing.assert_array_equal(decode_image(rgba, 4), tf.io.decode_image(rgba, channels=4).numpy())


def test_images_are_resized_and_shared(tmp_path: Path) -> None:
    split = open_split(write_toy(tmp_path, "video"), "train")
    images = split.images(4, 3, frame_count=2)
    assert images.shape == (4, 2, 4, 3, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(split.subset([2]).images(4, 3, frame_count=2), images[[2]])
    assert decode_image(JPEG, 3, min_side=16).shape == (16, 24, 3)  # a quarter, by DCT scaling


def test_damaged_image_names_its_example(tmp_path: Path) -> None:
    spec = TOYS["image"][0]
    write_split(tmp_path / "i.data" / "train", spec, [([IMAGE], [0]), ([IMAGE[:20]], [1])], 0, False)
    with pytest.raises(DataError, match="Example 1 of i: an image of 20 bytes cannot be decoded"):
        open_split(tmp_path / "i.data", "train").images(4, 4)


def test_challenge_view(tmp_path: Path) -> None:
    """The tf.data dataset has the shapes and values of the challenge's reader."""
    split = open_split(write_table(tmp_path) / "toy.data", "train")
    dataset = split.as_tf_dataset()
    assert dataset.element_spec[0].shape.as_list() == [1, 1, 4, 1]
    tensor, label = next(iter(dataset))
    np.testing.assert_array_equal(tensor.numpy(), split.tensor(0))
    assert label.numpy().tolist() == [1, 0, 0]


def test_sparse_tensors_have_the_shape_of_the_challenge(tmp_path: Path) -> None:
    table = open_split(write_toy(tmp_path, "sparse_table"), "train").tensor(0)
    assert table.shape == (1, 3, 2, 1)
    assert table[0, :, :, 0].tolist() == [[0, 1.5], [7, -2], [299, 3]]
    text = open_split(write_toy(tmp_path, "sparse_text"), "train").tensor(0)
    assert text[:, 0, 0, 0].tolist() == [5, 0, 899, 5]
    assert text.shape == (4, 1, 1, 1)


@pytest.mark.data
@pytest.mark.parametrize(("name", "counts"), [("miniciao", (82, 18)), ("Monkeys", (26, 4))])
def test_official_sample_sets(real_data: Path, tmp_path: Path, name: str, counts: tuple[int, int]) -> None:
    """Read as TensorFlow reads them; written again, TensorFlow sees the same examples."""
    import tensorflow as tf

    data_dir = real_data / "autodl_native" / name / f"{name}.data"
    train, test = open_split(data_dir, "train"), open_split(data_dir, "test")
    assert (len(train), len(test)) == counts
    assert train.labels.sum(1).tolist() == [1] * counts[0]
    assert not test.labels.any()
    record = next(iter(tf.data.TFRecordDataset(str(next(data_dir.glob("train/sample*"))))))
    example = tf.train.SequenceExample.FromString(record.numpy())
    image = example.feature_lists.feature_list["0_compressed"].feature[0].bytes_list.value[0]
    assert train.steps(0) == [image]
    expected = tf.io.decode_image(image, channels=3).numpy() / 255
    assert np.abs(train.tensor(0)[0] - expected).mean() < 0.01
    rows = [(train.steps(i), np.flatnonzero(train.labels[i]).tolist()) for i in range(len(train))]
    write_dataset(tmp_path, train.spec, rows, [])
    again = next((tmp_path / f"{name}.data" / "train").glob("sample*"))
    for i, data in enumerate(tf.data.TFRecordDataset(str(again))):
        written = tf.train.SequenceExample.FromString(data.numpy())
        assert written.feature_lists.feature_list["0_compressed"].feature[0].bytes_list.value[0] == train.steps(i)[0]
        assert written.context.feature["label_index"].int64_list.value[:] == rows[i][1]


@pytest.mark.parametrize("width", [1, 30, 4000])
def test_a_row_is_read_the_short_way_only_where_it_is_laid_out_so(width: int) -> None:
    row = np.arange(width, dtype=np.float32)[None]
    context = {"id": np.array([7], np.int64), "label_index": np.array([1], np.int64)}
    data = records.encode_example(context, {"0_dense_input": row})
    np.testing.assert_array_equal(records.sole_row(data, width), records.decode_lists(data)["0_dense_input"])
    assert records.sole_row(data, width + 1) is None
    assert records.sole_row(records.encode_example(context, {"0_dense_input": np.tile(row, (2, 1))}), width) is None
    assert records.sole_row(records.encode_example(context, {"0_other_input": row}), width) is None
    assert records.sole_row(b"", width) is None
