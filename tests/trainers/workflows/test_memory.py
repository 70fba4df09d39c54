"""A step that cannot fit is refused before the run, with what would."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from actstore import errors
from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted, plant
from trainers.fit.plan import TrainPlan
from trainers.workflows import memory
from trainers.workflows.memory import check_memory, is_out_of_memory, least_step_bytes, what_fits

CPU = torch.device("cpu")


def plan(one_site: Planted, **options: object) -> TrainPlan:
    return plan_of(stream_of(one_site.values_NSD), **{"latents": 256, "steps": 100} | options)


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


def test_what_fits_does(one_site: Planted) -> None:
    wanted = plan(one_site)
    free = least_step_bytes(wanted) // 2
    rows = int(what_fits(wanted, free).split()[1])
    assert least_step_bytes(wanted.model_copy(update={"batch_rows": rows})) < free


def test_weights_that_do_not_fit_ask_for_fewer_latents(one_site: Planted) -> None:
    wanted = plan(one_site, latents=100_000)
    latents = int(what_fits(wanted, 1 << 20).split()[1])
    fewer = wanted.model_copy(update={"latents": latents, "kept": 1, "batch_rows": 1})
    assert least_step_bytes(fewer) < 1 << 20


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
