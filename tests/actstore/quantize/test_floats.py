"""float16 and bfloat16 agree with everybody else's casts, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from actstore.contracts.planes import Planes
from actstore.quantize.floats import BFloat16, Float16

Float32s = NDArray[np.float32]

finite = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 5), st.integers(1, 7)), elements=st.floats(width=32, allow_nan=False)
)


def every_float16() -> Float32s:
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    return values[np.isfinite(values)].astype(np.float32)[None, :]


def every_bfloat16() -> Float32s:
    values = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    return values[np.isfinite(values)][None, :]


def between(exact: Float32s) -> Float32s:
    """Everything that is representable, the midpoints between neighbours, and a hair to either side of those."""
    ordered = np.unique(exact).astype(np.float64)
    middle = ((ordered[1:] + ordered[:-1]) / 2).astype(np.float32)
    hair = [np.nextafter(middle, np.float32(side)) for side in (-np.inf, np.inf)]
    return np.concatenate([np.unique(exact), middle, *hair])[None, :]


def torch_bits(values_ND: Float32s, dtype: torch.dtype) -> NDArray[np.uint16]:
    bits: NDArray[np.int16] = torch.from_numpy(values_ND).to(dtype).view(torch.int16).numpy()
    return bits.view(np.uint16)


def test_every_float16_survives_exactly() -> None:
    values = every_float16()
    planes = Float16().encode(values)
    assert planes.scale_NG is None
    assert Float16().decode(planes).tobytes() == values.tobytes()


@pytest.mark.parametrize("flush_subnormals", [False, True])
@pytest.mark.parametrize("chosen", ["finite", "all"])
def test_every_float16_is_decoded_as_numpy_does(chosen: str, flush_subnormals: bool) -> None:
    stored_ND = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    if chosen == "finite":
        stored_ND = np.where(np.isfinite(stored_ND), stored_ND, np.float16(0))
    wanted_ND = stored_ND.astype(np.float32)
    torch.set_flush_denormal(flush_subnormals)
    try:
        found_ND = Float16().decode(Planes(stored_ND, None))
    finally:
        torch.set_flush_denormal(False)
    np.testing.assert_array_equal(found_ND.view(np.uint32), wanted_ND.view(np.uint32))


def test_every_bfloat16_survives_exactly() -> None:
    values = every_bfloat16()
    planes = BFloat16().encode(values)
    assert planes.scale_NG is None
    assert BFloat16().decode(planes).tobytes() == values.tobytes()


def test_float16_rounds_like_numpy_and_torch_at_every_border() -> None:
    values = between(every_float16())
    encoded = Float16().encode(values).values_ND
    assert encoded.dtype == np.dtype("<f2")
    assert encoded.tobytes() == values.astype(np.float16).tobytes()
    assert encoded.view(np.uint16).tobytes() == torch_bits(values, torch.float16).tobytes()


def test_bfloat16_rounds_like_torch_at_every_border() -> None:
    values = between(every_bfloat16())
    encoded = BFloat16().encode(values).values_ND
    assert encoded.dtype == np.dtype("<u2")
    assert encoded.tobytes() == torch_bits(values, torch.bfloat16).tobytes()


@given(finite)
def test_both_agree_with_torch_within_their_range(values_ND: Float32s) -> None:
    half = np.clip(values_ND, -65504, 65504)
    assert Float16().encode(values_ND).values_ND.view(np.uint16).tolist() == torch_bits(half, torch.float16).tolist()
    limit = np.float32(BFloat16().largest)
    brain = np.clip(values_ND, -limit, limit)
    assert BFloat16().encode(values_ND).values_ND.tolist() == torch_bits(brain, torch.bfloat16).tolist()


@given(finite)
def test_errors_are_within_half_a_unit_in_the_last_place(values_ND: Float32s) -> None:
    for quantizer, digits, smallest in ((Float16(), 11, 2.0**-25), (BFloat16(), 8, 2.0**-134)):
        inside = np.clip(values_ND, -quantizer.largest, quantizer.largest).astype(np.float64)
        error = np.abs(quantizer.decode(quantizer.encode(values_ND)).astype(np.float64) - inside)
        assert (error <= np.maximum(np.abs(inside) * 2.0**-digits, smallest)).all()


def test_ties_go_to_the_even_neighbour() -> None:
    halves = np.array([[2048 + 1, 2048 + 3, -(2048 + 1)]], dtype=np.float32)
    assert Float16().decode(Float16().encode(halves)).tolist() == [[2048, 2052, -2048]]
    brains = np.array([[256 + 1, 256 + 3, -(256 + 1)]], dtype=np.float32)
    assert BFloat16().decode(BFloat16().encode(brains)).tolist() == [[256, 260, -256]]


@pytest.mark.parametrize("quantizer", [Float16(), BFloat16()], ids=lambda quantizer: quantizer.name)
def test_values_beyond_the_range_are_clamped_never_infinite(quantizer: Float16 | BFloat16) -> None:
    beyond = np.array([[np.inf, -np.inf, 3.4e38, -3.4e38, quantizer.largest, -quantizer.largest]], dtype=np.float32)
    decoded = quantizer.decode(quantizer.encode(beyond))
    assert decoded.tolist() == [[quantizer.largest, -quantizer.largest] * 3]


@pytest.mark.parametrize("quantizer", [Float16(), BFloat16()], ids=lambda quantizer: quantizer.name)
def test_nan_stays_nan(quantizer: Float16 | BFloat16) -> None:
    odd = np.array([0x7FC00000, 0xFFC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], dtype=np.uint32).view(np.float32)
    assert np.isnan(quantizer.decode(quantizer.encode(odd[None, :]))).all()


@pytest.mark.parametrize("quantizer", [Float16(), BFloat16()], ids=lambda quantizer: quantizer.name)
def test_decoding_takes_any_shape_and_memory_order(quantizer: Float16 | BFloat16) -> None:
    values = np.linspace(-3, 3, 24, dtype=np.float32)
    planes = quantizer.encode(values.reshape(4, 6))
    flat = quantizer.decode(planes)
    stacked = type(planes)(planes.values_ND.reshape(2, 2, 6).swapaxes(0, 1), None)
    assert quantizer.decode(stacked).tolist() == flat.reshape(2, 2, 6).swapaxes(0, 1).tolist()


@pytest.mark.parametrize("quantizer", [Float16(), BFloat16()], ids=lambda quantizer: quantizer.name)
def test_encoding_leaves_its_input_alone(quantizer: Float16 | BFloat16) -> None:
    values = np.array([[1e30, -1e30, 0.1]], dtype=np.float32)
    before = values.copy()
    quantizer.encode(values)
    assert values.tolist() == before.tolist()
