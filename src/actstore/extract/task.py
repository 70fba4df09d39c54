"""A task -> its rows, in shard order: the loop around the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import ActivationModel, DeviceRows, Site
from actstore.contracts.parallel import ParallelMap
from actstore.contracts.planes import Float32s
from actstore.contracts.sequences import ResidueSource
from actstore.contracts.tasks import Piece, Task, TaskRows
from actstore.corpus.batches import plan_batches, plan_packed_batches
from actstore.errors import CorpusError, NumericsError
from actstore.extract.row_memory import allocate_rows

__all__ = ["ModelRows", "extract_task", "not_finite", "plan_passes"]


@dataclass(frozen=True, slots=True, eq=False)
class ModelRows:
    """Rows that a model computes; a `contracts.tasks.RowSource`."""

    source: ResidueSource
    """Sequences as the plan numbers them."""
    model: ActivationModel
    tokens_per_batch: int
    """Most tokens of one forward pass, padding included."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of the model."""
        return self.model.sites

    @property
    def device_rows(self) -> DeviceRows | None:
        """Memory of the model's device."""
        return self.model.device_rows

    def sequence_id(self, sequence: int) -> str:
        """Return the id of a sequence."""
        return self.source.sequence_id(sequence)

    def task_rows(
        self,
        task: Task,
        *,
        parallel: ParallelMap,
        take_rows: Callable[[int, Sequence[Site]], TaskRows] | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> TaskRows:
        """Run the model, as `extract_task`."""
        return extract_task(
            task,
            self.source,
            self.model,
            tokens_per_batch=self.tokens_per_batch,
            parallel=parallel,
            take_rows=take_rows,
            on_rows=on_rows,
        )


def extract_task(
    task: Task,
    source: ResidueSource,
    model: ActivationModel,
    *,
    tokens_per_batch: int,
    parallel: ParallelMap,
    take_rows: Callable[[int, Sequence[Site]], TaskRows] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> TaskRows:
    """Run the model over the pieces of a task and put every row at its place in the shard.

    Memory: the rows of the task at every site, and one batch for each forward pass that runs at the same time.

    Parameters
    ----------
    task
        Pieces, and the order of their rows.
    source
        The corpus that the task was planned for.
    model
        The model with the sites to extract.
    tokens_per_batch
        Most tokens of one forward pass, padding included; see `plan_passes`.
    parallel
        Runs the forward passes: `LoneThreads.map`, because the bits of a store are those of one-thread passes.
    take_rows
        Returns the memory for the rows, as `RowMemory.take`; None for new memory of the host. Rows that stay on a
        device are not checked here; encoding refuses values that are not finite.
    on_rows
        Called after each batch with its number of rows, in this thread; its exceptions end the task.

    Returns
    -------
    TaskRows
        In shard order, before encoding.

    Raises
    ------
    NumericsError
        If a value is NaN or infinite; names the sequence, the residue (1-based) and the site.
    CorpusError
        If a sequence is shorter than the plan says.
    """
    pieces = task.pieces
    first_P = np.cumsum([0, *(len(piece.position_K) for piece in pieces)], dtype=np.int64)
    place_N = np.empty(task.rows, dtype=np.int64)
    place_N[task.order_N] = np.arange(task.rows, dtype=np.int64)

    rows = (take_rows or allocate_rows)(task.rows, model.sites)
    batches = [
        _Batch([pieces[i] for i in batch], np.concatenate([place_N[first_P[i] : first_P[i + 1]] for i in batch]))
        for batch in plan_passes(task, model, tokens_per_batch=tokens_per_batch)
    ]
    for count in parallel(partial(_extract_batch, source=source, model=model, rows=rows), batches):
        if on_rows is not None:
            on_rows(count)
    return rows


def plan_passes(task: Task, model: ActivationModel, *, tokens_per_batch: int) -> list[NDArray[np.int64]]:
    """Return the forward passes of a task: for each pass, the indices of its pieces.

    A model that is fastest with fewer tokens than the budget gets fewer; one that packs sequences gets whole rows.
    """
    token_length_P = [piece.stop - piece.start + model.tokenizer.special_tokens for piece in task.pieces]
    budget = tokens_per_batch if model.most_tokens is None else min(tokens_per_batch, model.most_tokens)
    if model.pack_tokens is not None:
        return plan_packed_batches(token_length_P, row_tokens=model.pack_tokens, tokens_per_batch=budget)
    return plan_batches(token_length_P, tokens_per_batch=budget)


class _Batch(NamedTuple):
    pieces: list[Piece]
    place_n: NDArray[np.int64]
    """Places of their rows in the shard."""


def _extract_batch(batch: _Batch, *, source: ResidueSource, model: ActivationModel, rows: TaskRows) -> int:
    """Fill in the rows of a batch; return their number."""
    pieces, place_n = batch
    windows = [_window(piece, source) for piece in pieces]
    kept = [(piece.position_K - piece.start).astype(np.int32) for piece in pieces]

    rows.sequence_N[place_n] = np.repeat([piece.sequence for piece in pieces], [len(each) for each in kept])
    rows.position_N[place_n] = np.concatenate([piece.position_K for piece in pieces])
    rows.token_N[place_n] = np.concatenate(
        [model.tokenizer.tokens(window)[each] for window, each in zip(windows, kept, strict=True)]
    )
    if isinstance(next(iter(rows.values.values())), np.ndarray):
        for site, values_nD in model.activations(windows, kept).items():
            if not np.isfinite(values_nD).all():
                raise _not_finite(site, values_nD, place_n, rows, source)
            rows.values[site][place_n] = values_nD
    else:
        assert model.device_rows is not None  # noqa: S101 - the memory came from it
        model.device_rows.fill(windows, kept, rows.values, place_n)
    return len(place_n)


def _window(piece: Piece, source: ResidueSource) -> str:
    window = source.residues(piece.sequence)[piece.start : piece.stop]
    if len(window) != piece.stop - piece.start:
        raise CorpusError(
            f"{source.sequence_id(piece.sequence)}: the plan needs residues {piece.start + 1} to {piece.stop}, "
            f"the corpus has {piece.start + len(window)}; it has changed since it was planned"
        )
    return window


def _not_finite(
    site: str, values_nD: Float32s, place_n: NDArray[np.int64], rows: TaskRows, source: ResidueSource
) -> NumericsError:
    """Return the error that names the place of the first bad value."""
    bad_n = np.flatnonzero(~np.isfinite(values_nD).all(axis=1))
    row = place_n[bad_n[0]]
    return not_finite(
        f"{source.sequence_id(int(rows.sequence_N[row]))}, residue {rows.position_N[row] + 1}, site {site}",
        values_nD[bad_n[0]],
        f"{len(bad_n)} such rows in this batch",
    )


def not_finite(where: str, values_D: Float32s, others: str) -> NumericsError:
    """Return the error for a row with NaN or Inf.

    Parameters
    ----------
    where
        Sequence, residue and site.
    values_D
        The row.
    others
        Number of such rows.
    """
    bad = values_D[~np.isfinite(values_D)]
    return NumericsError(
        f"{where}: {bad[0]} in {len(bad)} of {len(values_D)} features ({others}); use dtype 'float32' or 'bfloat16', "
        "or leave the sequence out"
    )
