"""Texts: columns, folders and the AutoNLP layout; tokens and vocabulary; new texts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters import recipe as recipes
from formatters.base import Options, Table
from formatters.detect import detect
from formatters.modalities import text
from formatters.modalities.tokens import EMPTY, escape, language_of, tokenise
from formatters.unpacking.archive import unpack


@pytest.fixture
def read(tmp_path: Path):
    def read(files: dict[str, str | bytes], **options) -> Table:
        for name, content in files.items():
            path = tmp_path / "upload" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        assert detect(tmp_path / "upload", Options(**options), "a.zip").formatter == "text"
        return text.read(tmp_path / "upload", Options(**options))

    return read


def recipe_of(table: Table) -> dict:
    made = recipes.make(table.modality, table.label_names, table.multi_label, table.spec, table.recipe)
    return json.loads(json.dumps(made))


def words_of(table: Table, i: int) -> list[str]:
    return [table.spec.vocabulary[int(index)] for index in table.steps(i).ravel()]


REVIEWS = "label,review\n" + "".join(
    f'{i % 2},"The room {i} was {"lovely, really lovely" if i % 2 else "dirty and cold"}!"\n' for i in range(40)
)


def test_text_column_is_found_and_tokenised(read):
    table = read({"reviews.csv": REVIEWS})
    assert (table.findings.target, table.label_names) == ("label", ["0", "1"])
    assert words_of(table, 1) == ["The", "room", "1", "was", "lovely,", "really", "lovely!"]
    assert table.steps(1).shape == (7, 1, 1, 1)
    assert table.steps(1).dtype == np.float32
    assert list(table.spec.channel_to_index)[:4] == ["The", "room", "0", "was"]  # first seen first
    assert table.spec.domain == "text"
    assert table.preview(1, Path("x")) == {"kind": "text", "text": "The room 1 was lovely, really lovely!"}


def test_a_text_a_line_and_a_file_a_class(read, tmp_path):
    files = {
        f"{mood}.txt": "\n".join(f"the room {i} was {word} and the street too" for i in range(20)) + "\n"
        for mood, word in (("positive", "lovely"), ("negative", "dirty"), ("mixed", "fine"))
    }
    table = read(files)
    assert Counter(sample.labels[0] for sample in table.samples) == {"positive": 20, "negative": 20, "mixed": 20}
    new = tmp_path / "new.txt"
    new.write_text("a lovely room\na dirty one\n")
    assert text.encode(recipe_of(table), new).names == ["row 1", "row 2"]


def test_several_text_columns_are_joined(read):
    rows = "".join(
        f'"{"AB"[i % 2]}","A heading number {i} about things","And a longer body {i}, in words"\n' for i in range(30)
    )
    table = read({"news.csv": '"class","title","description"\n' + rows})
    assert words_of(table, 0)[:3] == ["A", "heading", "number"]
    assert "body" in words_of(table, 0)
    assert table.recipe["text_columns"] == ["title", "description"]


def test_tsv_without_header_and_with_stray_quotes(read):
    rows = "".join(f'{"ham" if i % 3 else "spam"}\tWell "then, I said {i} times so\n' for i in range(40))
    table = read({"sms.tsv": rows})
    assert len(table.samples) == 40
    assert table.label_names == ["ham", "spam"]
    assert '"then,' in words_of(table, 0)


def test_chinese_is_split_into_characters_and_empty_texts_are_kept(read):
    rows = "".join(f"{i % 2},{'房间很大' if i % 2 else '早餐太差'}，第{i}次 OK。\n" for i in range(30))
    table = read({"hotel.csv": "label,review\n" + rows + "1,\n"})
    assert words_of(table, 1) == list("房间很大，第1次OK。")
    assert words_of(table, 30) == [EMPTY]
    assert all(len(token) == 1 for token in table.spec.channel_to_index)
    assert any("empty" in doubt.what and doubt.where == "row 31" for doubt in table.findings.doubts)


def test_class_folders_of_text_files(read):
    files = {f"{label}/{i}.txt": f"this is {label} number {i}" for label in ("pos", "neg") for i in range(4)}
    table = read({**files, "pos/bad.txt": b"\x00\x01\x02\xff" * 9})
    assert Counter(sample.labels[0] for sample in table.samples) == {"pos": 4, "neg": 4}
    assert table.findings.unreadable[0]["path"] == "pos/bad.txt"


def test_text_files_with_a_labels_table(read):
    files: dict[str, str | bytes] = {f"docs/d{i}.txt": f"words of document {i}" for i in range(8)}
    files["labels.csv"] = "file,topic\n" + "".join(f"d{i}.txt,{'ab'[i % 2]}\n" for i in range(8))
    table = read(files)
    assert Counter(sample.labels[0] for sample in table.samples) == {"a": 4, "b": 4}


def test_autonlp_layout(read):
    files: dict[str, str | bytes] = {
        "X.data/train.data": "good film\nbad film\ngood one\n",
        "X.data/test.data": "bad one\ngood\n",
        "X.data/train.solution": "0 1\n1 0\n0 1\n",
        "X.data/meta.json": '{"language": "EN"}',
        "X.solution": "1 0\n0 1\n",
    }
    table = read(files)
    assert [sample.split for sample in table.samples] == ["train"] * 3 + ["test"] * 2
    assert [sample.labels for sample in table.samples] == [("1",), ("0",), ("1",), ("0",), ("1",)]
    with pytest.raises(DataError, match=r"train.data has 3 lines but train.solution has 2"):
        read({**files, "X.data/train.solution": "0 1\n1 0\n"})


def test_tokens():
    assert tokenise("Don't stop!!!  3.5€\tx_y", "words") == ["Don't", "stop!!!", "3.5€", "x_y"]
    assert tokenise(" \n", "words") == tokenise("", "characters") == [EMPTY]
    assert escape("a\\b") == r"a\\b"
    assert escape("\x07") == r"\x07"
    assert escape("房") == "房"
    assert language_of(["hello there", "one 字"]) == "words"
    assert language_of(["房间很大", "OK 很好"]) == "characters"


def test_new_texts_extend_the_vocabulary(read, tmp_path):
    recipe = recipe_of(read({"reviews.csv": REVIEWS}))
    known = len(recipe["spec"]["channel_to_index"])
    new = tmp_path / "new.csv"
    new.write_text("review\nThe zebra was lovely\n")
    new_data = text.encode(recipe, new)
    names, examples = new_data.names, new_data.examples
    assert names == ["row 1"]
    tokens = [examples.spec.vocabulary[int(index)] for index in examples.steps(0).ravel()]
    assert tokens == ["The", "zebra", "was", "lovely"]
    assert examples.spec.channel_to_index["zebra"] == known
    new.write_text("wrong,columns\na,b\n")
    with pytest.raises(DataError, match="lacks the column"):
        text.encode(recipe, new)


def test_new_texts_from_files_and_json(read, tmp_path):
    recipe = recipe_of(read({"reviews.csv": REVIEWS}))
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "a.txt").write_text("The room")
    (folder / "b.txt").write_text("")
    new_data = text.encode(recipe, folder)
    names, examples = new_data.names, new_data.examples
    assert names == ["a.txt", "b.txt"]
    assert [len(examples.steps(i)) for i in range(2)] == [2, 1]
    assert text.encode(recipe, folder / "a.txt").names == ["a.txt"]
    (tmp_path / "new.json").write_text('[{"review": "The room"}, {"review": "was dirty"}]')
    assert len(text.encode(recipe, tmp_path / "new.json").examples) == 2


def test_new_rows_for_a_model_of_files(read, tmp_path):
    recipe = recipe_of(read({f"{label}/{i}.txt": f"this is {label} {i}" for label in ("pos", "neg") for i in range(4)}))
    (tmp_path / "new.csv").write_text("text\nthis is pos\nthis is neg, or so\n")
    new_data = text.encode(recipe, tmp_path / "new.csv")
    names, examples = new_data.names, new_data.examples
    assert names == ["new.csv, row 1", "new.csv, row 2"]
    assert len(examples.steps(0)) == 3


def test_no_labels_is_one_sentence(read):
    with pytest.raises(DataError, match="one folder per class"):
        read({f"{i}.txt": f"hello number {i}" for i in range(5)})


@pytest.mark.data
@pytest.mark.parametrize(
    ("source", "counts", "language"),
    [
        ("text/sms_spam.zip", {"ham": 4827, "spam": 747}, "words"),
        ("text/ag_news.zip", dict.fromkeys(("Business", "Sci/Tech", "Sports", "World"), 1900), "words"),
        ("text/chnsenticorp_hotel_zh.zip", {"0": 2444, "1": 5322}, "characters"),
        ("autodl_native/contrib/nlp_format/O1", {"0": 4650, "1": 4963}, "words"),
    ],
)
def test_real_sets(real_data, tmp_path, source, counts, language):
    root = unpack(real_data / source, tmp_path / "upload").root
    assert detect(root, Options(), source).formatter == "text"
    table = text.read(root, Options())
    assert Counter(sample.labels[0] for sample in table.samples) == counts
    assert table.label_names == list(counts)
    assert table.recipe["language"] == language
    assert table.spec.domain == "text"
    assert min(len(table.steps(i)) for i in range(len(table.samples))) >= 1


@pytest.mark.data
def test_real_folder_with_labels_table(real_data, tmp_path):
    root = unpack(real_data / "autodl_native/contrib/file_format/randomtext", tmp_path / "upload").root
    assert detect(root, Options(), "randomtext").formatter == "text"
    table = text.read(root, Options())
    assert (len(table.samples), table.multi_label) == (30, True)


SENTENCES = [f"the room number {i} was {'lovely and warm' if i % 2 else 'dirty and cold'}" for i in range(30)]


def test_texts_without_an_extension_in_class_folders(read):
    table = read({f"group.{'ab'[i % 2]}/{100 + i}": f"Subject: {text}\n\nbody" for i, text in enumerate(SENTENCES)})
    assert Counter(sample.labels[0] for sample in table.samples) == {"group.a": 15, "group.b": 15}


@pytest.mark.parametrize("both", [False, True])
def test_lines_of_fasttext(read, both):
    lines = [f"__label__{('no', 'yes')[i % 2]} {text}" for i, text in enumerate(SENTENCES)]
    lines = (
        [line.replace("__label__", "__label__cold __label__", min(1, i % 3)) for i, line in enumerate(lines)]
        if both
        else lines
    )
    table = read({"corpus.txt": "\n".join(lines)})
    assert set(table.label_names) == {"no", "yes"} | ({"cold"} if both else set())
    assert "__label__yes" not in table.spec.channel_to_index


def test_json_of_parts(read):
    parts = {
        part: [{"text": f"{text} {part}", "label": "ab"[i % 2]} for i, text in enumerate(SENTENCES)]
        for part in ("train", "test")
    }
    table = read({"a.json": json.dumps(parts)})
    count = len(SENTENCES)
    assert [sample.split for sample in table.samples] == ["train"] * count + ["test"] * count


@pytest.mark.parametrize("between", [";", "|"])
def test_files_of_sentences_and_labels_by_part(read, between):
    def lines(part: str) -> str:
        return "\n".join(f"{text} {part}{between}{('joy', 'fear')[i % 2]}" for i, text in enumerate(SENTENCES))

    table = read({f"{part}.txt": lines(part) for part in ("train", "val", "test")})
    assert (table.label_names, len(table.samples)) == (["fear", "joy"], 3 * len(SENTENCES))


def test_several_files_of_sentences_with_labels(read):
    def lines(name: str) -> str:
        return "\n".join(f"{text} {name} {name}\t{i % 2}" for i, text in enumerate(SENTENCES))

    table = read(
        {"readme.txt": "words", **{f"{name}_labelled.txt": lines(name) for name in ("films", "shops", "phones")}}
    )
    assert Counter(sample.labels[0] for sample in table.samples) == {"0": 45, "1": 45}


@pytest.mark.parametrize("label_first", [True, False])
def test_single_quotes_hold_delimiters(read, label_first):
    cells = [("AB"[i % 2], f"'{text}, so; I was told'") for i, text in enumerate(SENTENCES)]
    table = read({"news.csv": "\n".join(";".join(pair if label_first else pair[::-1]) for pair in cells)})
    assert table.preview(0, Path("x"))["text"] == f"{SENTENCES[0]}, so; I was told"
    assert table.label_names == ["A", "B"]


def test_tallies_beside_sentences_are_not_learnt_from(read):
    rows = [f"{i},{i % 5},{i % 3},{i % 4},{i % 7},{i % 2},{text} ({i})" for i, text in enumerate(SENTENCES)]
    table = read({"votes.csv": "\n".join([",up,down,funny,cool,class,comment", *rows])})
    assert table.recipe["text_columns"] == ["comment"]


def test_pixels_in_a_cell_are_no_text(tmp_path):
    (tmp_path / "x").mkdir()
    rows = [f"{i % 2},{' '.join(str(i * k % 256) for k in range(64))}\n" for i in range(30)]
    (tmp_path / "x" / "faces.csv").write_text("emotion,pixels\n" + "".join(rows))
    assert detect(tmp_path / "x", Options(), "x").formatter == "tabular"
