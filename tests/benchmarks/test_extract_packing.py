from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.contracts.recipe import ModelRecipe
from actstore.extract.model import TransformersModel, load_model
from benchmarks.extract_packing import pack, run_packed

PROTEINS = ["ACDEFGHIKLMNPQRSTVWY" * 4, "MKV", "GGSTA" * 9, "W", "LLKDE" * 12]


@pytest.fixture(scope="module")
def model(esm2_tiny: Path) -> TransformersModel:
    return load_model(ModelRecipe(name=str(esm2_tiny)), ["final_norm"])


def test_proteins_in_one_row_have_the_activations_that_they_have_alone(model: TransformersModel) -> None:
    rows = pack(PROTEINS, model.tokenizer, row_tokens=128)
    assert len(rows.tokens) < len(PROTEINS)
    states = run_packed(model.network, rows)
    for index, residues in enumerate(PROTEINS):
        alone = model.activations([residues], [np.arange(len(residues), dtype=np.int32)])["final_norm"]
        first = rows.start_B[index] + len(model.tokenizer.prefix)
        packed = states[rows.row_B[index], first : first + len(residues)]
        np.testing.assert_allclose(packed.numpy(), alone, atol=1e-5)


def test_no_row_is_longer_than_asked_for_but_for_a_protein_that_is(model: TransformersModel) -> None:
    assert pack(PROTEINS, model.tokenizer, row_tokens=100).tokens.shape[1] <= 100
    assert pack(PROTEINS, model.tokenizer, row_tokens=10).tokens.shape == (3, 82)
    assert torch.equal(pack(["MKV"], model.tokenizer, row_tokens=8).present, torch.ones(1, 5, dtype=torch.int64))
