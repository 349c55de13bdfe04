"""Word vectors from free text: whose text is used, what the vectors tell, and the row that begins with them."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from automl_engine.__main__ import main
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features.text import token_hash, word_means
from automl_engine.lab.pretrain import words
from automl_engine.models.text.words import TextWords

FRUIT, METAL = ["apple", "pear", "plum", "grape", "melon"], ["iron", "zinc", "lead", "copper", "silver"]


def texts(lines: list[str], labels: list[int] | None = None) -> MemoryExamples:
    known = sorted({word for line in lines for word in line.split()})
    spec = Spec("t", len(lines), 2, -1, 1, 1, 1, channel_to_index={word: i for i, word in enumerate(known)})
    steps = [np.array([known.index(word) for word in line.split()], np.float32)[:, None, None, None] for line in lines]
    return MemoryExamples(spec, list(steps), None if labels is None else np.eye(2, dtype=np.float32)[labels])


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made by the command, from sentences in which fruit and metal never meet."""
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(kind, 12)) for kind in (FRUIT, METAL) for _ in range(300)]
    monkeypatch.setattr(words, "passages", lambda packages: iter(lines))
    monkeypatch.setattr(words, "DIMENSIONS", 4)
    assert main(["pretrain", "--arch", "word_vectors", "--source", "documentation", "--out", str(tmp_path)]) == 0
    card = json.loads((tmp_path / "word_vectors_documentation.json").read_text())
    assert card["examples"] == 600 * 12
    return tmp_path / "word_vectors_documentation.safetensors"


def test_a_word_that_training_never_saw_is_known_by_its_company(table: Path, tmp_path: Path) -> None:
    train = texts([*FRUIT[:2], *METAL[:2]], [0, 0, 1, 1])
    model = TextWords(train.spec, weights=str(table))
    model.train(train, 10.0)
    new = texts([*FRUIT[2:], *METAL[2:], "unheard"])
    found = model.test(new, 10.0)
    assert (found[:6].argmax(1) == [0, 0, 0, 1, 1, 1]).all()
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    table.unlink()  # a model that was saved has all it needs
    np.testing.assert_array_equal(TextWords.load(tmp_path / "saved", train.spec).test(new, 10.0), found)
    (member,) = model.export(tmp_path / "saved")
    with np.load(tmp_path / "saved" / member["arrays"]) as arrays:
        inputs = word_means(new, **arrays)
    session = onnxruntime.InferenceSession(str(tmp_path / "saved" / member["graph"]))
    np.testing.assert_allclose(session.run(None, {"features": inputs})[0], found, atol=1e-5)


def test_means_are_over_the_words_that_are_known() -> None:
    hashes = np.sort([token_hash("a"), token_hash("b")])
    vectors = np.zeros((2, 3), np.int8)
    vectors[np.searchsorted(hashes, token_hash("a"))] = [2, 0, 4]
    means = word_means(texts(["a zzz", "a b", "zzz"]), hashes, vectors)
    np.testing.assert_array_equal(means, [[2, 0, 4], [1, 0, 2], [0, 0, 0]])


def test_whose_text_is_free() -> None:
    assert words.is_free(distribution("numpy"))
    assert words.is_free(distribution("django"))
    assert not words.is_free(distribution("psycopg"))


def test_docstrings_comments_and_readmes(tmp_path: Path) -> None:
    files = {
        "code.py": '"""Of the module."""\n# what a comment\n# says\nx = "no"\ndef f():\n    "Of f."\n',
        "odd.py": "def (:\n",
        "README.md": "One.\n\nTwo.",
        "data.bin": "no",
    }
    found = []
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        found += [" ".join(passage.split()) for passage in words._passages_of(tmp_path / name)]
    assert list(filter(None, found)) == [
        "what a comment says",
        "Of the module.",
        "Of f.",
        "One.",
        "Two.",
    ]


def test_what_goes_together_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "--arch", "word_vectors", "--out", str(tmp_path)]) == 2
    assert "--arch word_vectors and --source documentation go together." in capsys.readouterr().err
