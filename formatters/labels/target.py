"""Which column holds the labels, or which 0/1 columns: one choice for tables and for label tables beside files.

``choose`` weighs what the name, the place, the type and the values of each column say, or obeys ``--target``.
What is not certain becomes a Doubt; ``row_labels.py`` then reads the labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Literal

from automl_engine.errors import DataError
from formatters.base import Doubt
from formatters.edits import fixes
from formatters.labels.lists import is_unreadable, list_separator, split_list
from formatters.split_words import TELLS_SPLIT, is_split_name
from formatters.tables.columns import ID_NAME, Column, as_label, boolean_values
from formatters.tables.reader import RawTable

Kind = Literal["classes", "columns", "lists", "confidences", "numbers"]

NAME_SCORES: dict[str, int] = (
    dict.fromkeys(("target", "label", "labels", "class", "classes"), 9)
    | dict.fromkeys(("class_id", "classid", "class_name", "classname", "label_id", "label_name"), 9)
    | dict.fromkeys(("gold_label", "true_label", "final_label", "majority_label", "primary_label"), 9)
    | dict.fromkeys(("y", "outcome", "species", "survived", "sentiment", "category", "diagnosis", "quality"), 8)
    | dict.fromkeys(("categories", "tag", "tags", "labelconfidencepairs"), 8)
    | dict.fromkeys(("klasse", "classe", "clase", "klass", "kategorie", "categoria", "catégorie", "categoría"), 8)
    | dict.fromkeys(("diagnose", "diagnostic", "diagnóstico", "diagnostico", "диагноз", "dx"), 8)
    | dict.fromkeys(("ziel", "zielvariable", "cible", "objetivo", "etikett", "etiqueta", "étiquette", "etichetta"), 8)
    | dict.fromkeys(("класс", "метка", "类别", "标签", "分类", "類別", "クラス", "ラベル", "클래스", "레이블"), 8)
    | dict.fromkeys(("result", "response", "churn", "exited", "income", "variety", "activity", "emotion", "spam"), 6)
    | dict.fromkeys(("attrition", "default", "defaulted", "approved", "purchased", "subscribed", "stroke", "fault"), 6)
    | dict.fromkeys(("stars", "overall"), 3)
    | dict.fromkeys(("topic", "genre", "fraud", "disease", "type", "status", "grade", "rating", "score", "price"), 2)
)
NAME_PARTS = (
    dict.fromkeys(("target", "label", "labels"), 4)
    | dict.fromkeys(("class", "outcome", "survived", "sentiment", "churn", "category", "species", "diagnosis"), 3)
    | dict.fromkeys(("emotion", "genre"), 3)
)
ABOUT_A_LABEL = frozenset(("confidence", "prob", "probability", "proba", "count", "date", "time", "source"))
CODE_PARTS = frozenset(("class", "classes", "label", "labels", "category", "target", "letter", "character", "sign"))
CONFIDENCES = "labelconfidencepairs"  # the challenge's "3 0.9 7 0.1"
NO_LABEL_NAME = re.compile(  # where, when and who rather than what
    r"(^|[^a-z])(year|month|day|week|hour|zip|postcode|latitude|longitude|lat|lon)([^a-z]|$)", re.IGNORECASE
)
DESCRIBING_NAME = re.compile(  # of a person or a place: seldom a label where another column suits as well
    r"(^|[^a-z])(sex|gender|age|race|ethnicity|nationality|country|region|state|city|district|province|county)([^a-z]|$)",
    re.IGNORECASE,
)
SURE_NAME = 9  # nobody names anything else so
CLEAR_NAME = 4  # a name that settles the matter
QUANTITY_SCORE = 6  # of a sure name above numbers that are no classes: a telling name above classes wins
LAST_PLACE = 3.0
CLOSE_CALL = 2.0  # scores as near as this make a doubt
AMOUNT = 1000  # whole numbers from here on are amounts rather than classes
AMOUNT_SCORE = 2  # of a telling name ("income") above amounts
MAX_BARE_COLUMNS = 20  # without a header
OUT = -5.0  # not above this: no label
MAX_CLASSES = 1000
MAX_NUMERIC_CLASSES = 20
MAX_FRACTIONS = 10  # different numbers that are not whole: more are a quantity
MAX_COUNTED_CLASSES = 10  # more whole numbers are a count or an age rather than classes
MAX_LISTED_VALUES = 2000  # looked at for lists
DATED = re.compile(r"\W?(\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4})(?!\d)")  # of a log, "[01.03.21"
LOOK_CELLS = 50
FLAGS = ({"0", "1"}, {"-1", "1"}, {"-1", "0", "1"}, {"true", "false"}, {"yes", "no"})


class NoLabelError(DataError):
    """No column can be the label."""


@dataclass(frozen=True)
class Target:
    """The columns that hold the labels; candidates are what a user may choose instead, likeliest first."""

    columns: tuple[str, ...]
    kind: Kind
    why: str
    candidates: list[str]
    doubts: list[Doubt] = field(default_factory=list)


def choose(table: RawTable, columns: Sequence[Column], wanted: str | None = None, beside: bool = False) -> Target:
    """The target of a table.

    Args:
        columns: those that may hold the labels, in the order of the table.
        beside: the rows name files, so a table may hold few rows of a class, and labels alone.

    Raises:
        NoLabelError: nothing can be a target.
        DataError: a wanted column does not exist or cannot be a target.
    """
    columns = [as_label(column) for column in columns]
    by_name = {column.name: column for column in columns}
    if len(columns) == 1 and not beside:
        raise DataError(
            f"{table.file_name} has only the column {columns[0].name!r}; a table needs columns to learn from and a "
            "column of labels, separated by commas, tabs or semicolons."
        )
    scores = _scores(columns, beside)
    order = {column.name: at for at, column in enumerate(columns)}
    ranked = sorted((name for name in scores if scores[name] > OUT), key=lambda name: (-scores[name], -order[name]))
    named = table.label in by_name or set(table.label.split(",")) <= set(by_name)
    wanted = wanted or (table.label if named else None)
    if wanted:
        return _wanted(table, by_name, wanted, ranked)
    block = _flags_beside(columns) if beside else _flags_at_an_end(columns)
    if block and not any(_is_clearly_named(by_name[name]) for name in ranked):
        return _block_target(block, ranked, beside)
    if not beside:
        _check_named_label(table, columns, ranked)
    if not ranked:
        raise NoLabelError(
            f"{table.file_name} has no column that could be a label ({_listed(list(by_name))}); "
            "add one with the class of each row, with at least two different values."
        )
    chosen = by_name[ranked[0]]
    if beside:
        chosen = _in_words(table, chosen, [by_name[name] for name in ranked[1:]])
    why = _why(chosen, order[chosen.name], len(columns))
    others = [by_name[name] for name in ranked[1:] if name != chosen.name]
    near = CLOSE_CALL + (LAST_PLACE + 1 if beside else 0)  # nothing beside files is a feature, wherever it stands
    close = [other for other in others if scores[other.name] >= scores[chosen.name] - near]
    rivals = [other.name for other in close if _is_rival(other, chosen, beside)]
    amount = columns[-1]  # what stands last may well be the target, though no class
    likely = scores[amount.name] >= scores[chosen.name] - CLOSE_CALL / 2
    if not table.has_header:
        likely = len(columns) <= MAX_BARE_COLUMNS  # more are rather a series
    if not beside and amount in others and is_quantity(amount) and likely and _says_what(amount.name):
        rivals.append(amount.name)
    return Target((chosen.name,), _kind(chosen), why, ranked, _close_calls(chosen, rivals, others))


def _is_clearly_named(column: Column) -> bool:
    """Does its name settle the matter?  A "y" of many numbers is a place beside x."""
    return name_score(column.name) >= (SURE_NAME if is_quantity(column) else CLEAR_NAME)


def _in_words(table: RawTable, chosen: Column, others: Sequence[Column]) -> Column:
    """The column that has a word for each number of the chosen one, if there is one: people read names."""
    if not chosen.numbers or is_quantity(chosen):
        return chosen
    for other in others:
        if other.type == "category" and other.distinct == chosen.distinct and not other.missing:
            pairs = set(zip(table.column(chosen.name), table.column(other.name), strict=True))
            if len(pairs) == len(other.counts) == len(chosen.counts):
                return other
    return chosen


def _close_calls(chosen: Column, rivals: list[str], others: list[Column]) -> list[Doubt]:
    """A choice that the name does not settle is told, with the runner-up where there is one."""
    if name_score(chosen.name) >= CLEAR_NAME:
        rivals = [other.name for other in others if name_score(other.name) >= name_score(chosen.name)]
        if not rivals:
            return []
    what = f"column {chosen.name!r} was taken as the label"
    if rivals:
        what += f", but {_listed(rivals)} could be it too"
    elif others:
        what += f"; the next likeliest is {others[0].name!r}"
    fix = "choose another target if you want to predict something else"
    instead = fixes.predict(rivals or [other.name for other in others])
    return [Doubt(what, fix, chosen.name, "warning" if rivals else "info", instead)]


def _says_what(name: str) -> bool:
    """Rather than where, when or which row?"""
    return not NO_LABEL_NAME.search(name) and (not ID_NAME.fullmatch(name) or name == "column_0")


def _is_rival(other: Column, chosen: Column, beside: bool) -> bool:
    """Could a column that scores about the same be the label just as well?"""
    counts = other.numbers and other.distinct > 2 and not chosen.numbers  # cylinders beside words
    describes = not beside and DESCRIBING_NAME.search(_plain_name(other.name))
    return not (counts or describes or is_quantity(other))


def _check_named_label(table: RawTable, columns: Sequence[Column], ranked: list[str]) -> None:
    """A column called "label" that cannot be one is a mistake to tell, and no reason to take another."""
    if any(name_score(name) >= CLEAR_NAME for name in ranked):
        return
    for column in columns:
        if NAME_SCORES.get(column.name.lower(), 0) < SURE_NAME or column.type == "text":
            continue
        if column.distinct < 2:
            held = f"always holds {next(iter(column.counts))!r}" if column.counts else "is empty"
            raise DataError(
                f"the label column {column.name!r} of {table.file_name} {held}, so there is only one class; "
                "add rows of another class, or choose another target."
            )
        raise DataError(
            f"the label column {column.name!r} of {table.file_name} has {column.distinct:,} different values in "
            f"{column.present:,} rows, but a class needs several samples; group the values, or choose another target."
        )


def _scores(columns: Sequence[Column], beside: bool) -> dict[str, float]:
    """How much each column looks like a label."""
    able = [at for at, column in enumerate(columns) if not is_split_name(column.name)]
    words = [columns[at] for at in able if not columns[at].numbers and columns[at].type == "category"]
    places = {0: 1.0, max(able, default=0): LAST_PLACE}  # a split often stands behind the label
    return {
        column.name: _score(column, beside) + places.get(at, -1.0) + (2 if words == [column] else 0)
        for at, column in enumerate(columns)
    }


def _score(column: Column, beside: bool) -> float:
    name = name_score(column.name)
    distinct = column.distinct if column.numbers else _class_count(column)
    dated = not column.numbers and all(map(DATED.match, islice(column.counts, LOOK_CELLS)))
    written = not (dated or column.type in ("text", "date")) or column.name.lower() == CONFIDENCES
    if distinct < 2 or not written or is_split_name(column.name) or column.why_ignored == TELLS_SPLIT:
        return 2 * OUT
    quantity = is_quantity(column)
    few_rows = distinct > column.present / 2 and not (beside and name >= CLEAR_NAME)
    if few_rows and (column.type == "id" or not column.numbers or (beside and not quantity)):
        return 2 * OUT
    if not column.numbers and distinct > MAX_CLASSES:
        return 2 * OUT
    if quantity:  # x, y and z are measures, a price is one
        name = QUANTITY_SCORE if name >= SURE_NAME else min(name, AMOUNT_SCORE)
    elif name < SURE_NAME and max(column.numbers.values(), default=0) >= AMOUNT:
        name = min(name, AMOUNT_SCORE)
    score = name
    if not _says_what(column.name):
        score -= 4
    each = column.present / distinct
    if quantity:
        score -= 1
    elif each >= 5 and distinct <= 20:
        score += (0 if column.numbers and distinct > MAX_COUNTED_CLASSES else 2) + (distinct == 2)
    elif each >= 10:
        score += 1
    elif each < 2:
        score -= 3
    missing_share = column.missing / (column.missing + column.present)
    return score - (5 if missing_share > 0.3 else 2 if missing_share > 0.02 else 0)


@lru_cache(maxsize=2**17)  # asked of every column, several times
def name_score(name: str) -> float:
    plain = _plain_name(name)
    parts = re.split(r"[^a-z]+", plain)
    if parts[-1] in ABOUT_A_LABEL:
        return NAME_SCORES.get(plain, 0)
    return max([NAME_SCORES.get(plain, 0), *(NAME_PARTS.get(part, 0) for part in parts)])


def is_label(name: str) -> bool:
    """Is a column of series named like a label?  "y" is an axis beside x and z."""
    return name.lower() != "y" and name_score(name) >= CLEAR_NAME


def _plain_name(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def is_quantity(column: Column) -> bool:
    """Does it hold many numbers that do not number classes?"""
    if not column.numbers or column.distinct <= MAX_FRACTIONS:
        return False
    values = set(column.numbers.values())
    if not all(value.is_integer() for value in values):
        return True
    if len(values) <= MAX_NUMERIC_CLASSES:
        return False
    counted_up = min(values) in (0, 1) and max(values) - min(values) + 1 == len(values) <= column.present / 2
    parts = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])|(?=id$)", "_", column.name).lower()))
    return not (counted_up and parts & CODE_PARTS)


def _separator(column: Column) -> str | None:
    lists = column.type == "text" and all(cell[:2] in ("[{", "[]") for cell in column.counts)  # long, yet labels
    objects = lists and not any(map(is_unreadable, column.counts))
    if column.numbers or not (objects or column.type in ("category", "id")):
        return None
    return list_separator(list(column.counts)[:MAX_LISTED_VALUES], column.name.lower())


def _class_count(column: Column) -> int:
    """How many labels the cells hold; a cell may list several."""
    if column.name.lower() == CONFIDENCES:
        return len({label for cell in column.counts for label in cell.split()[::2]})
    separator = _separator(column)
    if separator is None:
        return column.distinct
    return len({part for cell in column.counts for part in split_list(cell, separator)})


def _kind(column: Column) -> Kind:
    if is_quantity(column):
        return "numbers"
    if column.name.lower() == CONFIDENCES:
        return "confidences"
    return "lists" if _separator(column) else "classes"


def _why(column: Column, at: int, count: int) -> str:
    reasons = [f"has {column.distinct:,} values"]
    if name_score(column.name) > 0:
        reasons.insert(0, "is named like a label")
    if count > 1 and at in (0, count - 1):
        reasons.insert(0, "stands last" if at else "stands first")
    return f"column {column.name!r} is the label: it {' and '.join(reasons)}"


def _wanted(table: RawTable, by_name: dict[str, Column], wanted: str, ranked: list[str]) -> Target:
    names = [wanted] if wanted in by_name else [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise DataError(
            f"{table.file_name} has no column {(unknown or [wanted])[0]!r} to use as target; "
            f"choose one of {_listed(list(by_name), 30)}."
        )
    why = f"column {_listed(names)} was chosen as the label"
    if len(names) == 1:
        column = by_name[names[0]]
        if column.distinct < 2:
            raise DataError(
                f"target column {column.name!r} of {table.file_name} has fewer than two values; "
                f"choose one of {_listed(ranked) or 'the others'}."
            )
        if not column.numbers and _class_count(column) > min(MAX_CLASSES, column.present / 2):
            raise DataError(
                f"target column {column.name!r} of {table.file_name} has {column.distinct:,} different values in "
                f"{column.present:,} rows, too many to be classes; choose one of {_listed(ranked) or 'the others'}."
            )
        return Target((column.name,), _kind(column), why, ranked)
    for name in names:
        if not is_flag(by_name[name]):
            cell = next((c for c in by_name[name].counts if c not in ("0", "1")), "")
            raise DataError(
                f"target column {name!r} of {table.file_name} holds {cell!r}; "
                "several target columns must hold 0 or 1 each."
            )
    return Target(tuple(names), "columns", why, ranked)


def _listed(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(map(repr, names[:limit])) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def is_flag(column: Column) -> bool:
    """Does each cell say yes or no (1, 0, -1, true, no)?"""
    held = {f"{value:g}" for value in column.numbers.values()} or {cell.lower() for cell in column.counts}
    return bool(held) and any(held <= flags for flags in FLAGS)


def _flags_beside(columns: Sequence[Column]) -> list[Column]:
    """All columns of yes and no, if two or more of them vary: nothing beside files is a feature."""
    flags = [column for column in columns if is_flag(column)]
    return flags if sum(column.distinct > 1 for column in flags) > 1 else []


def _flags_at_an_end(columns: Sequence[Column]) -> list[Column]:
    """Columns of 0 and 1 side by side at one end, where no other column is so: several labels a row.

    Two are enough; of those that say true and false it takes three.
    """
    words = ("false", "true")
    told = [boolean_values(column.counts) == words for column in columns]
    flags = [
        (set(column.numbers.values()) == {0.0, 1.0} or in_words) and not column.missing
        for column, in_words in zip(columns, told, strict=True)
    ]
    count = sum(flags)
    if count < 2 + any(told) or count > len(columns) - 1:
        return []
    if all(flags[-count:]):
        return list(columns[-count:])
    return list(columns[:count]) if all(flags[:count]) else []


def _block_target(block: list[Column], ranked: list[str], beside: bool) -> Target:
    names = tuple(column.name for column in block)
    why = f"the {len(names)} 0/1 columns {_listed(names)} side by side are the labels"
    candidates = list(dict.fromkeys([*reversed(names), *ranked]))
    if beside:
        return Target(names, "columns", why, candidates)
    words = not all(column.numbers for column in block)  # as many a feature is written, too
    held = "false and true" if words else "0 and 1"
    what = f"the {len(names)} columns {_listed(names)} hold only {held} and were taken as one label each"
    level: Literal["info", "warning"] = "warning" if words or len(names) == 2 else "info"
    alone = fixes.predict(names[-1:])
    doubt = Doubt(what, f"choose the target {names[-1]!r} alone if the others are features", names[0], level, alone)
    return Target(names, "columns", why, candidates, [doubt])
