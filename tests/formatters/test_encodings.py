"""Old encodings are told apart by the languages that they write, in files and in the names of zips."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert
from formatters.encodings import decode_text
from formatters.unpacking.archive import unpack

TEXTS = {
    "cp1251": "рост,порода\n2.37,дуб\n-0.73,вяз\n",
    "koi8_r": "книга,да\nэто хорошая книга,нет\nновый большой дом,да\n",
    "cp949": "높이,종류\n0.12,느릅나무\n4.11,참나무\n",
    "cp932": "文章,評価\n美しい映画でした,肯定\n遅いひどい,否定\n",
    "euc_jp": "文章,評価\n美しい映画でした,肯定\n",
    "big5": "句子,類別\n這個電影很好看,正面\n我不喜歡這家飯店,負面\n",
    "gb18030": "句子,类别\n这个电影很好看,正面\n我不喜欢这家饭店,负面\n",
    "cp1250": "zdanie,klasa\nŻółty wąż źle śpi,zły\nDobra książka jest świetna,dobry\n",
    "iso8859_2": "věta,třída\nPříliš žluťoučký kůň,dobře\n",
    "cp1254": "cümle,sınıf\nBu kitap çok güzel ışık,iyi\nşöyle böyle değil,kötü\n",
    "cp1252": "Satz,Klasse\nÜber die Straße,gut\nschön größer,böse\n",
    "mac_roman": "Satz,Klasse\nÜber die Straße,gut\nschön größer,böse\n",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_texts_in_old_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes((TEXTS[encoding] * 10).encode(encoding))
    assert decode_text(tmp_path / "a.csv")[0] == TEXTS[encoding] * 10


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1251", ["дуб", "вяз"]),
        ("cp1251", ["МОСКВА", "ПЕРМЬ"]),
        ("cp1251", ["Казань", "Омск", "Тверь"]),
        ("koi8_r", ["Сосна", "Берёза"]),
        ("cp866", ["хорошо", "плохо"]),
        ("cp1253", ["καλός", "κακός"]),
        ("cp1255", ["טוב", "רע מאוד"]),
        ("cp874", ["อร่อย", "ไม่ชอบ"]),
        ("cp949", ["참나무", "느릅나무"]),
        ("cp932", ["よい", "わるい"]),
        ("cp1252", ["größer", "schön"]),
        ("cp1252", ["l’hôtel", "déçu"]),
        ("cp1250", ["dąb", "świerk", "wiąz"]),
        ("cp1251", ["да", "нет"]),
        ("cp1252", ["20 °C", "£12 €13"]),
        ("mac_roman", ["café", "déçu"]),
        ("cp850", ["größer", "schön"]),
        ("gb18030", ["橡树", "榆树"]),
        ("gb18030", ["苹果", "香蕉"]),
        ("gb18030", ["男", "女"]),
        ("cp932", ["はい", "いいえ"]),
        ("cp949", ["정상", "불량"]),
    ],
)
def test_a_few_words_beside_numbers(tmp_path: Path, encoding: str, words: list[str]) -> None:
    text = "a;b\n" + "".join(f"{i}.5;{words[i % len(words)]}\n" for i in range(40))
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    assert decode_text(tmp_path / "a.csv")[0] == text


def test_a_few_lines_in_an_old_encoding_among_utf_8(tmp_path: Path) -> None:
    text = "size,sort\n" + "".join(f"{i % 7},{('Föhre', 'Süßkirsche')[i % 2]}\n" for i in range(40))
    lines = text.encode().splitlines(keepends=True)
    lines[7] = lines[7].decode().encode("cp1252")
    report = converted(tmp_path, b"".join(lines))
    assert {label["name"] for label in report["labels"]} == {"Föhre", "Süßkirsche"}
    assert any("what is not UTF-8 was read as Western (Windows-1252)" in doubt["what"] for doubt in report["doubts"])


@pytest.mark.parametrize(
    ("encoding", "folders"),
    [
        ("cp850", ["Äpfel", "Möhren"]),
        ("cp437", ["Vögel", "Käfer"]),
        ("cp932", ["円形", "四角"]),
        ("gb18030", ["圆形", "方形"]),
        ("cp949", ["고양이", "강아지"]),
        ("cp866", ["кошки", "собаки"]),
    ],
)
def test_names_of_a_zip_in_a_code_page(tmp_path: Path, encoding: str, folders: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for folder in folders:
            for number in range(5):
                info = zipfile.ZipInfo(f"{folder.encode(encoding).hex()}/{number}.png")
                archive.writestr(info, b"x")
    data = (tmp_path / "a.zip").read_bytes()
    for folder in folders:  # the same length, or the offsets would be wrong
        raw = folder.encode(encoding)
        data = data.replace(raw.hex().encode(), raw + b"_" * len(raw))
    (tmp_path / "a.zip").write_bytes(data)
    root = unpack(tmp_path / "a.zip", tmp_path / "out").root
    assert {path.name.rstrip("_") for path in root.iterdir()} == set(folders)


def converted(tmp_path: Path, content: bytes, **options: str) -> dict[str, Any]:
    (tmp_path / "a.csv").write_bytes(content)
    return convert(
        tmp_path / "a.csv", tmp_path / "-".join(["out", *options.values()]), Options(**options), lambda _: None
    )


def test_the_page_shows_how_each_encoding_reads_and_a_choice_is_obeyed(tmp_path: Path) -> None:
    content = ("рост,порода\n" + "".join(f"{i}.5,{('дуб', 'вяз')[i % 2]}\n" for i in range(40))).encode("cp1251")
    report = converted(tmp_path, content)
    assert any("read as Cyrillic (Windows-1251): рост, порода" in doubt["what"] for doubt in report["doubts"])
    readings = {one["name"]: one["sample"] for one in report["options"]["encoding_candidates"]}
    assert report["options"]["encoding"] == next(iter(readings)) == "cp1251"
    assert readings["koi8_r"] == "ПНЯР, ОНПНДЮ, ДСА"
    chosen = converted(tmp_path, content, encoding="koi8_r")
    assert {label["name"] for label in chosen["labels"]} == {"ДСА", "БЪГ"}
    assert chosen["options"]["encoding"] == "koi8_r"
    assert not any("UTF-8" in doubt["what"] for doubt in chosen["doubts"])
    with pytest.raises(DataError, match=r"a\.csv is not written in utf-8; choose another encoding"):
        converted(tmp_path, content, encoding="utf-8")
    for name in ("klingon", "base64", "undefined"):
        with pytest.raises(DataError, match="there is no encoding '"):
            converted(tmp_path, content, encoding=name)


def test_no_choice_where_nothing_was_guessed(tmp_path: Path) -> None:
    content = "рост,порода\n" + "".join(f"{i}.5,{('дуб', 'вяз')[i % 2]}\n" for i in range(40))
    assert "encoding" not in converted(tmp_path, content.encode())["options"]
