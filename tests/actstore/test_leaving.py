"""Programs that are told to stop while they do what cannot be interrupted: they end in time all the same."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actstore.leaving import Interrupted, if_stopped, leave_in_time

LIMIT_S = 8.0
"""Five seconds, and some for a busy machine."""
BEGINNING = """
import ctypes, os, signal, sys, threading, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from actstore.leaving import Interrupted, if_stopped, leave_in_time, putting_away

told = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: told.append(1))

def ready():
    print("ready", flush=True)

def wait_in_c():
    mutex = ctypes.create_string_buffer(64)  # locked twice, it waits for ever, whatever signals come
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""


@contextmanager
def program(text: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program that says when it is ready, and yield it then."""
    command = [sys.executable, "-c", BEGINNING + text, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[float, int, str]:
    """Return how long it still takes, the exit code, and what it says."""
    began = time.monotonic()
    _, said = process.communicate(timeout=30)
    return time.monotonic() - began, process.returncode, said


STUCK = {
    "in C": "wait_in_c()",
    "in a thread that Python waits for at its end": "threading.Thread(target=wait_in_c).start()",
    "in a pool that Python waits for at its end": (
        "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor(1).submit(wait_in_c)"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "work"),
    list(zip([signal.SIGINT, signal.SIGTERM, signal.SIGTERM], STUCK.values(), strict=True)),
    ids=STUCK,
)
def test_a_program_that_is_stuck_ends_in_time_and_says_where_things_are(number: signal.Signals, work: str) -> None:
    text = f"""
with leave_in_time(), if_stopped(lambda: "/store: 3 of 12 tasks are committed"):
    ready()
    {work}
    while not told:
        time.sleep(0.01)
    os.write(2, b"told\\n")
    if threading.active_count() > 2:
        time.sleep(100)
"""
    with program(text) as process:
        process.send_signal(number)
        took_s, code, said = ended(process)
    assert code == 128 + number
    assert took_s < LIMIT_S
    assert said.endswith("in time; /store: 3 of 12 tasks are committed\n")
    assert ("told" in said) == (work != STUCK["in C"])


@pytest.mark.slow
def test_also_after_the_work_while_python_waits_for_threads() -> None:
    text = """
threading.Thread(target=wait_in_c).start()
with leave_in_time():
    ready()
    while not told:
        time.sleep(0.01)
sys.exit(3)
"""
    with program(text) as process:
        process.send_signal(signal.SIGTERM)
        took_s, code, _ = ended(process)
    assert (code, took_s < LIMIT_S) == (143, True)


@pytest.mark.slow
def test_also_if_the_signal_came_as_the_work_ended() -> None:
    """The thread that watches may see it only then."""
    text = """
threading.Thread(target=wait_in_c).start()
with leave_in_time():
    ready()
    os.kill(os.getpid(), signal.SIGTERM)
sys.exit(3)
"""
    with program(text) as process:
        took_s, code, _ = ended(process)
    assert (code, took_s < LIMIT_S) == (143, True)


def test_a_second_signal_ends_it_at_once() -> None:
    with program("with leave_in_time(): ready(); wait_in_c()") as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        took_s, code, said = ended(process)
    assert code == 130
    assert took_s < 2
    assert "at once" in said


def test_one_request_that_comes_twice_is_one() -> None:
    """`timeout` sends the signal to the process and then to its group."""
    text = """
with leave_in_time():
    ready()
    while not told:
        time.sleep(0.01)
    time.sleep(1)
    sys.exit(7)
"""
    with program(text) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[1:] == (7, "")


@pytest.mark.slow
def test_what_must_be_put_away_is_also_if_the_work_never_ends(tmp_path: Path) -> None:
    text = """
folder = Path(sys.argv[1])
def fail(): raise OSError
act = wait_in_c if "--slow" in sys.argv else fail
with leave_in_time(), putting_away(folder.rmdir), putting_away(fail), putting_away(act):
    ready(); wait_in_c()
"""
    for more in ([], ["--slow"]):
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        with program(text, folder, *more) as process:
            process.send_signal(signal.SIGTERM)
            took_s, code, _ = ended(process)
        assert (code, took_s < LIMIT_S) == (143, True)
        assert folder.exists() == bool(more), "putting away itself has a limit"


def test_a_forked_process_leaves_it_to_its_parent() -> None:
    text = """
with leave_in_time():
    child = os.fork()
    if not child:
        ready()
        time.sleep(1.5)
        os._exit(0)
    found, status = os.waitpid(child, 0)
    sys.exit(5 if told or status else 0)
"""
    with program(text) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for _ in range(2):
            os.kill(int(children[0]), signal.SIGINT)
            select.select([], [], [], 0.4)
        assert ended(process)[1:] == (0, "")


def test_nothing_remains_of_a_watch_that_saw_no_signal() -> None:
    files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with leave_in_time() as watch:
            pass
    assert watch.number is None
    select.select([], [], [], 0.2)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    assert signal.set_wakeup_fd(-1) == -1


def test_the_innermost_says_how_to_continue() -> None:
    with pytest.raises(Interrupted) as told, if_stopped(lambda: "outer"), if_stopped(lambda: "inner"):
        raise Interrupted(number=signal.SIGINT)
    assert (told.value.says, told.value.number) == ("inner", signal.SIGINT)
