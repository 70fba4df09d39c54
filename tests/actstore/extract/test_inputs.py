"""Whatever rows sequences are put into, a network gives them the activations that they have alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.recipe import ModelRecipe
from actstore.errors import TokenizerError
from actstore.extract.inputs import packed, padded
from actstore.extract.model import TransformersModel, can_pack, load_model

PROTEINS = ["ACDEFGHIKLMNPQRSTVWY" * 4, "MKV", "GGSTA" * 9, "W", "LLKDE" * 12]
SITES = ["embed", "resid_post.*", "final_norm"]


@pytest.fixture(scope="module")
def model(esm2_tiny: Path) -> TransformersModel:
    return load_model(ModelRecipe(name=str(esm2_tiny)), SITES)


def everything(residues: list[str]) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
    return [np.arange(len(each), dtype=np.int32) for each in residues]


class TestPadded:
    def test_every_sequence_has_a_row(self, model: TransformersModel) -> None:
        inputs = padded(["MK", "ACDEF"], model.tokenizer)
        assert inputs.tokens_RT.shape == (2, 7)
        assert inputs.present_RT.tolist() == [[1, 1, 1, 1, 0, 0, 0], [1] * 7]
        assert inputs.first_B.tolist() == [1, 8]
        assert inputs.tokens_RT[0, 4:].tolist() == [model.tokenizer.pad] * 3


class TestPacked:
    def test_sequences_share_rows_and_every_residue_is_where_it_is_said_to_be(self, model: TransformersModel) -> None:
        inputs = packed(PROTEINS, model.tokenizer, row_tokens=128)
        assert inputs.tokens_RT.shape == (2, 128)
        assert inputs.sequence_RT is not None
        assert inputs.position_RT is not None
        for index, residues in enumerate(PROTEINS):
            here = slice(inputs.first_B[index], inputs.first_B[index] + len(residues))
            assert inputs.tokens_RT.flat[here].tolist() == model.tokenizer.tokens(residues).tolist()
            assert set(inputs.sequence_RT.flat[here]) == {index}
            assert inputs.position_RT.flat[here].tolist() == list(range(1, len(residues) + 1))

    @pytest.mark.parametrize("proteins", [1, 2, 3, 5, 9, 17])
    def test_there_are_few_shapes(self, model: TransformersModel, proteins: int) -> None:
        rows, width = packed(["M" * 90] * proteins, model.tokenizer, row_tokens=100).tokens_RT.shape
        assert width == 100
        assert rows in {1, 2, 4, 8, 16, 32}
        assert proteins <= rows < 2 * proteins

    def test_rows_become_longer_for_a_sequence_that_is(self, model: TransformersModel) -> None:
        assert packed(PROTEINS, model.tokenizer, row_tokens=32).tokens_RT.shape[1] == 96

    @pytest.mark.parametrize("row_tokens", [16, 96, 128, 1024])
    def test_activations_are_those_of_each_sequence_alone(self, model: TransformersModel, row_tokens: int) -> None:
        together = replace(model, pack_tokens=row_tokens).activations(PROTEINS, everything(PROTEINS))
        alone = [model.activations([each], everything([each])) for each in PROTEINS]
        for site, rows in together.items():
            wanted = np.concatenate([each[site] for each in alone])
            assert np.abs(rows - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max()), site

    def test_a_foreign_letter_is_refused(self, model: TransformersModel) -> None:
        with pytest.raises(TokenizerError, match="residue 2 is 'J'"):
            packed(["MKV", "MJV"], model.tokenizer, row_tokens=64)


class TestWhetherAModelCanPack:
    def test_one_that_keeps_sequences_apart_can(self, model: TransformersModel) -> None:
        assert can_pack(model)

    def test_one_that_does_not_cannot(self, model: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
        network = model.network
        original = network.forward

        def forgetful(**inputs: object) -> object:
            return original(**{name: value for name, value in inputs.items() if name != "attention_mask"})

        monkeypatch.setattr(network, "forward", forgetful)
        assert not can_pack(model)

    def test_one_that_refuses_the_mask_cannot(self, model: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
        def strict(**inputs: object) -> None:
            if "inputs_embeds" in inputs:
                raise ValueError("Wrong shape for attention_mask")
            original(**inputs)

        original = model.network.forward
        monkeypatch.setattr(model.network, "forward", strict)
        assert not can_pack(model)
