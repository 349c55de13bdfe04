"""Tables as arrays: dense, sparse and broken cells; the basis of linear models."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features.tabular import fit_basis, tabular_basis, tabular_values


def table(values: np.ndarray) -> MemoryExamples:
    spec = Spec("toy", len(values), 2, 1, 1, values.shape[1], 1)
    return MemoryExamples(spec, [row.astype(np.float32).reshape(1, 1, -1, 1) for row in values])


def test_values_keep_missing_cells_and_tame_infinities() -> None:
    values = tabular_values(table(np.array([[1, np.nan], [np.inf, -np.inf]])))
    assert values.dtype == np.float32
    assert np.isnan(values[0, 1])
    assert np.isfinite(values[1]).all()
    assert values[1, 0] > 1e38 > -1e38 > values[1, 1]


def test_sparse_rows_are_filled_with_zeros() -> None:
    spec = Spec("toy", 2, 2, 1, 1, 5, 1, format="SPARSE")
    pairs = np.array([[4, 7.0], [0, -1.0]], np.float32)[..., None]
    values = tabular_values(MemoryExamples(spec, [pairs, np.zeros((0, 2, 1), np.float32)]))
    np.testing.assert_array_equal(values, [[-1, 0, 0, 0, 7], [0, 0, 0, 0, 0]])


def test_values_of_no_rows() -> None:
    assert tabular_values(table(np.zeros((0, 3)))).shape == (0, 3)


def test_a_number_is_cut_into_ranges_between_quantiles() -> None:
    values = np.linspace(0, 8, 81)[:, None]
    arrays = fit_basis(values, range_count=4)
    basis = tabular_basis(table(np.array([[3.0], [-5.0], [99.0]])), **arrays)
    np.testing.assert_allclose(basis[0], [1, 0.5, 0, 0, 3 / 8], atol=1e-6)  # full, half, not yet; and the whole way
    np.testing.assert_allclose(basis[1], 0)
    np.testing.assert_allclose(basis[2], 1)


def test_a_category_is_one_hot_and_a_new_one_is_none() -> None:
    values = np.tile([0.0, 1.0, 3.0], 5)[:, None]
    basis = tabular_basis(table(np.array([[1.0], [2.0]])), **fit_basis(values, 4))
    np.testing.assert_array_equal(basis[0, :3], [0, 1, 0])
    np.testing.assert_array_equal(basis[1, :3], [0, 0, 0])


def test_missing_cells_have_an_indicator() -> None:
    values = np.array([[0.5], [np.nan], [2.5], [4.5]])
    arrays = fit_basis(values, 2)
    basis = tabular_basis(table(values), **arrays)
    np.testing.assert_array_equal(basis[:, 0], [0, 1, 0, 0])
    assert (basis[1, 1:] == 0.5).all()
    assert np.isfinite(basis).all()


def test_constant_and_empty_columns_are_left_out_and_wide_tables_are_kept_narrow() -> None:
    rng = np.random.default_rng(0)
    values = np.column_stack([np.ones(9), rng.normal(size=9)])
    assert set(fit_basis(values, 3)["columns"]) == {1}
    assert fit_basis(np.ones((9, 1)), 3)["columns"].shape == (0,)
    wide = fit_basis(rng.normal(size=(9, 3000)), 6)
    assert len(wide["columns"]) == 3000
