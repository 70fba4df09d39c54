"""A step that cannot fit is refused before the run, with what would."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from actstore import errors
from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted, plant
from trainers.fit.plan import TrainPlan
from trainers.workflows import memory
from trainers.workflows.memory import check_memory, is_out_of_memory, least_step_bytes, what_fits

CPU = torch.device("cpu")


def plan(one_site: Planted, **options: Any) -> TrainPlan:
    batch_rows = options.pop("batch_rows", 256)
    return plan_of(stream_of(one_site.values_NSD, batch_rows=batch_rows), **{"latents": 256, "steps": 100} | options)


def test_the_message_has_the_numbers_and_a_batch_that_fits(one_site: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = plan(one_site)
    needed = least_step_bytes(wanted)
    monkeypatch.setattr(memory, "available_memory", lambda: needed - 1)
    with pytest.raises(errors.TrainingError) as refusal:
        check_memory(wanted, CPU)
    assert f"needs at least {needed:,} bytes on cpu, and {needed - 1:,} are free" in str(refusal.value)
    rows = int(str(refusal.value).rpartition("--batch-rows ")[2].split()[0])
    assert 1 <= rows < wanted.batch_rows
    monkeypatch.setattr(memory, "available_memory", lambda: needed)
    check_memory(wanted, CPU)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    check_memory(wanted, CPU)


def suggested(text: str) -> dict[str, int]:
    """Return the numbers of a suggestion by option."""
    return {name.replace("-", "_"): int(number) for name, number in re.findall(r"--(batch-rows|latents) (\d+)", text)}


@pytest.mark.parametrize("kind", ["topk-sae", "relu-sae"])
def test_batch_and_latents_that_fit_are_both_said_and_each_does(kind: str, one_site: Planted) -> None:
    options = {"k": 4} if kind == "topk-sae" else {}
    wanted = plan(one_site, dictionary=kind, batch_rows=1024, **options)
    free = 2 * (least_step_bytes(wanted) // 2 - 1)
    said = what_fits(wanted, free)
    assert re.fullmatch(r"--batch-rows \d+ or --latents \d+ would fit", said)
    for name, number in suggested(said).items():
        assert number <= getattr(wanted, name) // 2
        assert least_step_bytes(wanted.model_copy(update={name: number})) <= free // 2


def test_the_largest_that_fit_are_said(one_site: Planted) -> None:
    wanted = plan(one_site, latents=1 << 15, batch_rows=4096)
    free = least_step_bytes(wanted) // 2
    for name, number in suggested(what_fits(wanted, free)).items():
        assert least_step_bytes(wanted.model_copy(update={name: number})) <= free // 2
        assert least_step_bytes(wanted.model_copy(update={name: number + 1})) > free // 2


def test_weights_that_do_not_fit_ask_for_fewer_latents_alone(one_site: Planted) -> None:
    wanted = plan(one_site, latents=100_000)
    said = what_fits(wanted, 1 << 20)
    assert re.fullmatch(r"--latents \d+ would fit", said)
    assert least_step_bytes(wanted.model_copy(update=suggested(said))) <= 1 << 19


def test_where_neither_is_enough_both_are_said_together(one_site: Planted) -> None:
    wanted = plan(one_site, latents=100_000, batch_rows=4096, k=8)
    said = what_fits(wanted, 1 << 20)
    assert re.fullmatch(r"--batch-rows \d+ with --latents \d+ would fit", said)
    assert suggested(said)["latents"] >= 8
    assert least_step_bytes(wanted.model_copy(update=suggested(said))) <= 1 << 19


def test_where_nothing_fits_that_is_said(one_site: Planted) -> None:
    assert what_fits(plan(one_site, k=8), 1000).startswith("no dictionary of 1 x ")


@pytest.mark.parametrize("kind", ["topk-sae", "relu-sae"])
def test_the_least_is_below_what_a_step_takes(kind: str, tmp_path: Path) -> None:
    """Measured in a process of its own, whose peak is that of the step."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import torch
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.table import DICTIONARIES
def status(field):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(field))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak counts from now on; it would begin with that of the process that started this one
before = status("VmRSS")
kind = DICTIONARIES["{kind}"]
dictionary = kind(Shape(1, 256, 4096, 8 if kind.keeps_k else None))
optimizer = torch.optim.Adam(dictionary.parameters(), fused=True)
rows = torch.randn(8192, 1, 256)
for _ in range(2):
    (dictionary(rows).reconstruction_BSD - rows).square().sum().backward()
    optimizer.step()
print(status("VmHWM") - before)
"""
    )
    taken = int(subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout)
    options = {"latents": 4096, "batch_rows": 8192, "dictionary": kind} | ({"k": 8} if kind == "topk-sae" else {})
    rows = plant(rows=8192, width=256)
    least = least_step_bytes(plan_of(stream_of(rows.values_NSD, batch_rows=8192), **options))
    assert 0.3 * taken < least < taken


def test_errors_of_both_allocators_are_known() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
