"""Configurations as rows: what a file of them must hold, and which of them auto climbs."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_engine.errors import DataError
from automl_engine.models import MODELS
from automl_engine.portfolio import MODALITIES, Row, configurations, load


def test_portfolio_rows_name_models_and_say_where_they_come_from(tmp_path: Path) -> None:
    rows = load()
    assert {row.modality for row in rows} == set(MODALITIES)
    for row in rows:
        assert row.model in MODELS
        assert row.origin
    own = tmp_path / "own.yaml"
    own.write_text("- {name: a, modality: image, model: image_linear, enabled: false}\n")
    assert [(row.name, row.enabled, row.params) for row in load(own)] == [("a", False, {})]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1", "must be a list of rows"),
        ("- {name: a}", "must have name, modality, model"),
        ("- {name: a, modality: smell, model: m}", "modality must be one of image"),
        ("- {name: a, modality: image, model: m}\n- {name: a, modality: image, model: m}", "Two portfolio rows"),
        ("- [", "cannot be read"),
    ],
)
def test_a_wrong_portfolio_is_told_in_a_sentence(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        load(path)


def test_auto_without_a_configuration_and_with_one_that_is_off() -> None:
    rows = [Row(name, "image", "toy", "", enabled=name != "off") for name in ("one", "off", "two")]
    names = {name: [row.name for row in configurations(name, rows)] for name in ("auto", "auto-one", "auto+off")}
    with pytest.raises(DataError, match="two is on; use auto"):
        configurations("auto+two", rows)
    assert names == {"auto": ["one", "two"], "auto-one": ["two"], "auto+off": ["one", "off", "two"]}
