"""Accelerators and a CPU by name, and the share of their datasheet rates to expect.

Rates are those of the makers' datasheets, dense (without structured sparsity).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["GPUS", "UTILISATION", "Gpu"]

UTILISATION: Final = 150 / 312
"""Share of the datasheet that large matrix products are assumed to reach: 150 TFLOP/s on an A100.

The forward pass of a language model reaches less with short sequences or eager attention. So this share makes running
the model online, the alternative to a store, look cheaper than it is. A measured rate replaces it.
"""


class Gpu(NamedTuple):
    """One accelerator, or a CPU."""

    bfloat16_tflops: float
    """Tensor cores, bfloat16 or float16 with float32 sums, dense."""
    float32_tflops: float
    """float32 without TF32, which is PyTorch's default."""

    def tflops(self, dtype: str) -> float:
        """Return the datasheet rate of a number format.

        Examples
        --------
        >>> GPUS["A100"].tflops("bfloat16"), GPUS["A100"].tflops("float32")
        (312.0, 19.5)
        """
        return self.float32_tflops if dtype == "float32" else self.bfloat16_tflops


GPUS: Final[Mapping[str, Gpu]] = MappingProxyType(
    {
        "A100": Gpu(312.0, 19.5),
        "H100": Gpu(989.0, 67.0),
        "H200": Gpu(989.0, 67.0),
        "L4": Gpu(121.0, 30.3),
        "L40S": Gpu(362.0, 91.6),
        "CPU": Gpu(3.1, 3.1),
    }
)
"""NVIDIA's datasheets: A100 (2021), H100 and H200 SXM (2023, 2024), L4 and L40S (2023). CPU: 16 cores with AVX-512,
each with two multiply-add units of 16 floats, at 3 GHz; bfloat16 is no faster there (matrix units are not counted)."""
