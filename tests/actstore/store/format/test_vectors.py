"""Vectors in JSON are exact."""

import base64
from functools import cached_property

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from actstore.store.format.vectors import Document, Vector32, Vector64


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    narrow: Vector32
    wide: Vector64


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_every_number_survives_exactly(numbers: list[float]) -> None:
    holder = Holder(narrow=np.array(numbers, np.float32), wide=np.array(numbers, np.float64) / 3)
    again = Holder.model_validate_json(holder.model_dump_json())
    assert again.narrow.dtype == np.float32
    assert again.wide.dtype == np.float64
    assert again.narrow.tobytes() == holder.narrow.tobytes()
    assert again.wide.tobytes() == holder.wide.tobytes()


def test_bytes_are_little_endian() -> None:
    holder = Holder(narrow=np.array([1.0], ">f4"), wide=np.array([1.0]))
    assert base64.b64decode(holder.model_dump(mode="json")["narrow"]) == b"\x00\x00\x80\x3f"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("AAAA", "not base64 of <f4 numbers"),
        ("not base64!", "not base64 of <f4 numbers"),
        (base64.b64encode(np.array([1, np.nan], "<f4").tobytes()).decode(), "NaN or Inf"),
        (np.array([1, np.inf], np.float32), "NaN or Inf"),
        ([1.0, 2.0], "expected base64 text"),
        (None, "expected base64 text"),
    ],
)
def test_what_is_no_vector_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Holder.model_validate({"narrow": value, "wide": np.zeros(1)})


class Pair(Document):
    one: Vector32
    other: Vector64

    @cached_property
    def digest(self) -> str:
        return self.model_dump_json()


def test_documents_with_vectors_can_be_compared() -> None:
    pair = Pair(one=np.array([1, 2], np.float32), other=np.array([1.0, 2]))
    assert pair == Pair.model_validate_json(pair.model_dump_json())
    assert len({pair, Pair.model_validate_json(pair.model_dump_json())}) == 1
    assert pair != Pair(one=np.array([1, 2], np.float32), other=np.array([1.0, 3]))
    assert pair != "pair"


def test_a_copy_works_out_its_own_digest() -> None:
    pair = Pair(one=np.array([1], np.float32), other=np.array([1.0]))
    before = pair.digest
    assert pair.model_copy(update={"one": np.array([2], np.float32)}).digest != before
    assert pair.model_copy().digest == before
