"""Each row is transformed by itself, and its statistics undo that."""

import numpy as np
import pytest
import torch

from trainers.fit.rows.transform import prepare_rows, row_statistics, transform_of

VALUES_BSD = 3 * torch.randn(20, 2, 16, generator=torch.Generator().manual_seed(0)) + 5


def test_no_transform_takes_nothing_from_a_row() -> None:
    assert row_statistics(VALUES_BSD, "none") is None


def test_a_row_of_zeros_stays_zero() -> None:
    statistics = row_statistics(torch.zeros(2, 1, 3), "row-sqrt-d")
    assert statistics is not None
    assert bool(torch.isfinite(torch.zeros(2, 1, 3) / statistics.scale_BS1).all())


def test_row_zscore_is_the_row_less_its_mean_over_its_unbiased_deviation() -> None:
    rows = prepare_rows(VALUES_BSD, scale_S=torch.ones(2), transform="row-zscore")
    values = VALUES_BSD.numpy()
    naive = (values - values.mean(axis=2, keepdims=True)) / (values.std(axis=2, ddof=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(rows.inputs_BSD.numpy(), naive, rtol=1e-4, atol=1e-5)


def test_row_norm_gives_every_row_the_norm_of_the_root_of_its_features() -> None:
    rows = prepare_rows(VALUES_BSD, scale_S=torch.ones(2), transform=transform_of("row-norm"))
    torch.testing.assert_close(rows.inputs_BSD.norm(dim=2), torch.full((20, 2), 4.0))


@pytest.mark.parametrize("normalisation", ["unit", "none", "row-zscore", "row-norm"])
def test_a_perfect_reconstruction_of_the_inputs_is_undone_to_the_scaled_rows(normalisation: str) -> None:
    scale_S = torch.tensor([0.5, 2.0])
    rows = prepare_rows(VALUES_BSD, scale_S=scale_S, transform=transform_of(normalisation))
    torch.testing.assert_close(rows.scaled_BSD, VALUES_BSD * scale_S[:, None])
    torch.testing.assert_close(rows.undo(rows.inputs_BSD, lambda values_BSD: values_BSD), rows.scaled_BSD)


def test_only_the_written_sites_are_undone() -> None:
    rows = prepare_rows(VALUES_BSD, scale_S=torch.ones(2), transform="row-zscore")
    torch.testing.assert_close(
        rows.undo(rows.inputs_BSD[:, 1:], lambda values_BSD: values_BSD[:, 1:]), VALUES_BSD[:, 1:]
    )
