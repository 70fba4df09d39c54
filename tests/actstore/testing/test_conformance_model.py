"""The suite finds the mistakes it is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actstore.contracts.models import ActivationModel
from actstore.contracts.planes import Float32s
from actstore.testing import conformance_model as suite
from actstore.testing.fake_model import FakeModel

Kept = Sequence[NDArray[np.int32]]


class SeesPadding(FakeModel):
    """Forgets the attention mask: rows depend on the longest sequence of the batch."""

    def activations(self, residues: Sequence[str], kept: Kept) -> Mapping[str, Float32s]:
        longest = max(map(len, residues), default=0)
        return {site: values + np.float32(longest) for site, values in super().activations(residues, kept).items()}


class OffByOne(FakeModel):
    """Forgets that a special token comes first."""

    def activations(self, residues: Sequence[str], kept: Kept) -> Mapping[str, Float32s]:
        return super().activations(residues, [np.maximum(each - 1, 0) for each in kept])


class SortsByLength(FakeModel):
    """Batches by length and forgets to undo it."""

    def activations(self, residues: Sequence[str], kept: Kept) -> Mapping[str, Float32s]:
        order = sorted(range(len(residues)), key=lambda index: len(residues[index]))
        return super().activations([residues[index] for index in order], [kept[index] for index in order])


class HalfPrecision(FakeModel):
    """Hands out what the network computes in."""

    def activations(self, residues: Sequence[str], kept: Kept) -> Mapping[str, Float32s]:
        rows = super().activations(residues, kept)
        return {site: values.astype(np.float16) for site, values in rows.items()}


class TakesAnything(FakeModel):
    """Reads foreign letters as alanine."""

    def activations(self, residues: Sequence[str], kept: Kept) -> Mapping[str, Float32s]:
        known = self.tokenizer.alphabet
        return super().activations(["".join(x if x in known else "A" for x in each) for each in residues], kept)


class NoTokens(FakeModel):
    """Says that its forward passes are of no tokens."""

    @property
    def pack_tokens(self) -> int:  # type: ignore[override]
        return 0


class TensorRows:
    """The device is that of the test; rows are put where they are told to, and one farther on."""

    def __init__(self, model: FakeModel) -> None:
        self.model = model

    def allocate(self, rows: int) -> dict[str, torch.Tensor]:
        return {site.name: torch.empty((rows, site.width)) for site in self.model.sites}

    def fill(
        self, residues: Sequence[str], kept: Kept, into: Mapping[str, torch.Tensor], place_n: NDArray[np.int64]
    ) -> None:
        for site, values in self.model.activations(residues, kept).items():
            into[site][place_n + 1] = torch.from_numpy(values)


class Misplaces(FakeModel):
    """Puts rows of a device into the places of others."""

    @property
    def device_rows(self) -> TensorRows:  # type: ignore[override]
        return TensorRows(self)


class UnsafeNames(FakeModel):
    def __init__(self) -> None:
        super().__init__(sites=["../embed"])


@pytest.mark.parametrize(
    ("model", "check"),
    [
        (SeesPadding(), suite.check_batch_independence),
        (OffByOne(), suite.check_rows_differ),
        (SortsByLength(), suite.check_batch_independence),
        (HalfPrecision(), suite.check_shapes),
        (TakesAnything(), suite.check_foreign_letters_are_refused),
        (UnsafeNames(), suite.check_facts),
        (NoTokens(), suite.check_passes),
        (Misplaces(), suite.check_device_rows),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, FakeModel) else "",
)
def test_a_broken_model_fails(model: ActivationModel, check: Callable[[ActivationModel], None]) -> None:
    with pytest.raises(AssertionError):
        check(model)
