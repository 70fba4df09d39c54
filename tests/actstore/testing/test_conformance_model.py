"""The suite finds the mistakes it is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
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
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, FakeModel) else "",
)
def test_a_broken_model_fails(model: ActivationModel, check: Callable[[ActivationModel], None]) -> None:
    with pytest.raises(AssertionError):
        check(model)
