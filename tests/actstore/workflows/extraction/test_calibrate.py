from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.hashing import hash_text
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceTable
from actstore.extract.task import ModelRows
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extraction.calibrate import calibrate_sites
from tests.actstore.workflows.stores import read_fasta

RecipeOf = Callable[..., Recipe]


class Texts:
    """A `ResidueSource` in memory that remembers what was asked for."""

    def __init__(self, records: dict[str, str]) -> None:
        self.records = list(records.items())
        self.read: set[str] = set()

    def residues(self, sequence: int) -> str:
        name, residues = self.records[sequence]
        self.read.add(name)
        return residues

    def sequence_id(self, sequence: int) -> str:
        return self.records[sequence][0]

    def table(self) -> SequenceTable:
        hashes = np.array([hash_text(name) for name, _ in self.records], dtype=np.uint64)
        lengths = np.array([len(residues) for _, residues in self.records], dtype=np.int32)
        return SequenceTable(hashes, lengths, np.zeros(len(lengths), dtype=np.int8), ("train",))


@pytest.fixture
def records(synthetic_fasta: Path) -> dict[str, str]:
    return read_fasta(synthetic_fasta)


def test_centre_and_channel_are_mean_and_deviation_of_all_residues(
    records: dict[str, str], recipe_of: RecipeOf
) -> None:
    model = FakeModel(width=8)
    texts = Texts(records)
    recipe = recipe_of(**{"store.calibration_sequences": 1000, "corpus.window_residues": 1000})
    found = calibrate_sites(recipe.calibration_rules, texts.table(), ModelRows(texts, model, 8192), progress=Silent())
    everything = [np.arange(len(residues), dtype=np.int32) for residues in records.values()]
    for site, values_ND in model.activations(list(records.values()), everything).items():
        np.testing.assert_allclose(found[site].center, values_ND.mean(axis=0, dtype=np.float64), atol=1e-5)
        np.testing.assert_allclose(found[site].channel, values_ND.std(axis=0, dtype=np.float64), rtol=1e-5)


def test_the_sample_is_seeded_and_does_not_depend_on_the_order_of_the_file(
    records: dict[str, str], recipe_of: RecipeOf
) -> None:
    model = FakeModel(sites=["embed"], width=4)
    read = {}
    for name, texts, seed in (
        ("file", Texts(records), 0),
        ("reversed", Texts(dict(reversed(records.items()))), 0),
        ("other", Texts(records), 1),
    ):
        recipe = recipe_of(**{"store.calibration_sequences": 10, "seed": seed})
        calibrate_sites(recipe.calibration_rules, texts.table(), ModelRows(texts, model, 8192), progress=Silent())
        read[name] = texts.read
    assert len(read["file"]) == 10
    assert read["file"] == read["reversed"] != read["other"]


def test_a_long_sequence_counts_with_its_first_window(recipe_of: RecipeOf) -> None:
    model = FakeModel(sites=["embed"], width=4)
    recipe = recipe_of(**{"corpus.window_residues": 128})
    whole, changed = (
        calibrate_sites(recipe.calibration_rules, texts.table(), ModelRows(texts, model, 8192), progress=Silent())[
            "embed"
        ].center
        for texts in (Texts({"P1": "ACDEFGHIKL" * 50}), Texts({"P1": ("ACDEFGHIKL" * 50)[:128] + "W" * 900}))
    )
    np.testing.assert_array_equal(whole, changed)
