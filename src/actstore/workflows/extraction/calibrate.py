"""Centre and scale of every channel from a seeded sample of sequences."""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import ValidationError

from actstore.contracts.hashing import Purpose, derive_key, draws
from actstore.contracts.progress import Progress
from actstore.contracts.rules import CalibrationRules
from actstore.contracts.sequences import SequenceTable
from actstore.contracts.tasks import Piece, RowSource, Task
from actstore.errors import NumericsError
from actstore.extract.threads import LoneThreads
from actstore.quantize.int8 import calibrate
from actstore.quantize.moments import Moments
from actstore.store.format.documents import first_problem
from actstore.store.write.facts import CalibrationFacts

__all__ = ["calibrate_sites"]

_SEQUENCES_AT_ONCE: Final = 16


def calibrate_sites(
    rules: CalibrationRules,
    table: SequenceTable,
    rows: RowSource,
    *,
    progress: Progress,
) -> dict[str, CalibrationFacts]:
    """Take the rows of a sample of sequences (the first window of each) and return each site's calibration.

    The sample holds the sequences with the smallest seeded draws of their ids, so it hardly changes as a corpus grows.

    Parameters
    ----------
    rules
        Of the recipe.
    table
        The sequences.
    rows
        Gives their rows, with the sequences in the same order.
    progress
        Where to report.
    """
    draw_N = draws(derive_key(rules.seed, Purpose.CALIBRATION), table.id_hash_N)
    sample = np.argsort(draw_N, kind="stable")[: rules.sequences]
    lengths = np.minimum(table.length_N[sample], rules.window_residues)
    parts: dict[str, list[Moments]] = {site.name: [] for site in rows.sites}

    def moments_of(here: slice) -> dict[str, Moments]:
        pieces = tuple(
            Piece(int(sequence), 0, int(length), np.arange(length, dtype=np.int32))
            for sequence, length in zip(sample[here], lengths[here], strict=True)
        )
        count = int(lengths[here].sum())
        task = Task(0, "calibration", count, pieces, np.arange(count))
        values = rows.task_rows(task, parallel=map).values
        return {name: Moments.of(values_ND) for name, values_ND in values.items()}

    groups = [slice(start, start + _SEQUENCES_AT_ONCE) for start in range(0, len(sample), _SEQUENCES_AT_ONCE)]
    with (
        progress.stage("calibrating", total=int(lengths.sum()), unit="residues") as stage,
        LoneThreads() as threads,
    ):
        for moments in threads.map(moments_of, groups):
            for name, part in moments.items():
                parts[name].append(part)
            stage.advance(next(iter(moments.values())).count)
    calibrations: dict[str, CalibrationFacts] = {}
    for name, of_groups in parts.items():
        total = Moments.merged(of_groups)
        assert total is not None  # noqa: S101 - a table without sequences has no plan
        calibration = calibrate(total.mean_D, total.variance_D)
        try:
            calibrations[name] = CalibrationFacts(center=calibration.center_D, channel=calibration.channel_D)
        except ValidationError as error:
            raise NumericsError(
                f"site {name}: {rules.encoding} cannot be calibrated: {first_problem(error)}; "
                "use encoding = 'bfloat16' for this model"
            ) from error
    return calibrations
