from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.errors import SourceError
from actstore.intake.tensors import Tensor, concatenated, part_of_tensors, site_name


@dataclass(frozen=True)
class InMemory:
    """A tensor of the tests."""

    values: NDArray[np.generic]

    @property
    def full_shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def shape(self) -> tuple[int, int]:
        return int(np.prod(self.values.shape[:-1])), self.values.shape[-1]

    @property
    def is_float(self) -> bool:
        return self.values.dtype.kind == "f"

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.values.reshape(self.shape)[start:stop].astype(np.float32)

    def read_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        return self.values.reshape(-1)[start:stop].astype(np.int64)


def floats(*shape: int) -> Tensor:
    return InMemory(np.ones(shape, dtype=np.float32))


def whole(*shape: int) -> Tensor:
    return InMemory(np.arange(np.prod(shape)).reshape(shape))


def test_the_same_rows_are_sites_and_others_are_sequences() -> None:
    sites, said = part_of_tensors("a", {"x": floats(5, 4), "y": floats(5, 3)}, keys="auto")
    assert (sites.widths, sites.boundaries, said) == ({"x": 4, "y": 3}, None, "the names of tensors are sites (x, y)")
    ids, said = part_of_tensors("a", {"x": floats(5, 4), "y": floats(6, 4)}, keys="auto")
    assert ids.boundaries is not None
    assert (ids.boundaries.ids, ids.rows, said) == (["x", "y"], 11, "the names of tensors are ids of sequences")


def test_tokens_are_those_of_every_row() -> None:
    part, _ = part_of_tensors("a", {"x": floats(2, 5, 4), "tokens": whole(2, 5)}, keys="auto")
    assert part.tokens is not None
    assert part.tokens(3, 7).tolist() == [3, 4, 5, 6]
    part, _ = part_of_tensors("a", {"x": floats(2, 5, 4), "tokens": whole(2, 4)}, keys="auto")
    assert part.tokens is None


@pytest.mark.parametrize(
    ("tensors", "keys", "message"),
    [
        ({"x": floats(5, 4), "y": floats(6, 4)}, "sites", "cannot be sites of the same rows"),
        ({"x": floats(5, 4), "y": floats(5, 3)}, "ids", r"y has shape \(5, 3\), and a sequence here has \[L, 4\]"),
        ({"x": floats(2, 5, 4)}, "ids", r"x has shape \(2, 5, 4\)"),
        ({"a b": floats(5, 4), "a/b": floats(5, 4)}, "auto", "two tensors have the same name for a site: a_b"),
        ({"x": whole(5, 4)}, "auto", r"no activations of shape .* here: x \(5, 4\)"),
        ({"x": floats(2, 3, 5, 4)}, "auto", "no activations"),
    ],
)
def test_shapes_that_do_not_fit(tensors: dict[str, Tensor], keys: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        part_of_tensors("a", tensors, keys=keys)  # type: ignore[arg-type]


def test_a_site_has_a_name_that_a_folder_can_have() -> None:
    assert [site_name(text) for text in ("../../etc", "a\0b", "", "..", "layer 3")] == [
        "_.._etc",
        "a_b",
        "activations",
        "activations",
        "layer_3",
    ]


def test_sequences_by_the_names_of_their_tensors() -> None:
    part = concatenated("a", {"P1": floats(5, 4), "P2": floats(2, 4)})
    np.testing.assert_array_equal(part.arrays["activations"].read(4, 7), np.ones((3, 4)))
