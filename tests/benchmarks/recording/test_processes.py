"""CPU time is that of the whole family, from a /proc of known numbers and from the real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.recording.processes import Machine, family_cpu_s, process_cpu_s

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BURN_S = 0.5
BURN = f"import time\nwhile time.process_time() < {BURN_S}: pass\n"


def add_process(proc: Path, number: int, *, parent: int, own: int = 0, ended: int = 0, name: str = "python") -> None:
    """Write what the kernel says of a process, in ticks."""
    folder = proc / str(number)
    folder.mkdir(parents=True)
    fields = ["S", parent, *[0] * 9, own, own, ended, ended, *[0] * 20]
    (folder / "stat").write_text(f"{number} ({name}) {' '.join(map(str, fields))}\n")


def test_columns_are_busy_interrupts_stolen_or_idle_and_guests_count_once(tmp_path: Path) -> None:
    ticks = (100, 20, 30, 700, 40, 5, 7, 9, 60, 3)
    (tmp_path / "stat").write_text(f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    found = Machine.now(tmp_path)
    assert [round(seconds * TICKS_PER_S) for seconds in found] == [150, 12, 9, 911]


def test_a_machine_that_counts_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")
    with pytest.raises(ValueError, match="does not count CPU time"):
        Machine.now(tmp_path)


def test_the_family_is_everything_below_and_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("no process")
    me = os.getpid()
    add_process(tmp_path, me, parent=1, own=1, ended=10)
    add_process(tmp_path, me + 1, parent=me, own=100, name="a (strange) name 7")
    add_process(tmp_path, me + 2, parent=me + 1, own=1000, ended=5000)
    add_process(tmp_path, me + 3, parent=1, own=10_000)  # a server whose starter has ended
    add_process(tmp_path, me + 4, parent=me + 3, own=100_000)
    add_process(tmp_path, me + 5, parent=1, own=1_000_000)  # of somebody else
    family = 2 * (1 + 10 + 100 + 1000 + 5000)
    assert family_cpu_s(proc=tmp_path) * TICKS_PER_S == pytest.approx(family)
    assert family_cpu_s([me + 3], tmp_path) * TICKS_PER_S == pytest.approx(family + 2 * 110_000)
    # Naming one of the family, or one that is gone, changes nothing.
    assert family_cpu_s([me + 1, me + 99], tmp_path) * TICKS_PER_S == pytest.approx(family)


def test_a_process_that_is_gone_has_no_time(tmp_path: Path) -> None:
    add_process(tmp_path, 7, parent=1, own=3, ended=4)
    assert process_cpu_s(7, tmp_path) * TICKS_PER_S == pytest.approx(14)
    assert process_cpu_s(8, tmp_path) == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_children_count_while_they_run_and_after_they_have_ended() -> None:
    before = family_cpu_s()
    program = f"{BURN}print(flush=True)\ninput()\n"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        running = family_cpu_s()
        child.communicate(b"\n")
    ended = family_cpu_s()
    # The kernel counts in ticks, so the child may show a few less than it used.
    assert running - before > 0.8 * BURN_S
    assert ended - before > 0.8 * BURN_S
