"""The parts of a data set by name, for folders, files, columns and cells: train, validation, test, unlabelled."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Literal

from formatters.base import Side

Part = Literal["train", "validation", "test", "unlabelled", ""]
_IN_MANY_LANGUAGES: dict[Part, str] = {
    "train": "trainings entrenamiento entraînement entrainement apprentissage treino treinamento addestramento "
    "treningowy eğitim träning обучение обучающая тренировочная 训练 訓練 学習 学习 훈련 학습",
    "validation": "validierung validierungs validación validacion validação validacao validazione walidacja doğrulama "
    "валидация валидационная 验证 驗證 検証 검증",
    "test": "prueba pruebas teste testes testowy тест тестовая 测试 測試 テスト 테스트",
}
PART_WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "eval", "evaluation"), "test"),
    **{word: part for part, words in _IN_MANY_LANGUAGES.items() for word in words.split()},
    **dict.fromkeys(("pred", "predict", "prediction", "predictions", "inference"), "unlabelled"),
    **dict.fromkeys(("unsup", "unsupervised", "unlabelled", "unlabeled"), "unlabelled"),
}
SHORT_WORDS: dict[str, Part] = {"tr": "train", "te": "test", "ts": "test", "va": "validation", "vl": "validation"}
SPLIT_NAMES = frozenset(("split", "subset", "set", "partition", "usage", "fold", "folds", "kfold", "cv"))
SUFFIX = re.compile("(list|lists|set|data|images|daten|集|数据|データ|用|用データ)$")
YES = frozenset(("1", "1.0", "true", "yes", "y", "t"))
FLAGS = ({"0", "1"}, {"0.0", "1.0"}, {"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"})
TELLS_SPLIT = "it tells the split"
BESIDE_SPLIT_NAMES = frozenset(("data", "dataset", "name", "id", "type", "num", "no", "number", "k", "is", "in"))
MAX_PARTS = 4


def part_of(name: str) -> Part:
    """The part that "Test1", "seg_train", "trainingSet" or "hold-out" is named after; "" when it is none."""
    words = [SUFFIX.sub("", word) for word in _words(name.replace("old-out", "oldout"))]
    found = {PART_WORDS[word] for word in words if word in PART_WORDS}
    if found == {"train", "validation"}:  # train_val: what is not the test
        return "train"
    return found.pop() if len(found) == 1 else ""


def part_of_path(path: str) -> Part:
    """The part in the file's own name, else in the nearest folder that is named after one."""
    return next((part for name in reversed(path.split("/")) if (part := part_of(name))), "")


def sides_of_parts(parts: Collection[Part]) -> dict[Part, Side]:
    """Validation belongs to train, but is the test where there is no other; what is unlabelled has no side."""
    held_out: Side = "test" if "train" in parts and "test" not in parts else "train"
    return {"train": "train", "validation": held_out, "test": "test"}


def sides_of(names: Collection[str]) -> dict[str, Side]:
    """The side of each name that has one."""
    parts = {name: part_of(name) for name in names}
    sides = sides_of_parts(set(parts.values()))
    return {name: sides[part] for name, part in parts.items() if part in sides}


def sides_of_paths(paths: Collection[str]) -> dict[str, Side | None]:
    """Train or test, from each file's name or its folders."""
    parts = {path: part_of_path(path) for path in paths}
    sides = sides_of_parts(set(parts.values()))
    return {path: sides.get(part) for path, part in parts.items()}


@lru_cache(maxsize=2**17)  # asked of every column, several times
def is_split_name(column: str) -> bool:
    """Is a column named after a split ("split", "data_set", "Usage", "fold_id", "is_train")?"""
    words = _words(column)
    rest = [word for word in words if word not in BESIDE_SPLIT_NAMES]
    named = any(word in SPLIT_NAMES for word in rest) and all(word in SPLIT_NAMES | set(PART_WORDS) for word in rest)
    flag = words[:1] == ["is"] and bool(part_of(column))
    return named or flag or words in (["dataset"], ["data", "set"])


def parts_of_cells(column: str, cells: Collection[str]) -> dict[str, Part]:
    """The part that each cell of a column names, or that a flag such as "is_train" gives; {} if it tells no split.

    Words for the parts are enough, whatever the column is called.
    """
    parts = {cell: part_of(cell) for cell in cells}
    if is_split_name(column) and (own := part_of(column)) and {cell.lower() for cell in cells} in FLAGS:
        rest: Part = "test" if own == "train" else "train"
        parts = {cell: own if cell.lower() in YES else rest for cell in cells}
    if is_split_name(column) and all(cell.lower() in SHORT_WORDS for cell in cells):
        parts = {cell: SHORT_WORDS[cell.lower()] for cell in cells}
    found = set(parts.values())
    return parts if "train" in found and len(found) > 1 and "" not in found else {}


def may_tell_split(column: str, cells: Collection[str]) -> bool:
    """Is a column of few values named after a split, or a flag after a part, whose cells do not say what they mean?"""
    if not 1 < len(cells) <= MAX_PARTS:
        return False
    flag = bool(part_of(column)) and len(_words(column)) == 1 and {cell.lower() for cell in cells} in FLAGS
    return flag or is_split_name(column)


def _words(name: str) -> list[str]:
    name = unicodedata.normalize("NFC", name)
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
