"""What the workflows report, as they appear in `--json` and `result.json`."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["StreamingResult", "TrainingResult"]


class StreamingResult(NamedTuple):
    """What streaming without training reports."""

    dictionary: str
    """`none`."""
    sites: tuple[str, ...]
    split: str
    batch_rows: int
    batches: int
    rows: int
    seconds: float
    rows_per_s: float
    megabytes_per_s: float
    """Encoded bytes, in units of 10^6."""
    wait_share: float
    """Share of the time in which the stream waited for bytes."""
    order: str
    path: str
    """How the stream held its rows: where they lie (`mapped`), in buffers it read (`buffered`), on a `device`."""
    mixing: dict[str, float] | None
    """How well batches were mixed, beside what a uniform shuffle gives; None without a full batch."""
    live: dict[str, Any] | None = None
    """What the model computed, and whether the store is complete now; None if all rows were to be read."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict()


class TrainingResult(NamedTuple):
    """What a finished training run reports."""

    dictionary: str
    sites: tuple[str, ...]
    latents: int
    k: int | None
    sparsity: float | None
    lr: float
    seed: int
    steps: int
    resumed_from_step: int | None
    batch_rows: int
    rows: int
    """Rows trained on, in all parts of a resumed run."""
    seconds: float
    """Of streaming and training in this process; likewise the rates below."""
    rows_per_s: float
    megabytes_per_s: float
    """Encoded bytes, in units of 10^6."""
    wait_share: float
    """Share of the time in which the stream waited for bytes."""
    data_share: float
    """Share of `seconds` in which a batch was being made: waiting, gathering and decoding."""
    order: str
    path: str
    """How the stream held its rows: where they lie (`mapped`), in buffers it read (`buffered`), on a `device`."""
    mixing: dict[str, float] | None
    """How well batches were mixed, beside what a uniform shuffle gives; None without a full batch."""
    explained_variance: float | None
    explained_variance_per_site: dict[str, float | None]
    l0: float
    dead_fraction: float
    """Share of latents active on none of the evaluated rows."""
    evaluated_on: str
    """Split of the rows behind the four numbers above."""
    evaluated_rows: int
    manifest_sha256: str
    device: str
    checkpoint: str
    """Folder of the trained dictionary."""
    out: str
    live: dict[str, Any] | None = None
    """What the model computed, and whether the store is complete now; None if all rows were to be read."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict()
