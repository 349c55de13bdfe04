"""Who or what several samples come from (a speaker, a patient): by columns, or by the names of files and folders.

Groups on both sides of the split make scores look better than they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

from formatters.words import counted

WHO = r"speaker|patient|participant|respondent|lesion|recording|session|actor"
WHO_IN_NAMES = (
    r"speaker|spkr?|patient|participant|respondent|session|actor|subject|subj?|person|user|client|driver|writer"
)
NUMBERED_WHO = re.compile(rf"(?<![a-z])({WHO_IN_NAMES})[\s_.-]?(\d+)(?!\d)", re.IGNORECASE)
LETTERED_WHO = re.compile(r"(?<![^\W_])[SP]\d{2,3}(?![^\W_])")  # S01, P12
WHO_BY_ID = rf"{WHO}|subject|person|user|customer|client|group|household|animal|series|driver|writer|author"
GROUP_NAME = re.compile(rf"(.*_)?({WHO}|({WHO_BY_ID})s?_?(id|no|nr|number|code))", re.IGNORECASE)
BARE_WHO = re.compile(
    r"(subject|person|user|customer|client|household|animal|driver|writer|author|"
    r"proband(in)?|versuchsperson|vp|teilnehmer(in)?|sujet|sujeto|paciente|participante|患者|被试|被験者)s?",
    re.IGNORECASE,
)
NUMBERED = re.compile(r"[^\W\d_]{0,12}[\s_.-]?\d{1,8}")
MIN_BARE_WHO = 8  # fewer bare numbers may be a count of persons
PLACE_OF_A_ROW = re.compile(r"(row|line|record|series) \S+$")  # sources that are no files
NUMBER = re.compile(r"\d{1,4}")
FIRST_NUMBER = re.compile(r"\d{1,4}(?=[_\s-])")  # of a file's name; later ones count the files
DIGITS = set("0123456789")  # what is said, written or shown
YEAR = re.compile(r"(?<!\d)(19|20)\d\d(?!\d)")  # in a name: its numbers are a date
MIN_NUMBERS = 4
MIN_FILES_A_NUMBER = 4
MIN_FILES_A_CLASS = 2  # of a number in one folder; else it counts the files
MAX_GAPS = 3  # of persons numbered in turn, the highest number may be so many times their count
CROSSED_SHARE = 0.8  # of the files differ in this number alone from files of other numbers


def is_group_name(column: str) -> bool:
    """Is a column named after who or what several samples come from?"""
    return bool(GROUP_NAME.fullmatch(re.sub(r"(?<=[a-z])(?=[A-Z])|[\s.-]+", "_", column.strip())))


def names_groups(column: str, cells: Collection[str]) -> bool:
    """Is a column named so, or bare ("user", "Proband") and does it number many of them?"""
    if is_group_name(column):
        return True
    bare = BARE_WHO.fullmatch(column.strip()) and (len(cells) >= MIN_BARE_WHO or not any(map(str.isdecimal, cells)))
    return bool(bare) and all(map(NUMBERED.fullmatch, cells))


def groups_in_names(sources: Sequence[str], labels: Sequence[Hashable]) -> dict[str, list[str]]:
    """Speakers, patients and the like that the paths of files name (speaker5, S01): one a sample, "" where none is."""
    found: dict[str, list[str]] = {}
    for at, source in enumerate(sources):
        named = [(match[1].lower(), f"{match[1].lower()} {int(match[2])}") for match in NUMBERED_WHO.finditer(source)]
        named += [("subject", match[0]) for match in LETTERED_WHO.finditer(source)]
        for name, value in named:
            found.setdefault(name, [""] * len(sources))[at] = value
    named_by_words = {name: values for name, values in found.items() if not _is_the_label(values, labels)}
    return named_by_words or _bare_numbers(sources, labels)


def who_names(names: Collection[str]) -> str:
    """ "actor" where the names are Actor_01, Actor_02 and so on; "" where they are others."""
    found = {match[1].lower() if (match := NUMBERED_WHO.fullmatch(name)) else "" for name in names}
    return found.pop() if len(found) == 1 and len(names) > 1 else ""


def _is_the_label(values: Sequence[str], labels: Sequence[Hashable]) -> bool:
    """Has each of them a class of its own, as where speakers are to be told apart?"""
    pairs = {pair for pair in zip(values, labels, strict=True) if pair[0]}
    return len(pairs) == len({value for value, _ in pairs}) == len({label for _, label in pairs})


def _bare_numbers(sources: Sequence[str], labels: Sequence[Hashable]) -> dict[str, list[str]]:
    """The numbers of persons in names such as 12_happy_03.wav or 12/happy_03.wav, where nothing else explains them."""
    paths = [source.split("/") for source in sources]
    if len({len(path) for path in paths}) != 1 or any(PLACE_OF_A_ROW.search(source) for source in sources):
        return {}
    found = []
    for depth in range(len(paths[0])):
        in_name = depth == len(paths[0]) - 1
        numbers = [FIRST_NUMBER.match(path[depth]) if in_name else NUMBER.fullmatch(path[depth]) for path in paths]
        values = [number[0] for number in numbers if number]
        rests = [
            (*path[:depth], path[depth][len(value) :], *path[depth + 1 :])
            for path, value in zip(paths, values, strict=False)
        ]
        if len(values) == len(paths) and _are_persons(values, rests, labels, in_name):
            found.append(values)
    return {"number in the names of the files": found[0]} if len(found) == 1 else {}


def _are_persons(
    values: Sequence[str], rests: Sequence[tuple[str, ...]], labels: Sequence[Hashable], in_name: bool
) -> bool:
    """Does each of a few numbers that count up come with the same classes and the same rests of the paths?"""
    files, numbers = Counter(values), {int(value) for value in values}
    classes = Counter(value for value, _ in set(zip(values, labels, strict=True)))
    if files.keys() == DIGITS or len(numbers) < MIN_NUMBERS or max(numbers) - min(numbers) >= MAX_GAPS * len(numbers):
        return False
    if min(files.values()) < MIN_FILES_A_NUMBER or min(classes.values()) < 2:
        return False
    if in_name:
        places = {(*rest[:-1], label, value) for rest, label, value in zip(rests, labels, values, strict=True)}
        if len(values) < MIN_FILES_A_CLASS * len(places) or all(YEAR.search(rest[-1]) for rest in rests):
            return False
    alike = Counter(rest for rest, _ in set(zip(rests, values, strict=True)))
    return sum(alike[rest] > 1 for rest in rests) >= CROSSED_SHARE * len(rests)


def shared_groups(groups: dict[str, list[str]], train: Sequence[int], test: Sequence[int]) -> Iterable[tuple[str, str]]:
    """Each column whose values stand on both sides, and what to tell of it."""
    for name, values in groups.items():
        sides = [{values[i] for i in side} - {""} for side in (train, test)]
        both = sides[0] & sides[1]
        if len(sides[0] | sides[1]) > 1 and both and 2 * len(sides[0] | sides[1]) <= len(values):
            what = counted(len(both), f"value of {name!r} stands", f"values of {name!r} stand")
            yield name, f"{what} in train and in test, such as {min(both)!r}, so scores look better than on new ones"
