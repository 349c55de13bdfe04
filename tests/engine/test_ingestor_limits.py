"""The data ingestor keeps within its memory and its time: the real limits, scaled down to small synthetic sets."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from automl_engine.dataset import decode, memory, records
from automl_engine.dataset.decode import in_processes
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.reader import RecordExamples, open_split
from automl_engine.errors import DataError
from automl_engine.lab.bench.synthetic import Recipe, make_set
from automl_engine.models.shared import linear
from automl_engine.models.shared.linear import fit_ridge
from automl_engine.run.ingestion import text_of
from tests.engine.toy_examples import toy

LARGE = Recipe(600, 800, 3, ".jpg", 500, 8, distinct=8)
"""About 100 kB an image: 50 MB in all."""


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_set(tmp_path_factory.mktemp("sets"), "small", Recipe(24, 20, 3, ".jpg", 3000, 10))
    return folder / "small.data"


def test_reading_many_bytes_leaves_them_behind(tmp_path: Path) -> None:
    """A process that decodes every image of the file grows by far less than the file."""
    data_dir = make_set(tmp_path, "large", LARGE) / "large.data"
    size_mb = next(data_dir.glob("train/sample*")).stat().st_size / 2**20
    code = (
        "import sys; from pathlib import Path; from automl_engine.dataset.reader import open_split\n"
        "def peak_mb():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return int(next(l for l in lines if l.startswith('VmHWM')).split()[1]) / 1024\n"
        "train = open_split(Path(sys.argv[1]), 'train'); train.subset([0]).images(32, 32); before = peak_mb()\n"
        "train.labels; train.images(32, 32); print(peak_mb() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(data_dir)], capture_output=True, text=True, check=True)
    assert size_mb > 30
    assert float(done.stdout) < 0.5 * size_mb


def test_images_beyond_the_limit_are_decoded_again(small_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones asked for are kept, the sizes used last stay, and the pixels are the same in any case."""
    whole = open_split(small_set, "train")
    expected = whole.images(8, 8)
    monkeypatch.setattr(decode, "cache_limit_bytes", lambda: 100 * 8 * 8 * 3)
    train = open_split(small_set, "train")
    picks = np.array([7, 2000, 7, 3, 2999])
    np.testing.assert_array_equal(train.subset(picks).images(8, 8), expected[picks])
    np.testing.assert_array_equal(train.images(8, 8), expected)
    store = train._cache._stores[1, 8, 8]
    assert store.images.shape[0] == 100
    assert {3, 7, 2000, 2999} <= set(store.owners.tolist())
    train.images(4, 4)
    assert list(train._cache._stores) == [(1, 4, 4)]


@pytest.mark.skipif(not decode.FORKS, reason="only Linux forks")
def test_forks_decode_what_threads_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    images = toy("image", 40, False, seed=1)
    expected = images.images(24, 28).copy()
    monkeypatch.setattr(decode, "MANY", 8)
    monkeypatch.setattr(decode, "THREADS", 3)
    parts: list[int] = []
    monkeypatch.setattr(decode, "in_processes", lambda work, count: (parts.append(count), in_processes(work, count)))
    np.testing.assert_array_equal(toy("image", 40, False, seed=1).images(24, 28), expected)
    assert parts == [40]


@pytest.mark.skipif(not decode.FORKS, reason="only Linux forks")
def test_what_a_fork_cannot_decode_is_told_here(monkeypatch: pytest.MonkeyPatch) -> None:
    good = toy("image", 40, False, seed=1)
    damaged = MemoryExamples(good.spec, [[b"no image"] if i == 39 else good.steps(i) for i in range(40)])
    monkeypatch.setattr(decode, "MANY", 8)
    with pytest.raises(DataError, match="Example 39"):
        damaged.images(24, 28)


def test_labels_of_many_records_take_little_time(small_set: Path) -> None:
    """Each kind of labels is parsed once; 100,000 records take well under a second on a quiet machine."""
    train = open_split(small_set, "train")
    start = time.process_time()
    assert train.labels.sum(0).tolist() == [300] * 10
    assert time.process_time() - start < 30e-6 * len(train)


def test_one_image_is_found_without_parsing(small_set: Path) -> None:
    """Where the bytes are laid out in the usual way; all else goes to the parser, with the same result."""
    train = open_split(small_set, "train")
    data = train._shards[0].data(0)
    assert [records.sole_image(data)] == records.decode_lists(data)["0_compressed"][0]
    more = records.encode_example({}, {"0_compressed": [[b"x"], [b"y"]]})
    for other in (more, data[:-1], data + b"\x12\x00", b"", b"\n", data[1:]):
        assert records.sole_image(other) is None


@pytest.mark.parametrize("length", [0, 1, 100, 127, 128, 200, 16_000, 16_383, 16_384, 20_000])
def test_an_image_of_any_length_is_found(length: int) -> None:
    image = bytes(length)
    assert records.sole_image(records.encode_example({"id": np.array([5])}, {"0_compressed": [[image]]})) == image


def test_a_ridge_can_be_added_up(small_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same head from all rows at once and from parts, but for the moments, which are those of the first part."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(4000, 30)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[(features @ generator.normal(size=(30, 3))).argmax(1)]
    together, _ = fit_ridge(features, labels, multi_label=False)
    parts = ((features[at : at + 500], labels[at : at + 500]) for at in range(2000, 4000, 500))
    added, _ = fit_ridge(features[:2000], labels[:2000], False, parts)
    assert np.abs(together.predict(features) - added.predict(features)).max() < 0.02
    monkeypatch.setattr(linear, "CHECKED", 500)
    assert len(fit_ridge(features, labels, multi_label=False)[1]) == 500


def test_predictions_are_written_as_they_are() -> None:
    generator = np.random.default_rng(0)
    numbers = 10.0 ** -generator.uniform(-1, 98, (300, 4))
    numbers[:4] = [[0, 1, 0.99999996, 9.9999999], [1e-120, 0.1, 0.5, 1e-5], [1e-99, 2, 3, 9], [0.00999999996, 7, 0, 0]]
    lines = text_of(numbers).decode().splitlines()
    read = np.array([[float(value) for value in line.split()] for line in lines])
    np.testing.assert_allclose(read, numbers, rtol=5.1e-6, atol=1e-99)
    assert text_of(np.array([[-1.5, 2], [3e10, 0]])) == b"-1.5 2\n3e+10 0\n"


def test_limits_follow_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: 8 << 30)
    assert memory.cache_limit_bytes() == 1 << 30
    assert memory.feature_limit_bytes() == memory.MOST_FEATURE_BYTES
    monkeypatch.setattr(memory, "machine_bytes", lambda: 256 << 20)
    assert memory.cache_limit_bytes() == memory.feature_limit_bytes() == memory.FEWEST_BYTES


def test_several_shards_are_one(small_set: Path, tmp_path: Path) -> None:
    train = open_split(small_set, "train")
    twice = RecordExamples(train.spec.with_count(6000), [*train._shards, *train._shards])
    np.testing.assert_array_equal(twice.labels, np.concatenate([train.labels] * 2))
    assert twice.steps(3005) == train.steps(5)
