"""What a planned run needs before it begins: its rows to draw from, its split for scoring, and rows held out."""

from pathlib import Path

import numpy as np
import torch

from actstore import Silent
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, plan_training
from trainers.workflows.options import RunOptions
from trainers.workflows.resume import settle
from trainers.workflows.rows import open_rows
from trainers.workflows.rows_plan import plan_rows
from trainers.workflows.training.prepare import hold_out_rows, prepare_run
from trainers.workflows.training.run import Run

CPU = torch.device("cpu")


def prepared(store: Path, folder: Path, *, hold_out: bool = False, **options: object) -> Run:
    given = {"sites": ("resid_post.3",), "latents": 64, "steps": 20, "batch_rows": 256} | options
    asked = settle(
        store, TrainConfig.model_validate(given), RunOptions(out=folder / "run", device="cpu", eval_every=10)
    )
    with open_rows(plan_rows(asked.source, asked.config, asked.options, device=CPU), Silent()) as rows:
        with rows.open() as stream:
            plan = plan_training(asked.config, StreamFacts.of(stream))
        run = prepare_run(
            plan, rows, asked.record, asked.options, device=CPU, folder=folder / "run", saved=None, progress=Silent()
        )
        assert run.held_out is None
        if hold_out:
            held_out = hold_out_rows(run, rows)
            assert held_out is None or held_out.rows > 0
            assert (held_out is None) == (plan.split == "valid")
    return run


def test_rows_are_drawn_only_if_something_follows_from_them(store: Path, tmp_path: Path) -> None:
    assert prepared(store, tmp_path).drawn_NSD is None
    drawn_NSD = prepared(store, tmp_path, normalisation="row-zscore").drawn_NSD
    assert drawn_NSD is not None
    assert drawn_NSD.shape[1:] == (1, 128)


def test_drawn_rows_are_those_of_the_seed(store: Path, tmp_path: Path) -> None:
    first, again, other = (
        prepared(store, tmp_path, normalisation="row-zscore", seed=seed).drawn_NSD for seed in (1, 1, 2)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_run_is_scored_on_held_out_rows_unless_it_trains_on_them(store: Path, tmp_path: Path) -> None:
    assert prepared(store, tmp_path, hold_out=True).evaluated_on == "valid"
    assert prepared(store, tmp_path, hold_out=True, split="valid").evaluated_on == "valid"
