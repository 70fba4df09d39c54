"""Prices of storage and GPUs: a price list with its date, from TOML or the default."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actstore.errors import UsageError

__all__ = ["DEFAULT_PRICES", "Prices", "StoragePrices", "parse_prices"]

Dollars = Annotated[float, Field(ge=0.0, le=1e9, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True)


class StoragePrices(_Section):
    """Prices of an object store."""

    dollars_per_gb_month: Dollars
    """Price for keeping 10^9 bytes for a month."""

    dollars_per_1000_put: Dollars
    """Price of a thousand requests that write."""

    dollars_per_1000_get: Dollars
    """Price of a thousand requests that read."""

    dollars_per_gb_egress: Dollars
    """Price for reading 10^9 bytes from the place of the trainer; 0 within a region of most clouds."""


class Prices(_Section):
    """A price list."""

    name: str
    """Name of the list, for reports and messages."""

    date: str
    """Date of the prices."""

    storage: StoragePrices
    gpu: dict[str, Dollars]
    """Dollars per hour by name of the GPU."""

    def gpu_hour(self, gpu: str) -> float:
        """Return the price of an hour.

        Raises
        ------
        UsageError
            If the list does not have it.
        """
        if gpu not in self.gpu:
            raise UsageError(
                f"{self.name}: no price for gpu {gpu!r}, only for {', '.join(self.gpu) or 'none'}; "
                f"add a line '{gpu} = ...' (dollars an hour) to [gpu] in a file and name it with --price-file"
            )
        return self.gpu[gpu]


DEFAULT_PRICES: Final = Prices(
    name="AWS us-east-1: S3 Standard, and EC2 on demand by GPU (p4d, p5, p5en, g6, g6e; CPU: c7i.8xlarge); list price, "
    "check yours",
    date="2025-06",
    storage=StoragePrices(
        dollars_per_gb_month=0.023,
        dollars_per_1000_put=0.005,
        dollars_per_1000_get=0.0004,
        dollars_per_gb_egress=0.0,
    ),
    gpu={"A100": 2.74, "H100": 6.88, "H200": 7.91, "L4": 0.80, "L40S": 1.86, "CPU": 1.43},
)
"""Used without a `--price-file`. The trainer is in the same region; egress to the internet costs 0.09 by the list."""


def parse_prices(
    text: str, *, name: str, hint: Callable[[type[BaseModel], Sequence[str | int]], str] = lambda _kind, _place: ""
) -> Prices:
    """Validate a price list.

    Parameters
    ----------
    text
        TOML: `name`, `date`, `[storage]` and `[gpu]` with all their fields.
    name
        Name of the file, for messages.
    hint
        What to add to the message about an unknown key: a function of the document and the place of the key.

    Raises
    ------
    UsageError
        Names every field that is missing, unknown, negative or not a number.

    Examples
    --------
    >>> parse_prices('''
    ... name = "our cluster"
    ... date = "2026-01-15"
    ... [storage]
    ... dollars_per_gb_month = 0.01
    ... dollars_per_1000_put = 0
    ... dollars_per_1000_get = 0
    ... dollars_per_gb_egress = 0
    ... [gpu]
    ... A100 = 1.1
    ... ''', name="prices.toml").gpu_hour("A100")
    1.1
    """
    try:
        return Prices.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not TOML: {error}") from None
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            + (hint(Prices, problem["loc"]) if problem["type"] == "extra_forbidden" else "")
            for problem in error.errors()
        )
        raise UsageError(
            f"{name}: not a price list:\n{problems}\ndocs/how-to/plan-size-and-cost.md has a complete example"
        ) from None
