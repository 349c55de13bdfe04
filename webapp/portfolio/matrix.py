"""The score table: configurations × data sets, and the effect of a configuration on the portfolio.

Ranks and means are over the data sets on which every configuration in use has a score: others would compare unlike.
As in the engine, only runs of the newest version of a row count, and of a modality only those under its most frequent
budget and t0: others are not comparable.  A run that failed counts as a failure and nothing else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from webapp.portfolio import gains
from webapp.portfolio.models import MODALITIES, PortfolioRow, Score
from webapp.portfolio.rows import obstacle

FIELDS = ("modality", "row", "version", "dataset", "source", "budget_s", "t0_s", "alc", "wall_s")
OF_SITE = ("site_dataset_id", "site_dataset__name")
OF_RUN = ("run__error",)
NEAR = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2)
"""Steps of the colour: distance to the best configuration of a data set."""
Ranks = dict[str, float]


@dataclass
class Cell:
    """A configuration on a data set."""

    alc: float | None
    """Mean ALC of its runs; None if all failed."""
    runs: int
    failures: int
    wall_s: float | None
    where: str
    """Names of configuration and data set."""
    why: str = ""
    """Error of the newest failure on this site."""
    step: int = len(NEAR)
    """Step of the colour: 0 is the best configuration of the data set."""

    @property
    def title(self) -> str:
        """The tooltip."""
        if self.alc is None:
            times = "failed" if self.runs == 1 else f"all {self.runs} runs failed"
            return f"{self.where}: {times}{f' ({self.why})' if self.why else ''}"
        told = [f"ALC {self.alc:.4f}", "best" if self.step == 0 else "", f"{self.runs} runs" if self.runs > 1 else ""]
        told += [f"{self.failures} failed" if self.failures else "", f"{self.wall_s:.0f} s" if self.wall_s else ""]
        return f"{self.where}: {', '.join(filter(None, told))}"

    @property
    def shown(self) -> str:
        """``.913``; a cross where all runs failed."""
        return "✕" if self.alc is None else f"{self.alc:.3f}".replace("0.", ".", 1)


@dataclass
class Line:
    """A configuration over the data sets of its modality."""

    row: PortfolioRow
    version: int
    """The scored version."""
    cells: list[Cell | None]
    wins: list[str] = field(default_factory=list)
    average_rank: float | None = None
    """Over the common data sets, as the mean ALC; None if it has no score on one of them."""
    mean_alc: float | None = None
    obstacle: str = ""
    """Why it cannot run on this machine."""
    effect: Effect | None = None
    """What it would bring, where it cannot run."""
    note: str = ""
    """What it gained in shared runs."""

    @property
    def scored(self) -> list[Cell]:
        return [cell for cell in self.cells if cell and cell.alc is not None]

    @property
    def in_use(self) -> bool:
        return self.row.enabled and not self.obstacle

    def alc(self, i: int) -> float | None:
        """On the data set at position ``i``."""
        cell = self.cells[i]
        return cell.alc if cell else None

    @property
    def failures(self) -> int:
        return sum(cell.failures for cell in self.cells if cell)

    @property
    def cost_s(self) -> float | None:
        """Median duration of a run over the data sets."""
        walls_s = [cell.wall_s for cell in self.cells if cell and cell.wall_s is not None]
        return median(walls_s) if walls_s else None


@dataclass
class Matrix:
    """The table of one modality."""

    modality: str
    budget_s: float | None
    t0_s: float | None
    datasets: list[dict[str, Any]]
    """name (in the table), label, id (of a data set of this site, or None)."""
    lines: list[Line]

    @property
    def common(self) -> list[int]:
        """Positions of the data sets on which all configurations in use have a score, save those that have none."""
        return self.shared_by([line for line in self.lines if line.in_use and line.scored])

    def shared_by(self, lines: Sequence[Line]) -> list[int]:
        if not lines:
            return []
        return [i for i in range(len(self.datasets)) if all(line.alc(i) is not None for line in lines)]

    def line(self, name: str) -> Line | None:
        return next((line for line in self.lines if line.row.name == name), None)

    def alc(self, lines: Iterable[Line], i: int) -> dict[str, float]:
        """Row -> ALC on the data set at position ``i``, where it has one."""
        return {line.row.name: alc for line in lines if (alc := line.alc(i)) is not None}


def matrices(modality: str = "") -> list[Matrix]:
    """All modalities with rows, or one of them; three queries."""
    rows = PortfolioRow.objects.all()
    scores = Score.objects.values_list(*FIELDS, *OF_SITE, *OF_RUN)
    if modality:
        rows, scores = rows.filter(modality=modality), scores.filter(modality=modality)
    by_modality: dict[str, list[PortfolioRow]] = defaultdict(list)
    for row in rows:
        by_modality[row.modality].append(row)
    known: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for score in scores.order_by("source", "dataset", "pk"):
        known[score[0]].append(score)
    found = [_matrix(name, by_modality[name], known[name]) for name in sorted(by_modality, key=MODALITIES.index)]
    notes = gains.notes(rows)
    for line in (line for matrix in found for line in matrix.lines):
        line.note = "" if line.obstacle else notes[line.row.name]
    return found


def _matrix(modality: str, rows: list[PortfolioRow], scores: list[tuple[Any, ...]]) -> Matrix:
    newest: dict[str, int] = {}
    for _, name, version, *_ in scores:
        newest[name] = max(version, newest.get(name, 0))
    names = {row.name for row in rows}
    conditions = Counter((score[5], score[6]) for score in scores)
    usual = budget_s, t0_s = max(conditions, key=lambda pair: conditions[pair], default=(None, None))
    runs: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    datasets: dict[str, dict[str, Any]] = {}
    for score in scores:
        _, name, version, dataset, source, *condition, _, _, site_id, site_name, _ = score
        if name in names and version == newest[name] and tuple(condition) == usual:
            runs[name, dataset].append(score)
            label = site_name or dataset
            datasets.setdefault(dataset, {"name": dataset, "label": label, "id": site_id, "source": source})
    lines = [
        Line(
            row,
            newest.get(row.name, 0),
            [_cell(runs.get((row.name, key)), f"{row.name} on {found['label']}") for key, found in datasets.items()],
            obstacle=obstacle(row),
        )
        for row in rows
    ]
    found = Matrix(modality, budget_s, t0_s, list(datasets.values()), lines)
    _mark_best(found)
    _compare(found)
    for line in lines:
        line.effect = effect(found, line.row.name) if line.obstacle else None
    return found


def _cell(runs: list[tuple[Any, ...]] | None, where: str) -> Cell | None:
    if not runs:
        return None
    alcs = [run[7] for run in runs if run[7] is not None]
    walls_s = [run[8] for run in runs if run[8] is not None]
    errors = [run[-1] for run in runs if run[7] is None and run[-1]]
    return Cell(
        alc=fmean(alcs) if alcs else None,
        runs=len(runs),
        failures=len(runs) - len(alcs),
        wall_s=median(walls_s) if walls_s else None,
        where=where,
        why=errors[-1].partition(". ")[0].rstrip(".") if errors else "",  # the rest is for its owner
    )


def _mark_best(matrix: Matrix) -> None:
    """Colour and wins of each row."""
    for i, dataset in enumerate(matrix.datasets):
        best = max(matrix.alc(matrix.lines, i).values(), default=0.0)
        for line in matrix.lines:
            cell = line.cells[i]
            if cell and cell.alc is not None:
                cell.step = sum(best - cell.alc > near for near in NEAR)
                if cell.step == 0:
                    line.wins.append(dataset["label"])


def _compare(matrix: Matrix) -> None:
    """Mean ALC and average rank of the rows that have a score on each common data set."""
    common = matrix.common
    compared = [line for line in matrix.lines if common and all(line.alc(i) is not None for i in common)]
    means = average_ranks([matrix.alc(compared, i) for i in common])
    for line in compared:
        line.average_rank = means[line.row.name]
        line.mean_alc = fmean(line.alc(i) or 0.0 for i in common)


def beside_the_best(matrix: Matrix, line: Line) -> Iterator[tuple[dict[str, Any], Cell, tuple[float, str] | None]]:
    """(data set, the row's cell, ALC and name of the best row there) wherever the row was run."""
    for i, dataset in enumerate(matrix.datasets):
        cell = line.cells[i]
        if cell:
            alcs = matrix.alc(matrix.lines, i)
            yield dataset, cell, max(((alc, name) for name, alc in alcs.items()), default=None)


def ranks(alcs: Mapping[str, float]) -> Ranks:
    """1 is best; equals share the mean of their ranks."""
    values = list(alcs.values())
    return {name: 1 + sum(other > own for other in values) + (values.count(own) - 1) / 2 for name, own in alcs.items()}


def average_ranks(tables: Sequence[Mapping[str, float]]) -> Ranks:
    """Of the same rows on several data sets."""
    found = [ranks(alcs) for alcs in tables]
    return {name: fmean(each[name] for each in found) for name in (found[0] if found else ())}


@dataclass
class Effect:
    """What the rows in use reach without and with one row, on the data sets that it was evaluated on."""

    datasets: int
    best_without: float
    """Mean ALC of the best row in use of each data set."""
    best_with: float
    ranks: list[tuple[str, float | None, float]]
    """Row, its average rank without and with; in the order of the latter."""
    common: int
    """Data sets that the ranks are over: all of these rows have a score there."""

    @property
    def gain(self) -> float:
        return self.best_with - self.best_without


def effect(matrix: Matrix, name: str) -> Effect | None:
    """None while there is no data set on which both the row and one in use have a score."""
    line = matrix.line(name)
    others = [other for other in matrix.lines if other.in_use and other.scored and other is not line]
    own = [i for i in range(len(matrix.datasets)) if line and line.alc(i) is not None and matrix.alc(others, i)]
    if not line or not own:
        return None
    without = [max(matrix.alc(others, i).values()) for i in own]
    with_it = [max(matrix.alc([line, *others], i).values()) for i in own]
    common = matrix.shared_by([line, *others])
    before = average_ranks([matrix.alc(others, i) for i in common])
    after = average_ranks([matrix.alc([line, *others], i) for i in common])
    compared = [(other, before.get(other), rank) for other, rank in after.items()]
    return Effect(len(own), fmean(without), fmean(with_it), sorted(compared, key=lambda found: found[2]), len(common))
