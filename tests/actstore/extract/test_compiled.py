from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError, SiteError
from actstore.extract.compiled import compile_blocks, compiling
from actstore.extract.model import load_model

SEQUENCES = ("MKTAYIAKQRQISFVKSHFSRQ", "MKV", "ACDEFGHIKLMNPQRSTVWY" * 3)
SITES = ["embed", "resid_post.*", "final_norm"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_blocks_give_the_same_rows(esm2_tiny: Path) -> None:
    plain = load_model(ModelRecipe(name=str(esm2_tiny)), SITES)
    compiled = load_model(ModelRecipe(name=str(esm2_tiny), compile=True), SITES)
    for chosen in (SEQUENCES, SEQUENCES[:1]):
        kept = [np.arange(len(each), dtype=np.int32) for each in chosen]
        wanted, got = (model.activations(chosen, kept) for model in (plain, compiled))
        assert list(got) == list(wanted)
        for site, rows in wanted.items():
            np.testing.assert_allclose(got[site], rows, rtol=1e-4, atol=1e-4, err_msg=site)


def test_a_site_inside_a_block_is_refused(esm2_tiny: Path) -> None:
    with pytest.raises(SiteError, match=r"encoder\.layer\.2\.output is inside a block.*model\.compile"):
        load_model(ModelRecipe(name=str(esm2_tiny), compile=True), ["resid_post.1", "encoder.layer.2.output"])


def test_blocks_that_nobody_knows_are_asked_for() -> None:
    with pytest.raises(ModelError, match=r"'model\.blocks'"):
        compile_blocks(torch.nn.Sequential(), None, ())


def test_a_failure_names_the_model_and_what_is_missing() -> None:
    def unknown(graph: object, inputs: object) -> object:
        raise RuntimeError("no compiler here")

    with (
        pytest.raises(ModelError, match=r"my-model: torch\.compile failed .*C\+\+ compiler.*'model\.compile'"),
        compiling("my-model"),
    ):
        torch.compile(torch.sin, backend=unknown)(torch.ones(2))
