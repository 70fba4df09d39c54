from typing import Any

import pytest

from actstore.budget.assumptions import Assumptions
from actstore.errors import UsageError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trainer": "transcoder"}, r"--trainer transcoder: unknown; choose from crosscoder, "),
        ({"gpu": "TPU"}, r"--gpu TPU: not in the table \(A100, .*--measured-rate"),
        ({"latents": 0}, "--latents must be 1 to 268,435,456, not 0"),
        ({"expansion": -1}, "--expansion must be"),
        ({"batch_rows": 0}, "--batch-rows must be"),
        ({"chunks_per_get": 0}, "--chunks-per-get must be"),
        ({"measured_rate": 0.0}, "--measured-rate must be"),
        ({"measured_rate": float("nan")}, "--measured-rate must be"),
        ({"measured_rate": float("inf")}, "--measured-rate must be"),
        ({"utilisation": 0.0}, "--utilisation is a share"),
        ({"utilisation": 48.0}, "--utilisation is a share"),
        ({"utilisation": float("nan")}, "--utilisation is a share"),
        ({"utilisation": 1e-300}, "--utilisation is a share"),
        ({"latents": 10**400}, "--latents must be 1 to 268,435,456, not 1000"),
        ({"measured_rate": 1e-300}, "--measured-rate must be"),
        ({"months": -1.0}, "--months must be 0 to 12,000"),
        ({"months": 1e308}, "--months must be 0 to 12,000"),
        ({"months": float("nan")}, "--months must be 0 to 12,000, not nan"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_option(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Assumptions(**fields)


def test_float32_is_planned_at_its_own_rate() -> None:
    assume = Assumptions(utilisation=0.5)
    assert assume.flops_per_s("float16") == assume.flops_per_s("bfloat16") == 156e12
    assert assume.flops_per_s("float32") == 9.75e12
