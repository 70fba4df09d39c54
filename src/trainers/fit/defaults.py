"""Numbers of a run that follow from its sizes, if they are not given."""

from __future__ import annotations

import math
from typing import Final

__all__ = [
    "DEFAULT_K",
    "MAX_WARMUP_STEPS",
    "MOST_ENCODER_RATE",
    "default_dead_after_rows",
    "default_encoder_rate",
    "default_lr",
]

MOST_DEAD_AFTER_ROWS: Final = 10_000_000  # Gao et al. 2024, section 2.4: no activation for 10 M tokens
DEAD_AFTER_FIRINGS: Final = 320  # docs/decisions/0023-objective-and-defaults.md
LEAST_DEAD_AFTER_BATCHES: Final = 10
"""So that a latent is not called dead, and taught as one, because it is rare."""
MAX_WARMUP_STEPS: Final = 1_000
MOST_ENCODER_RATE: Final = 1 / 4  # docs/decisions/0023-objective-and-defaults.md
LEAST_ENCODER_RATE: Final = 1 / 16
SHORT_STEPS: Final = 1_000
"""Steps up to which the encoder has its highest rate."""
DEFAULT_K: Final = 32


def default_lr(latents: int) -> float:
    """Return ``5e-3 * sqrt(1024 / F)``.

    The inverse square root of the dictionary size is the scaling of Gao et al. 2024 (section A.3); the factor is
    measured in docs/decisions/0023-objective-and-defaults.md.

    Examples
    --------
    >>> default_lr(4096)
    0.0025
    """
    return 5e-3 * math.sqrt(1024 / latents)


def default_encoder_rate(steps: int) -> float:
    """Return the rate of the encoder beside that of the decoder, from 1/4 in 1,000 steps to 1/16 in 16,000 and more.

    Between them it falls with the square root of the steps. Steps of the encoder change which latents fire, and the
    more of them there are, the more latents they leave dead.

    Examples
    --------
    >>> default_encoder_rate(1_000), default_encoder_rate(100_000)
    (0.25, 0.0625)
    """
    return min(MOST_ENCODER_RATE, max(LEAST_ENCODER_RATE, MOST_ENCODER_RATE * math.sqrt(SHORT_STEPS / steps)))


def default_dead_after_rows(latents: int, kept: int, *, batch_rows: int) -> int:
    """Return ``320 F / K``, at least 10 batches and at most 10 M rows.

    In so many rows a latent fires 320 times if all are used alike.

    Examples
    --------
    >>> default_dead_after_rows(8192, 32, batch_rows=2048)
    81920
    """
    wanted = math.ceil(DEAD_AFTER_FIRINGS * latents / kept)
    return min(MOST_DEAD_AFTER_ROWS, max(LEAST_DEAD_AFTER_BATCHES * batch_rows, wanted))
