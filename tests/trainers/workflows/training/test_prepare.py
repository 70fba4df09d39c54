"""Which rows a run is scored on, and how many of them are held in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore import Silent
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, plan_training
from trainers.save.run_folder import RunRecord
from trainers.workflows.device import choose_device
from trainers.workflows.options import RunOptions
from trainers.workflows.rows import Rows, open_rows
from trainers.workflows.rows_plan import plan_rows
from trainers.workflows.training.prepare import hold_out_rows, prepare_run
from trainers.workflows.training.run import Run

CPU = choose_device("cpu")


def prepared(
    store: Path, folder: Path, split: str = "train", *, settings: dict[str, Any] | None = None, **options: Any
) -> tuple[Run, Rows]:
    config = TrainConfig(
        sites=("resid_post.3",), latents=64, k=4, batch_rows=128, steps=10, split=split, **(settings or {})
    )
    asked = RunOptions(device="cpu", **options)
    with open_rows(plan_rows(store, config, asked, device=CPU), Silent()) as rows:
        with rows.open() as stream:
            plan = plan_training(config, StreamFacts.of(stream))
        record = RunRecord(source=str(store), config=config, options={})
        run = prepare_run(plan, rows, record, asked, device=CPU, folder=folder, saved=None, progress=Silent())
        return run, rows


@pytest.mark.parametrize(("options", "rows"), [({"eval_every": 5, "evaluation_rows": 100}, 100), ({}, None)])
def test_held_out_rows_are_kept_if_there_are_evaluations(
    options: dict[str, Any], rows: int | None, store: Path, tmp_path: Path
) -> None:
    run, source = prepared(store, tmp_path, **options)
    held_out = hold_out_rows(run, source)
    assert (run.evaluated_on, None if held_out is None else held_out.rows) == ("valid", rows)
    assert run.eval_every == options.get("eval_every", 100)


def test_without_held_out_rows_the_split_of_training_is_scored(
    store: Path, store_without_valid: Path, tmp_path: Path
) -> None:
    for place, split in ((store_without_valid, "train"), (store, "valid")):
        run, source = prepared(place, tmp_path, split, eval_every=5)
        assert run.evaluated_on == split
        assert hold_out_rows(run, source) is None


def test_rows_are_drawn_only_if_something_follows_from_them(store: Path, tmp_path: Path) -> None:
    assert prepared(store, tmp_path)[0].drawn_NSD is None
    drawn_NSD = prepared(store, tmp_path, settings={"normalisation": "row-zscore"})[0].drawn_NSD
    assert drawn_NSD is not None
    assert drawn_NSD.shape[1:] == (1, 128)


def test_drawn_rows_are_those_of_the_seed(store: Path, tmp_path: Path) -> None:
    first, again, other = (
        prepared(store, tmp_path, settings={"normalisation": "row-zscore", "seed": seed})[0].drawn_NSD
        for seed in (1, 1, 2)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
