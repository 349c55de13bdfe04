"""Series from random dynamical systems, and how a network of series is pretrained on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from automl_engine.__main__ import main
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.lab.pretrain.probe import Probe
from automl_engine.lab.pretrain.sources import systems
from automl_engine.lab.pretrain.sources.dynamics import FORMULAS, KINDS, LEVELS, Dynamics
from automl_engine.models.timeseries.backbone import SeriesStages
from tests.engine.toys import write_dataset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dynamics() -> Dynamics:
    return Dynamics(0, CPU)


@pytest.mark.parametrize("length", [16, 128])
def test_series_vary_and_their_shares_add_up(dynamics: Dynamics, length: int) -> None:
    torch.manual_seed(0)
    series, targets = dynamics.draw(200, length)
    assert series.shape == (200, 1, 1, length)
    assert series.dtype == torch.float32
    assert series.isfinite().all()
    assert (series.std(3) > 0.01).all()
    assert abs(series.mean()) < 0.3
    assert targets.keys() == dynamics.classes.keys()
    for name, shares in targets.items():
        assert shares.shape == (200, dynamics.classes[name])
        assert torch.equal(shares.sum(1), torch.ones(200))
    height = targets["height"].argmax(1)
    assert set(height.tolist()) == set(range(LEVELS))
    assert series[height == LEVELS - 1].mean() > 0.5 > -0.5 > series[height == 0].mean()


def test_the_same_seed_brings_the_same_systems_and_drawings(dynamics: Dynamics) -> None:
    torch.manual_seed(5)
    first, _ = dynamics.draw(6, 32)
    torch.manual_seed(5)
    again, _ = Dynamics(0, CPU).draw(6, 32)
    assert torch.equal(first, again)
    runs = [systems.maps(6, torch.Generator().manual_seed(seed), CPU).runs for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[kind.__name__ for kind in KINDS])
def test_no_system_rests_or_runs_away(dynamics: Dynamics, number: int) -> None:
    torch.manual_seed(0)
    at = torch.arange(128.0).expand(FORMULAS, -1)
    pieces = torch.stack([dynamics.kinds[number].play(torch.arange(FORMULAS), at) for _ in range(4)])
    assert pieces.isfinite().all()
    assert (pieces.std(2).amax(0) > 0.01).all()
    assert pieces.abs().max() < 100


def test_flows_obey_their_equations() -> None:
    """The rates of Lorenz's system at a point, and where the oscillator outside stands in them."""
    rates, terms = systems._rates(), systems.MONOMIALS
    x, y, z = 1.0, 2.0, 3.0
    values = {"x": x, "y": y, "z": z, "xz": x * z, "xy": x * y}
    seen = torch.tensor([values.get(term, 0.0) for term in terms])
    torch.testing.assert_close(
        rates[0] @ seen, torch.tensor([10 * (y - x), 28 * x - y - x * z, x * y - 2.667 * z, 0, 0])
    )
    assert rates[3, 1, terms.index("u")] == 0.5


def test_some_noises_are_coloured_and_some_nearly_white() -> None:
    rng = torch.Generator().manual_seed(0)
    noises = systems.noises(64, rng, CPU)
    energy = torch.fft.rfft(noises.runs).abs().square().mean(1)
    peak = energy[:, 1:].amax(1) / energy[:, 1:].median(1).values
    assert (peak > 20).float().mean() > 0.3  # coloured
    assert (peak < 20).float().mean() > 0.05  # nearly white


def test_the_verb_trains_a_network_of_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["pretrain", "--arch", "series_small", "--batch", "8", "--device", "cpu", "--out", str(tmp_path)]
    assert main([*command, "--source", "dynamics", "--hours", str(0.5 / 3600)]) == 0
    card = json.loads((tmp_path / "series_small_dynamics.json").read_text())
    assert card["formula"] == f"dynamics: {FORMULAS * len(KINDS)} systems, {LEVELS} heights, {LEVELS} sizes"
    SeriesStages().load_state_dict(load_file(tmp_path / "series_small_dynamics.safetensors"))
    capsys.readouterr()
    assert main([*command, "--source", "mixed"]) == 2
    assert "go together; but got 'series_small' and 'mixed'" in capsys.readouterr().err


def test_a_probe_of_series(tmp_path: Path) -> None:
    """Waves of two speeds in the second channel, through a backbone that knows nothing yet."""
    rng = np.random.default_rng(0)
    turns = np.arange(40)[:, None] % 2 * 0.4 + 0.3
    waves = np.sin(turns * np.arange(48) + 6 * rng.random((40, 1)))
    rows = np.stack([rng.normal(size=waves.shape), waves], 2).astype(np.float32)
    spec = Spec("waves", 40, 2, 48, 1, 1, 2, label_to_index={"a": 0, "b": 1}, is_sequence=True)
    train = [(row.reshape(48, 1, 1, 2), [i % 2]) for i, row in enumerate(rows)]
    write_dataset(tmp_path / "waves", spec, train, train[:4])
    probe = Probe(tmp_path / "waves", channels=1, series=True)
    assert probe.planes.shape == (80, 1, 1, 48)
    torch.manual_seed(0)
    assert probe.nauc(SeriesStages()) > 0.9
    with pytest.raises(DataError, match="waves is timeseries; this network wants images or sounds"):
        Probe(tmp_path / "waves", channels=3)
