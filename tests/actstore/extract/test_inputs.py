"""Whatever rows sequences are put into, a network gives them the activations that they have alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.recipe import Dtype, ModelRecipe
from actstore.corpus.batches import plan_packed_batches
from actstore.errors import ModelError, TokenizerError
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
        assert inputs.present_RT.sum() == sum(map(len, PROTEINS)) + 2 * len(PROTEINS)
        assert inputs.sequence_RT is not None
        assert inputs.position_RT is not None
        for index, residues in enumerate(PROTEINS):
            here = slice(inputs.first_B[index], inputs.first_B[index] + len(residues))
            assert inputs.tokens_RT.flat[here].tolist() == model.tokenizer.tokens(residues).tolist()
            assert set(inputs.sequence_RT.flat[here]) == {index}
            assert inputs.position_RT.flat[here].tolist() == list(range(1, len(residues) + 1))

    @given(
        lengths=st.lists(st.integers(1, 300), min_size=1, max_size=40),
        row_tokens=st.sampled_from([64, 128, 256]),
        budget=st.integers(64, 1500),
    )
    def test_batches_as_they_are_planned_stay_within_the_budget(
        self, model: TransformersModel, lengths: list[int], row_tokens: int, budget: int
    ) -> None:
        special = model.tokenizer.special_tokens
        token_lengths = [length + special for length in lengths]
        for batch in plan_packed_batches(token_lengths, row_tokens=row_tokens, tokens_per_batch=budget):
            tokens_RT = packed(["M" * lengths[i] for i in batch], model.tokenizer, row_tokens=row_tokens).tokens_RT
            assert tokens_RT.size <= max(budget, *(token_lengths[i] for i in batch))

    @pytest.mark.parametrize(("residues", "width"), [(10, 64), (58, 64), (59, 96), (94, 96), (120, 122)])
    def test_there_are_few_lengths_of_rows(self, model: TransformersModel, residues: int, width: int) -> None:
        assert packed(["M" * residues, "MK"], model.tokenizer, row_tokens=96).tokens_RT.shape[1] == width

    @pytest.mark.parametrize("row_tokens", [16, 96, 128, 1024])
    def test_activations_are_those_of_each_sequence_alone(self, model: TransformersModel, row_tokens: int) -> None:
        together = replace(model, pack_tokens=row_tokens).activations(PROTEINS, everything(PROTEINS))
        alone = [model.activations([each], everything([each])) for each in PROTEINS]
        for site, rows in together.items():
            wanted = np.concatenate([each[site] for each in alone])
            assert np.abs(rows - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max()), site

    def test_a_sequence_by_itself_has_no_mask(self, model: TransformersModel) -> None:
        inputs = packed(["MKV"], model.tokenizer, row_tokens=64)
        assert inputs.tokens_RT.shape == (1, 5)
        assert inputs.sequence_RT is None

    def test_a_foreign_letter_is_refused(self, model: TransformersModel) -> None:
        with pytest.raises(TokenizerError, match="residue 2 is 'J'"):
            packed(["MKV", "MJV"], model.tokenizer, row_tokens=64)


class TestWhetherAModelCanPack:
    def test_one_that_keeps_sequences_apart_can(self, model: TransformersModel) -> None:
        assert can_pack(model)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    @pytest.mark.parametrize("loud", [1.0, 200.0])
    def test_one_that_does_not_cannot_however_loud_a_channel_is(
        self, dtype: Dtype, loud: float, esm2_tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = load_model(ModelRecipe(name=str(esm2_tiny), dtype=dtype), ["resid_post.*"])
        model.network.get_parameter("embeddings.word_embeddings.weight")[:, 7] *= loud
        assert can_pack(model)
        original = model.network.forward

        def forgetful(**inputs: object) -> object:
            return original(**{name: value for name, value in inputs.items() if name != "attention_mask"})

        monkeypatch.setattr(model.network, "forward", forgetful)
        assert not can_pack(model)

    def test_one_that_refuses_the_mask_cannot(self, model: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
        def strict(**inputs: object) -> None:
            if "inputs_embeds" in inputs:
                raise ValueError("Wrong shape for attention_mask")
            original(**inputs)

        original = model.network.forward
        monkeypatch.setattr(model.network, "forward", strict)
        assert not can_pack(model)

    def test_one_without_memory_is_not_said_to_refuse(
        self, model: TransformersModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(**inputs: object) -> None:
            if "inputs_embeds" in inputs:
                raise torch.OutOfMemoryError
            original(**inputs)

        original = model.network.forward
        monkeypatch.setattr(model.network, "forward", full)
        with pytest.raises(ModelError, match="do not fit into the memory"):
            can_pack(model)
