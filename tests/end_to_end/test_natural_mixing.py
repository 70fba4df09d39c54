"""Batches of natural proteins are as well mixed as a uniform shuffle, from a buffer of a twentieth of the store."""

from pathlib import Path

import pytest

from actstore import open_stream
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.stream.mixing import MixingReport
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NUMBERS_BYTES = 24
"""What the stream keeps for each row of a fill beside its values: sequence, row and place."""


@pytest.fixture(scope="module")
def store(natural_fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fifth of the residues of all natural proteins; proteins have from one row to thousands."""
    folder = tmp_path_factory.mktemp("mixing") / "store"
    recipe = Recipe.model_validate(
        {
            "model": {"name": "fake"},
            "corpus": {"sequences": [str(natural_fasta)], "on_bad_record": "skip"},
            "rows": {"fraction": 0.2},
            "store": {"encoding": "float16", "task_rows": 4096, "chunk_rows": 64},
        }
    )
    extract_with(FakeModel(), LocalObjects(folder), recipe)
    return folder


def mixing(store: Path, *, batch_rows: int, share: float = 0.05, order: str = "windows") -> MixingReport:
    """Stream an epoch from a buffer of a share of the store."""
    with open_stream(store, split="train", batch_rows=1) as stream:
        store_bytes = stream.rows * (len(stream.sites) * stream.width * 2 + NUMBERS_BYTES)
    with open_stream(
        store,
        batch_rows=batch_rows,
        buffer_bytes=int(share * store_bytes),
        order=order,  # type: ignore[arg-type]
    ) as stream:
        for _batch in stream:
            pass
        report = stream.report().mixing
    assert report is not None
    return report


@pytest.mark.parametrize("batch_rows", [512, 1024, 2048])
def test_windows_of_a_twentieth_of_the_store_are_as_good_as_uniform(store: Path, batch_rows: int) -> None:
    report = mixing(store, batch_rows=batch_rows)
    assert report.distinct_ratio >= 0.95
    assert abs(report.serial_correlation) < 0.05
    # A row meets its neighbours in the store, which a fill holds, more often than by chance. They are no neighbours
    # in a protein: rows were permuted when they were written.
    assert report.neighbours < 0.5


def test_the_order_uniform_cannot_be_told_from_uniform(store: Path) -> None:
    report = mixing(store, batch_rows=1024, order="uniform")
    assert report.distinct_ratio == pytest.approx(1.0, abs=0.01)
    assert report.neighbours == pytest.approx(report.neighbours_uniform, rel=0.2)
    assert abs(report.serial_correlation) < 0.02


def test_a_buffer_that_is_too_small_shows(store: Path) -> None:
    small, large = (mixing(store, batch_rows=1024, share=share) for share in (0.012, 0.1))
    assert small.distinct_ratio < 0.95
    assert large.distinct_ratio > 0.98
    assert small.neighbours > 5 * large.neighbours
