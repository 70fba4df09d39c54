"""Who reads the store together; that they end as they would alone is in `test_sweep`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from actstore import Silent, errors
from trainers.fit.config import TrainConfig
from trainers.workflows.device import choose_device
from trainers.workflows.options import RunOptions
from trainers.workflows.rows import open_rows
from trainers.workflows.rows_plan import plan_rows
from trainers.workflows.sweeps.passes import Pass, plan_passes

BASE = TrainConfig(sites=("resid_post.3",), latents=64, k=4, batch_rows=128, steps=5, order_seed=0)
CPU = choose_device("cpu")


def passes(
    store: Path, members: Mapping[str, TrainConfig], *, memory_bytes: int | None = None, buffer_bytes: int = 256 << 20
) -> list[Pass]:
    options = RunOptions(device="cpu", buffer_bytes=buffer_bytes)
    with open_rows(plan_rows(store, BASE, options, device=CPU), Silent()) as rows:
        return plan_passes(members, rows, options, device=CPU, memory_bytes=memory_bytes)


def names(found: list[Pass]) -> list[list[str]]:
    return [[member.name for member in one.members] for one in found]


def but(**changes: object) -> TrainConfig:
    return BASE.model_copy(update=changes)


def test_everything_that_changes_no_batch_is_read_together(store: Path) -> None:
    members = {
        "a": BASE,
        "seed": but(seed=3),
        "steps": but(steps=9),
        "site": but(sites=("resid_post.0",)),
        "all": but(sites=None, dictionary="crosscoder-topk"),
    }
    [one] = passes(store, members)
    with one.rows.open() as stream:
        assert stream.sites == ("resid_post.3", "resid_post.0")


def test_what_changes_the_batches_is_read_apart(store: Path) -> None:
    members = {"a": BASE, "rows": but(batch_rows=64), "split": but(split="valid"), "seed": but(order_seed=1)}
    members |= {"order": but(order="uniform"), "again": but(k=8)}
    assert names(passes(store, members)) == [["a", "again"], ["rows"], ["split"], ["seed"], ["order"]]


def test_a_buffer_for_more_sites_gives_each_member_the_order_of_all(store: Path) -> None:
    members = {"one": BASE, "both": but(sites=None, dictionary="crosscoder-topk")}
    [one] = passes(store, members, buffer_bytes=600_000)
    alone, both = one.members
    assert both.options.buffer_bytes == 600_000
    assert alone.options.buffer_bytes < 600_000
    fills = []
    for rows in (one.rows, alone.rows, both.rows):
        with rows.open() as stream:
            fills.append(stream.batches_per_fill)
            if rows is not one.rows:
                assert stream.cursor.stream == (alone if rows is alone.rows else both).stream
    assert len(set(fills)) == 1


def test_members_fill_passes_up_to_the_memory(store: Path) -> None:
    members = {f"k{k}": but(k=k, latents=4096) for k in (1, 2, 3, 4, 5)}
    [whole] = passes(store, members)
    single = passes(store, {"k1": members["k1"]})[0].bytes
    each = (whole.bytes - single) // 4
    assert names(passes(store, members, memory_bytes=single + 2 * each + 1)) == [["k1", "k2", "k3"], ["k4", "k5"]]
    assert names(passes(store, members, memory_bytes=single)) == [["k1"], ["k2"], ["k3"], ["k4"], ["k5"]]
    with pytest.raises(
        errors.TrainingError, match=r"--memory-bytes .*: k1 needs .* by the estimate; .*k5 needs .*alone"
    ):
        passes(store, members, memory_bytes=single - each)


def test_a_member_that_fits_nowhere_is_named_with_what_would_fit(store: Path) -> None:
    said = "1 of 2 members do not fit into the 1,000,000 bytes .* even alone: large needs at least .*would fit"
    with pytest.raises(errors.TrainingError, match=said):
        passes(store, {"a": BASE, "large": but(latents=100_000)}, memory_bytes=1_000_000)


def test_a_member_that_does_not_fit_the_store_is_named(store: Path) -> None:
    for change, said in (
        ({"sites": ("resid_post.9",)}, "member bad: .*resid_post.9"),
        ({"sites": None}, "member bad: topk-sae reads one site, not 2"),
        ({"split": "trian"}, "member bad: .*no split 'trian'.*did you mean 'train'"),
        ({"k": 65}, "member bad: k = 65 of only 64 latents"),
    ):
        with pytest.raises(errors.ActstoreError, match=said):
            passes(store, {"a": BASE, "bad": but(**change)})
