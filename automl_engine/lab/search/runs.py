"""The objective of a search: what a row with other parameters reaches, as ordinary runs on known data sets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from automl_engine import clock
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.lab.search.bohb import ETA
from automl_engine.portfolio import Row
from automl_engine.run.supervisor import find_dataset, run

BUDGETS = 3
"""Budgets of a trial: a ninth, a third and the whole (section 5.4: the largest is nine times the smallest)."""


@dataclass(frozen=True)
class Plan:
    """What is searched, and how a trial is measured; plain enough for JSON."""

    row: str
    modality: str
    model: str
    """Key of MODELS."""
    params: dict[str, Any]
    """Of the row as it is; a trial's take their place."""
    space: dict[str, Any]
    """In the notation of space.py."""
    data: dict[str, str]
    """Folder of each data set by its name."""
    budget_s: float = 90.0
    t0_s: float = 60.0
    seed: int = 0
    device: str = "auto"
    clock: str = "wall"
    """Or virtual: ALC is then the same on every machine, however busy (section 5.4)."""
    budgets_s: list[float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets_s", [self.budget_s / ETA**i for i in reversed(range(BUDGETS))])

    @classmethod
    def of(cls, row: Row, folders: list[Path], **options: Any) -> Plan:
        """Raises: DataError: a folder is no data set of the row's modality, or two have the same name."""
        data: dict[str, str] = {}
        for folder in folders:
            name = find_dataset(folder)[0].stem
            if name in data:
                raise DataError(f"Two of --data are called {name}; leave one of them out.")
            _check_modality(folder, row)
            data[name] = str(folder.resolve())
        return cls(row.name, row.modality, row.model, row.params, row.space, data, **options)

    @classmethod
    def from_json(cls, order: Mapping[str, Any]) -> Plan:
        return cls(**{key: value for key, value in order.items() if key != "budgets_s"})

    def question(self) -> dict[str, Any]:
        """What must be the same wherever a worker joins; where the data lie need not."""
        return {**asdict(self), "data": sorted(self.data)}


def _check_modality(folder: Path, row: Row) -> None:
    domain = Spec.read(find_dataset(folder)[0] / "train" / "metadata.textproto").domain
    if domain != {"audio": "series", "timeseries": "series"}.get(row.modality, row.modality):
        raise DataError(f"{folder.name} holds {domain} data but {row.name} is for {row.modality}; leave it out.")


def evaluate(
    plan: Plan, params: Mapping[str, Any], budget_s: float, seed: int, say: Callable[[str], None]
) -> dict[str, float]:
    """ALC by data set; 0, as in the challenge, where nothing was predicted, and then the reason is said.

    Each budget is a run of its own from the start: a prediction at time t is made for the time that is left, so the
    first third of a long run is no short run.

    Raises:
        KeyboardInterrupt: somebody stopped the run.
    """
    reached = {}
    for name, folder in plan.data.items():
        with tempfile.TemporaryDirectory(prefix="autodl-search-") as place:
            scores = run(
                Path(folder),
                Path(place),
                budget_s=budget_s,
                t0_s=plan.t0_s,
                name=plan.row,
                model=plan.model,
                params={**plan.params, **params},
                seed=seed,
                device=plan.device,
                costs=clock.COSTS if plan.clock == "virtual" else None,
            )
        if scores["stopped"] == "user":
            raise KeyboardInterrupt
        if not scores["predictions"]:
            say(f"{name}, {budget_s:g} s, {dict(params)}: {scores['reason']}.")
        reached[name] = scores["alc"]
    return reached
