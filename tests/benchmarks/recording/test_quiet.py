"""What is refused: work of others before and during a run, and a tree that is not that of a commit."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.recording.processes import Machine
from benchmarks.recording.quiet import (
    MOST_SHARE,
    NotTrustworthyError,
    Reading,
    Shares,
    Watch,
    commit_of,
    read,
    refuse_dirty,
)

IDLE = Reading(Machine(0.0, 0.0, 0.0, 0.0), 0.0)


def after(before: Reading, *, busy: float = 0, own: float = 0, stolen: float = 0, interrupts: float = 0) -> Reading:
    """Return the clocks a hundred CPU seconds later."""
    changes = (busy, interrupts, stolen, 100.0)
    machine = Machine(*(old + new for old, new in zip(before.machine, changes, strict=True)))
    return Reading(machine, before.own_s + own)


class Clocks:
    """Gives readings one after the other, the last again and again, and notes which servers it was asked for."""

    def __init__(self, *readings: Reading) -> None:
        self._readings = list(readings)
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, also: Sequence[int]) -> Reading:
        self.asked.append(tuple(also))
        return self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]


def watch_of(*readings: Reading) -> Watch:
    return Watch(Clocks(*readings), look_s=0.0)


def test_own_work_is_not_foreign_but_steal_is() -> None:
    shares = Shares.between(IDLE, after(IDLE, busy=60, own=57, stolen=1, interrupts=20))
    assert shares == pytest.approx(Shares(foreign=0.04, stolen=0.01, interrupts=0.2))


def test_ticks_that_do_not_add_up_are_no_negative_load() -> None:
    assert Shares.between(IDLE, after(IDLE, busy=60, own=61)).foreign == 0.0


@pytest.mark.parametrize(("foreign_s", "refused"), [(0.0, False), (5.0, False), (5.01, True), (50.0, True)])
def test_load_before_is_refused_above_the_bound(foreign_s: float, *, refused: bool) -> None:
    watch = watch_of(IDLE, after(IDLE, busy=foreign_s + 3, own=3))
    if not refused:
        watch.refuse_load_before()
        return
    with pytest.raises(NotTrustworthyError, match=r"5\.0%|50\.0%") as refusal:
        watch.refuse_load_before()
    assert "at most 5% is allowed" in str(refusal.value)
    assert "stop other work and run again" in str(refusal.value)
    assert "--no-write" in str(refusal.value)


def test_interrupts_count_before_the_run_and_not_during_it() -> None:
    busy_before = watch_of(IDLE, after(IDLE, interrupts=6))
    with pytest.raises(NotTrustworthyError, match=r"6\.0%"):
        busy_before.refuse_load_before()
    during = watch_of(IDLE, IDLE, after(IDLE, interrupts=30))
    during.refuse_load_before()
    during.refuse_foreign()
    assert during.record()["cpu_interrupts"] == 0.3


@pytest.mark.parametrize(
    ("foreign_s", "stolen_s", "refused"), [(0, 0, False), (5, 0, False), (5.01, 0, True), (2, 3.5, True)]
)
def test_foreign_time_during_the_run_is_refused_above_the_bound(
    foreign_s: float, stolen_s: float, *, refused: bool
) -> None:
    watch = watch_of(IDLE, IDLE, after(IDLE, busy=90 + foreign_s, own=90, stolen=stolen_s))
    watch.refuse_load_before()
    if not refused:
        watch.refuse_foreign()
        return
    with pytest.raises(NotTrustworthyError, match=f"{(foreign_s + stolen_s) / 100:.1%}"):
        watch.refuse_foreign()


def test_what_was_measured_is_recorded() -> None:
    quiet = after(IDLE, busy=1)
    watch = watch_of(IDLE, quiet, after(quiet, busy=50, own=48, stolen=1, interrupts=2))
    assert watch.record() == {
        "cpu_load_before": 0.01,
        "cpu_foreign": 0.03,
        "cpu_stolen": 0.01,
        "cpu_interrupts": 0.02,
    }


def test_servers_count_as_our_own_while_they_run_and_after() -> None:
    with_server, without = after(IDLE, busy=90, own=90), after(IDLE, busy=90, own=40)
    clocks = Clocks(IDLE, IDLE, with_server, with_server, without, without)
    watch = Watch(clocks, look_s=0.0)
    with watch.servers([11, 12]):
        assert watch.shares().foreign == 0.0
    assert watch.shares().foreign == 0.0
    assert clocks.asked == [(), (), (11, 12), (11, 12), (), ()]


class Stranger:
    """A process that is nobody's child. Pipes with names hold it and this test up, so nothing is polled."""

    PROGRAM = (
        "import os, sys, time\n"
        "os.chdir(sys.argv[1])\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "with open('ready', 'w') as file: file.write(str(os.getpid()))\n"
        "open('go').close()\n"
        "began = time.process_time()\n"
        "while time.process_time() < began + 0.5: pass\n"
        "open('done', 'w').close()\n"
        "open('leave').close()\n"
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("ready", "go", "done", "leave"):
            os.mkfifo(folder / name)
        subprocess.run([sys.executable, "-c", self.PROGRAM, str(folder)], check=True)
        self.process = int((folder / "ready").read_text())

    def use_half_a_second(self) -> None:
        """Let it use half a CPU second and wait until it has."""
        (self._folder / "go").write_text("")
        (self._folder / "done").read_text()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """A process of somebody else."""
    found = Stranger(tmp_path)
    yield found
    os.kill(found.process, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_process_of_somebody_else_is_foreign_unless_it_is_named(stranger: Stranger) -> None:
    before, before_named = read(), read([stranger.process])
    stranger.use_half_a_second()
    after_named, later = read([stranger.process]), read()
    foreign_s = later.machine.busy_s - before.machine.busy_s - (later.own_s - before.own_s)
    named_s = after_named.own_s - before_named.own_s - (later.own_s - before.own_s)
    # Clocks count in ticks, and the machine's are samples.
    assert foreign_s > 0.3
    assert named_s == pytest.approx(0.5, abs=0.1)


def git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit."""
    for path in ("src/one.py", "benchmarks/two.py", "docs/three.md"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_a_clean_tree_passes_and_its_commit_is_named(repository: Path) -> None:
    refuse_dirty(repository)
    assert len(commit_of(repository)) >= 7
    assert not commit_of(repository).endswith("-dirty")


@pytest.mark.parametrize("path", ["src/one.py", "docs/three.md", "src/new.py", "benchmarks/contestants/new file.py"])
def test_changed_files_and_unknown_code_are_refused(repository: Path, path: str) -> None:
    (repository / path).parent.mkdir(exist_ok=True)
    (repository / path).write_text("changed")
    with pytest.raises(NotTrustworthyError, match="commit first") as refusal:
        refuse_dirty(repository)
    assert path in str(refusal.value)


def test_a_staged_move_is_a_change(repository: Path) -> None:
    git(repository, "mv", "src/one.py", "src/other.py")
    with pytest.raises(NotTrustworthyError, match=r"1 tracked files .* src/other\.py;"):
        refuse_dirty(repository)


def test_notes_outside_of_the_code_are_no_change(repository: Path) -> None:
    (repository / "notes.txt").write_text("mine")
    refuse_dirty(repository)


def test_a_folder_without_git_is_refused_and_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(NotTrustworthyError, match="run from a clone"):
        refuse_dirty(tmp_path)
    assert commit_of(tmp_path) == "unknown"


def test_the_bound_is_five_percent() -> None:
    assert MOST_SHARE == 0.05
