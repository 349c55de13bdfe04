"""``report.json``: contents of the data, problems and how to fix them (docs/formats.md); shown before any run."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

from automl_engine.dataset.spec import VARIABLE
from formatters.base import Doubt, Findings, Options, Table
from formatters.edits import fixes
from formatters.edits.copies import disputed, originals, sets_of_copies
from formatters.edits.sides import origins
from formatters.groups import shared_groups
from formatters.split import Split
from formatters.words import counted

VERSION = 1
MAX_IGNORED = 100
MAX_DUPLICATES = 20
IMBALANCE = 10  # ratio of the largest to the smallest class from which a warning is given
MAX_NUMBERED = 100  # characters of the name of a class that may end in numbers
FEW_SAMPLES = 5  # a class with fewer samples gets a warning
SMALL_TEST = 20
MANY_COPIES = 0.01  # share of test samples with near-copies, from which a warning is given
PART_GROUPS = (
    "if new ones will come, part them: by a split into train and test, or by a column 'group' in a table of the files"
)
UNSEEN = re.compile(r"[\s_\-\u200b-\u200f\u2060\ufeff]+")  # what hardly tells names apart
NEARLY_CONSTANT = 0.95  # share of samples that have, or lack, a label, from which a warning is given
NOUNS = {
    "image": "images",
    "video": "videos",
    "audio": "sounds",
    "text": "texts",
    "tabular": "rows",
    "timeseries": "series",
}


def make_report(table: Table, parts: Split, options: Options, candidates: list[str], out: Path) -> dict[str, Any]:
    """The report of the data set in ``out``."""
    labels = _label_counts(table, parts)
    duplicates = _duplicates(table, parts)
    found, spec = table.findings, table.spec
    doubts = [*found.doubts, *_doubts(table, parts, labels, duplicates)]
    return {
        "version": VERSION,
        "name": spec.name,
        "modality": table.modality,
        "title": title(table),
        "why": found.why,
        "task": "multi_label" if table.multi_label else "single_label",
        "labels": labels,
        "counts": {
            "samples": len(table.samples),
            "train": len(parts.train),
            "test": len(parts.test),
            "classes": len(table.label_names),
        },
        "size_bytes": sum(p.stat().st_size for p in (out / f"{spec.name}.data").rglob("*") if p.is_file()),
        "editable": "native" not in candidates,
        "spec": {k: getattr(spec, k) for k in ("sequence_size", "row_count", "col_count", "num_channels", "format")},
        "split": {"how": parts.how, "test_size": options.test_size, "seed": options.seed},
        "stats": found.stats,
        "columns": found.columns,
        "ignored": found.ignored[:MAX_IGNORED],
        "ignored_count": len(found.ignored),
        "unreadable": found.unreadable,
        "duplicates": {
            "exact": duplicates.exact,
            "across_split": duplicates.across_split,
            "examples": duplicates.examples,
        },
        "doubts": [asdict(doubt) for doubt in sorted(doubts, key=lambda doubt: doubt.level != "warning")],
        "options": {
            "name": spec.name,
            "target": found.target,
            "modality": table.modality,
            "test_size": options.test_size,
            "seed": options.seed,
            "label_cuts": options.label_cuts,
            "target_candidates": found.target_candidates,
            "modality_candidates": [name for name in candidates if name != "native"] or [table.modality],
            **found.choices,
        },
    }


def title(table: Table) -> str:
    """One line: "2,500 images in 10 classes, 28×28, grey"."""
    count = len(table.label_names)
    kinds = f"with {counted(count, 'label')}" if table.multi_label else f"in {counted(count, 'class', 'classes')}"
    parts = [f"{len(table.samples):,} {NOUNS[table.modality]} {kinds}"]
    spread = {line["name"]: line for line in table.findings.stats}
    spec = table.spec
    if table.modality == "video":
        parts.append(_range(spread, "frames", " frames").replace("1 frames", "1 frame"))
    if table.modality in ("image", "video"):
        fixed = VARIABLE not in (spec.row_count, spec.col_count)
        parts.append(f"{spec.col_count}×{spec.row_count}" if fixed else _sizes(spread))
        parts.append("grey" if spec.num_channels == 1 else "colour")
    elif table.modality == "audio":
        parts.append(_range(spread, "duration", " s"))
    elif table.modality == "text":
        parts.append(f"{len(spec.channel_to_index):,} different {table.recipe.get('language', 'tokens')}")
    elif table.modality == "tabular":
        parts.append(counted(spec.col_count, "feature"))
    elif table.modality == "timeseries":
        length = (
            f"length {spec.sequence_size:,}" if spec.sequence_size != VARIABLE else _range(spread, "length", " long")
        )
        parts += [length, counted(spec.num_channels, "channel")]
    return ", ".join(part for part in parts if part)


def _range(spread: dict[str, Any], name: str, unit: str) -> str:
    if name not in spread:
        return ""
    low, high = spread[name]["min"], spread[name]["max"]
    return f"{low:,.3g}{unit}" if low == high else f"{low:,.3g} to {high:,.3g}{unit}"


def _sizes(spread: dict[str, Any]) -> str:
    if "width" not in spread:
        return "sizes differ"
    low, high = ((spread["width"][end], spread["height"][end]) for end in ("min", "max"))
    smallest, largest = (f"{width:.0f}×{height:.0f}" for width, height in (low, high))
    return smallest if smallest == largest else f"{smallest} to {largest}"


def _label_counts(table: Table, parts: Split) -> list[dict[str, Any]]:
    train = Counter(label for i in parts.train for label in table.samples[i].labels)
    test = Counter(label for i in parts.test for label in table.samples[i].labels)
    return [{"name": name, "train": train[name], "test": test[name]} for name in table.label_names]


@dataclass(frozen=True)
class _Duplicates:
    """exact: copies of an earlier sample; across_split: test samples that are in the training set too."""

    exact: int
    across_split: int
    examples: list[list[str]]
    contradicting: int  # contents that have several labellings
    copied: set[int]  # the test samples that stand in train too


def _duplicates(table: Table, parts: Split) -> _Duplicates:
    first = originals(table)
    in_train = set(first[parts.train])
    copied = [i for i in parts.test if first[i] in in_train]
    shown = set(first[copied[:MAX_DUPLICATES]])
    groups = sorted(sets_of_copies(first), key=lambda group: group[0] not in shown)
    return _Duplicates(
        sum(len(group) - 1 for group in groups),
        len(copied),
        [[table.samples[i].source for i in group[:2]] for group in groups[:MAX_DUPLICATES]],
        sum(disputed(table, group) for group in groups),
        set(copied),
    )


def _doubts(table: Table, parts: Split, labels: list[dict[str, Any]], duplicates: _Duplicates) -> list[Doubt]:
    """Doubts that do not depend on the modality."""
    return [
        *_file_doubts(table.findings),
        *(_multi_label_doubts(table, labels) if table.multi_label else _class_doubts(labels)),
        *_spelling_doubts(labels),
        *_number_doubts(labels),
        *_side_doubts(parts, labels),
        *_duplicate_doubts(table, duplicates),
        *_leak_doubts(table, parts, duplicates),
    ]


def _file_doubts(found: Findings) -> list[Doubt]:
    doubts = []
    if found.unreadable:
        first = found.unreadable[0]
        what = counted(len(found.unreadable), "file cannot be read and is", "files cannot be read and are")
        what += f" skipped ({first['why']})"
        doubts.append(Doubt(what, "replace them, or remove them from the upload", first["path"]))
    if found.ignored:
        what = counted(len(found.ignored), "file of the upload is not used", "files of the upload are not used")
        doubts.append(Doubt(what, "no action is needed if this is intended", found.ignored[0]["path"], "info"))
    return doubts


def _class_doubts(labels: list[dict[str, Any]]) -> list[Doubt]:
    counts = {label["name"]: label["train"] + label["test"] for label in labels}
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    doubts = []
    if counts[largest] >= IMBALANCE * max(1, counts[smallest]):
        what = f"class {largest!r} has {counts[largest]:,} samples but {smallest!r} only {counts[smallest]:,}"
        doubts.append(Doubt(what, "add samples of the rare classes, or merge or remove them", smallest))
    single = [name for name, count in counts.items() if count == 1]
    if single:
        what = f"{_listed(single)} {'have' if len(single) > 1 else 'has'} only one sample, which is used for training"
        fix = "add samples: without a second one the class cannot be tested"
        doubts.append(Doubt(what, fix, single[0], fixes=fixes.few_classes(single) if len(counts) > 2 else []))
    few = [name for name, count in counts.items() if 1 < count < FEW_SAMPLES]
    if few:
        what = f"{_listed(few)} {'have' if len(few) > 1 else 'has'} fewer than {FEW_SAMPLES} samples"
        fix = "add samples, or merge or remove these classes"
        doubts.append(Doubt(what, fix, few[0], fixes=fixes.few_classes(few) if len(counts) > len(few) + 1 else []))
    return doubts


def _spelling_doubts(labels: list[dict[str, Any]]) -> list[Doubt]:
    """Class names that differ only in spelling."""
    alike: dict[str, list[str]] = {}
    counts = {label["name"]: label["train"] + label["test"] for label in labels}
    for name in filter(counts.get, counts):
        number = re.fullmatch(r"[-+]?[\d.]+", name)
        plain = UNSEEN.sub("", unicodedata.normalize("NFKC", name).casefold())
        alike.setdefault(name if number else plain or name, []).append(name)
    twins = [group for group in alike.values() if len(group) > 1]
    if not twins:
        return []
    what = f"the classes {' and '.join(map(repr, twins[0]))} differ only in spelling"
    what += f" (and {len(twins) - 1:,} more such cases)" * (len(twins) > 1)
    fix = "write them in the same way if they are the same class"
    return [Doubt(what, fix, twins[0][0], fixes=fixes.same_spelling(twins, counts))]


def _number_doubts(labels: list[dict[str, Any]]) -> list[Doubt]:
    """Class names that differ only in the number at their end, of two or more words: perhaps recordings of a class."""
    alike: dict[str, list[str]] = {}
    counts = {label["name"]: label["train"] + label["test"] for label in labels}
    for name in filter(counts.get, counts):
        if len(name) <= MAX_NUMBERED and (word := re.sub(r"[\s_.:-]*\d[\d\s_.:-]*$", "", name)):
            alike.setdefault(word, []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if len(groups) < 2:
        return []
    shown = " and ".join(map(repr, groups[0][:2]))
    what = f"classes such as {shown} differ only in numbers, and each is one by itself"
    fix = "merge them if the numbers only count recordings or the like"
    return [Doubt(what, fix, groups[0][0], fixes=fixes.same_spelling(groups, counts, "Merge these classes"))]


def _multi_label_doubts(table: Table, labels: list[dict[str, Any]]) -> list[Doubt]:
    shares = {label["name"]: (label["train"] + label["test"]) / len(table.samples) for label in labels}
    constant = [name for name, share in shares.items() if not 1 - NEARLY_CONSTANT < share < NEARLY_CONSTANT]
    doubts = []
    if constant:
        shown = ", ".join(f"{name} {shares[name]:.0%}" for name in constant[:5])
        what = f"nearly all samples have, or lack, some labels ({shown}), so these can hardly be learned or tested"
        fix = "add samples without (with) these labels, or leave the labels out"
        there = [name for name in constant if shares[name]]
        buttons = fixes.drop(there) if there and len(there) < len(labels) else []
        doubts.append(Doubt(what, fix, constant[0], fixes=buttons))
    unlabelled = sum(not sample.labels for sample in table.samples)
    if unlabelled:
        what = counted(unlabelled, "sample has none of the labels", "samples have none of the labels")
        doubts.append(Doubt(what, "no action is needed if this is intended", level="info"))
    return doubts


def _side_doubts(parts: Split, labels: list[dict[str, Any]]) -> list[Doubt]:
    doubts = []
    regroup = (
        ", or remove the split into training and test files, so that the site splits the samples"
        if parts.how == "given"
        else ""
    )
    anew = fixes.split_anew() if parts.how == "given" else []
    untrained = [label["name"] for label in labels if not label["train"]]
    if untrained:
        what = f"there are no training samples of {_listed(untrained)}, so {_it(untrained)} cannot be learned"
        doubts.append(Doubt(what, f"add training samples{regroup}", untrained[0], fixes=anew))
    untested = [label["name"] for label in labels if not label["test"] and label["train"] > 1]
    if untested:
        what = f"there are no test samples of {_listed(untested)}, so {_it(untested)} cannot be tested"
        doubts.append(Doubt(what, f"add test samples{regroup}", untested[0], fixes=anew))
    if len(parts.test) < SMALL_TEST:
        what = counted(len(parts.test), "sample is", "samples are") + " left to test with, so the scores are imprecise"
        doubts.append(Doubt(what, "add samples", level="info"))
    return doubts


def _duplicate_doubts(table: Table, duplicates: _Duplicates) -> list[Doubt]:
    doubts = []
    where = ", ".join(duplicates.examples[0]) if duplicates.examples else ""
    if duplicates.across_split:
        what = counted(duplicates.across_split, "test sample has an exact copy", "test samples have exact copies")
        what += " among the train samples, so scores look better than they are"
        doubts.append(Doubt(what, "remove the copies from the upload", where, fixes=fixes.copies(across=True)))
    elif duplicates.exact:
        what = counted(duplicates.exact, "sample is an exact copy of another", "samples are exact copies of others")
        doubts.append(Doubt(what, "remove the copies", where, "info", fixes.copies(across=False)))
    if duplicates.contradicting:
        what = counted(duplicates.contradicting, "sample has a copy", "samples have copies") + " with other labels"
        fix = "keep the copy with the right label and remove the others"
        doubts.append(Doubt(what, fix, where, fixes=fixes.disputed_copies()))
    return doubts


def _leak_doubts(table: Table, parts: Split, duplicates: _Duplicates) -> list[Doubt]:
    """Near-copies of train samples in test, and speakers, patients and the like on both sides."""
    doubts = []
    found = table.alike(parts.train, parts.test) if table.alike else ([], [])
    kinds = (("nearly the same as", "copies", MANY_COPIES), ("similar to", "similar", inf))
    for pairs, (alike, which, fewest) in zip(found, kinds, strict=True):
        pairs = [pair for pair in pairs if pair[0] not in duplicates.copied]
        if not pairs:
            continue
        level: Literal["warning", "info"] = "warning" if len(pairs) >= fewest * len(parts.test) else "info"
        what = counted(len(pairs), f"test sample is {alike}", f"test samples are {alike}")
        what += f" {'a train sample' if len(pairs) == 1 else 'train samples'}, so scores look better than they are"
        where = ", ".join(table.samples[i].source for i in pairs[0])
        fix = "remove the near-copies, or put them on one side of the split"
        doubts.append(Doubt(what, fix, where, level, fixes.to_train(which) if len(pairs) < len(parts.test) else []))
    doubts += [
        Doubt(what, PART_GROUPS, fixes=fixes.group(name))
        for name, what in shared_groups(origins(table), parts.train, parts.test)
    ]
    return doubts


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "they"


def _listed(names: list[str]) -> str:
    kind = "class" if len(names) == 1 else f"{len(names):,} classes:"
    return f"{kind} {', '.join(names[:5])}" + (", ..." if len(names) > 5 else "")
