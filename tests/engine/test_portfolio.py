"""Configurations as rows: what a file of them must hold, and which of them auto climbs."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

import pytest

from automl_engine.__main__ import main
from automl_engine.errors import DataError
from automl_engine.features import feature
from automl_engine.models import MODELS, configuration, model_class
from automl_engine.models.base import AnytimeModel
from automl_engine.models.configuration import PARAMETERS, RUN, can_join, missing
from automl_engine.portfolio import MODALITIES, Row, configurations, load
from tests.engine.toys import write_table


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
        (
            "- {name: a, modality: image, model: constant}\n- {name: a, modality: image, model: constant}",
            "Two portfolio rows",
        ),
        ("- [", "cannot be read"),
        ("- {name: a, modality: image, model: image_lin}", "a of rows.yaml: The model must be one of audio_linear, "),
        (
            "- {name: a, modality: audio, model: audio_linear, params: {segment: 4, l2: 1}}",
            "does not know the parameter segment; use head, l2, segments",
        ),
        (
            "- {name: a, modality: image, model: image_patches, space: {rows: [1, 2], filter: [8, 9]}}",
            "does not know the parameters filter, rows; use filters, patch, side, stride",
        ),
        ("- {name: a, modality: image, model: constant, params: {size: 4}}", "the parameter size; it has none"),
        (
            "- {name: a, modality: image, model: image_resnet, params: {width: abc}}",
            "width of the model image_resnet must be a whole number of at least 1; but got 'abc'",
        ),
        ("- {name: a, modality: image, model: image_resnet, params: {dropout: .nan}}", "a number of at least 0"),
        ("- {name: a, modality: image, model: image_resnet, params: {lr: 1" + "0" * 400 + "}}", "a number of at least"),
        ("- {name: a, modality: image, model: image_resnet, params: {batch: 0}}", "a whole number of at least 1"),
        ("- {name: a, modality: image, model: image_linear, params: {head: rigde}}", "must be one of ridge, logistic;"),
        ("- {name: a, modality: text, model: text_linear, params: {head: ridge}}", "one of logistic, nb_logistic, "),
        ("- {name: a, modality: image, model: image_pretrained, params: {sides: 64}}", "a list of numbers above 0"),
        ("- {name: a, modality: image, model: image_pretrained, params: {enlarge: 1}}", "true or false"),
        ("- {name: a, modality: image, model: image_pretrained, params: {network: 5}}", "must be a name"),
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


def files_of(name: str) -> set[str]:
    """The modules in which a model stands, the classes that it builds on, and models that it drives."""
    modules = {kind.__module__ for kind in model_class(name).__mro__ if ".models." in kind.__module__}
    seen = [value for module in modules for value in vars(sys.modules[module]).values()]
    return modules | {kind.__module__ for kind in seen if isinstance(kind, type) and issubclass(kind, AnytimeModel)}


def read_params(module: str) -> set[str]:
    """The names in ``params.get("name")`` and ``params["name"]``."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("params.get"):
            found.add(node.args[0])
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).removeprefix("self.") == "params":
            found.add(node.slice)
    return {str(node.value) for node in found if isinstance(node, ast.Constant)}


def test_the_known_parameters_are_those_that_the_models_read() -> None:
    assert set(PARAMETERS) == set(MODELS) - {"auto"}
    readers: dict[str, set[str]] = {}
    for name, known in PARAMETERS.items():
        kind = model_class(name)
        read = set().union(*map(read_params, files_of(name)))
        if takes := getattr(kind, "feature", None):
            read |= set(inspect.signature(feature(takes)).parameters)
        read |= set(getattr(kind, "own_settings", ()))
        assert known <= read, f"{name} never reads {known - read}"
        for module in files_of(name):
            readers.setdefault(module, set()).update(known)
    internal = RUN | {"data_dir", "length"}  # set by the run, or by the model itself
    for module, known in readers.items():
        assert read_params(module) <= known | internal, module


def test_a_configuration_that_lacks_its_weights_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    rows = {row.name: row for row in load()}
    large = rows["image_mobilenet"]
    assert missing(large.model, large.params) == "the weights of mobilenet_v2"
    vectors = rows["text_cnn_vectors"]
    assert missing(vectors.model, vectors.params) == "the word vectors words.vec in the folder AUTODL_WEIGHTS_DIR"
    (tmp_path / "mobilenet_v2-7ebf99e0.pth").touch()
    assert missing(large.model, large.params) == ""
    assert not can_join("challenge", {"path": "/x"})
    monkeypatch.setenv("AUTODL_PRETRAINED", "own")
    assert missing(large.model, large.params) == "the weights of mobilenet_v2, but AUTODL_PRETRAINED is own"


def test_a_baseline_that_lacks_its_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert missing("tabular_catboost", {}) == ""
    monkeypatch.setattr(configuration, "find_spec", lambda name: None)
    assert missing("tabular_catboost", {}) == (
        "the package catboost: python -m pip install -r requirements-baselines.txt"
    )
    assert not can_join("tabular_catboost", {})
    folder = write_table(tmp_path / "data")
    assert main(["run", str(folder), "--out", str(tmp_path / "run"), "--model", "tabular_catboost"]) == 2
    assert capsys.readouterr().err == (
        "tabular_catboost needs the package catboost: python -m pip install -r requirements-baselines.txt\n"
    )
    assert not (tmp_path / "run" / "run.json").exists()
