"""Stores whose maker changed a part and made every digest right again: verify finds each, and no command crashes."""

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actstore.errors import ActstoreError
from actstore.stream.open import open_stream
from actstore.workflows.care.verify import verify_store
from tests.hostile.commands import COMMANDS, MOST_S, ends_well, within
from tests.hostile.lies import LIES, tell
from tests.hostile.sealing import change_document, reseal

TemplateOf = Callable[[str], Path]

A_FEW = ("rows of NaN", "sequences are no Parquet", "recipe: seed", "shard index: outside", "recipe: module of a site")
"""One of each kind, for every command; all of them are tried in the slow tests."""


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8", "int4"])
def test_a_store_that_was_only_sealed_again_is_sound(store_to_spoil: TemplateOf, encoding: str) -> None:
    store = store_to_spoil(encoding)
    reseal(store)
    report = verify_store(str(store))
    assert report.faults == ()
    assert report.recomputed_rows > 50


@pytest.mark.parametrize("name", LIES)
def test_verify_finds_every_lie_without_the_model(store_to_spoil: TemplateOf, name: str) -> None:
    lie = LIES[name]
    store = store_to_spoil(lie.encoding)
    tell(lie, store)
    if lie.needs_model:
        assert verify_store(str(store), recompute=False).ok
    report = verify_store(str(store), recompute=lie.needs_model)
    assert not report.ok
    assert any(fault.object.startswith(lie.found_in) for fault in report.faults), report.faults


@pytest.mark.parametrize("name", A_FEW)
def test_no_command_crashes_on_a_lie(store_to_spoil: TemplateOf, name: str) -> None:
    try_all_commands(store_to_spoil, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LIES if name not in A_FEW])
def test_no_command_crashes_on_any_lie(store_to_spoil: TemplateOf, name: str) -> None:
    try_all_commands(store_to_spoil, name)


def try_all_commands(store_to_spoil: TemplateOf, name: str) -> None:
    lie = LIES[name]
    store = store_to_spoil(lie.encoding)
    tell(lie, store)
    for order in ("windows", "uniform"):
        asked: dict[str, Any] = {"sites": "resid_post.2", "batch_rows": 64, "order": order}
        with within(MOST_S), suppress(ActstoreError), open_stream(store, **asked) as stream:
            deque(stream, maxlen=0)
    for command in COMMANDS:
        done = ends_well(command, store)
        if command == ("actstore", "verify", "STORE"):
            assert done.code == 1


def test_verify_lists_all_faults_and_not_only_the_first(store_to_spoil: TemplateOf) -> None:
    store = store_to_spoil("float16")
    told = ["sequences are no Parquet", "rows of NaN", "shard index: outside", "statistic m2 is NaN"]
    told += ["rows/sequence/zarr.json: shape", "commit: split"]
    for name in told:
        LIES[name].change(store)
    reseal(store)
    change_document(store / "commits" / "2.json", lambda commit: commit.update(split="elsewhere"))
    done = ends_well(("actstore", "verify", "STORE", "--json"), store)
    found = {fault["object"] for fault in json.loads(done.out)["faults"]}
    assert done.code == 1
    assert found >= {"sequences.parquet", "rows/sequence/zarr.json", "commits/0.json", "commits/2.json"}


def test_several_objects_of_one_task_are_several_faults(store_to_spoil: TemplateOf) -> None:
    store = store_to_spoil("float16")
    told = ["sequences are no Parquet", "rows of NaN", "statistic m2 is NaN", "rows/token: below zero"]
    for name in told:
        LIES[name].change(store)
    reseal(store)
    found = {fault.object for fault in verify_store(str(store)).faults}
    assert found >= {LIES[name].found_in for name in told}


def test_a_stored_row_of_nan_is_named(store_to_spoil: TemplateOf) -> None:
    store = store_to_spoil("float16")
    tell(LIES["one row of NaN"], store)
    [fault] = verify_store(str(store)).faults
    assert (fault.object, fault.task) == ("sites/resid_post.2/values/c/0/0", 0)
    assert fault.problem == "row 0 holds NaN or Inf"


def test_repair_says_that_it_cannot_tell_which_side_of_a_contradiction_is_right(store_to_spoil: TemplateOf) -> None:
    store = store_to_spoil("float16")
    tell(LIES["a sequence is shorter"], store)
    done = ends_well(("actstore", "repair", "STORE", "--json"), store)
    left = json.loads(done.out)["left"]
    assert done.code == 1
    assert any("nothing in the store says which" in fault["problem"] for fault in left)
