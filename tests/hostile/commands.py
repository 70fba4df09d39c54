"""Run each command on a store that somebody prepared, and see that it ends as a command should."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import trainers.cli
from actstore.cli import main as run_actstore
from tests.actstore.cli.command import Outcome, run_here

__all__ = ["COMMANDS", "MOST_S", "ends_well", "within"]

MOST_S = 10
_ROWS = ("--site=resid_post.2", "--batch-rows=64", "--device=cpu")
_TRAINING = (*_ROWS, "--steps=2", "--latents=32", "--k=4", "--out=OUT/run")
_SWEEP = "sites = 'resid_post.2'\nbatch_rows = 64\nsteps = 2\nlatents = 32\n[grid]\nk = [2, 4]\n"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("actstore", "inspect", "STORE"),
    ("actstore", "inspect", "STORE", "--json"),
    ("actstore", "inspect", "STORE", "--html=OUT/report.html"),
    ("actstore", "manifest", "show", "STORE/manifest.json"),
    ("actstore", "manifest", "export", "STORE", "--out=OUT/manifest.json"),
    ("actstore", "manifest", "diff", "STORE", "STORE/manifest.json"),
    ("actstore", "rows", "STORE", "--rows=0-3"),
    ("actstore", "rows", "STORE", "--sequence=P7", "--site=resid_post.2", "--out=OUT/rows.npz"),
    ("actstore", "manifest", "subset", "STORE", "--site=resid_post.2", "--tasks=1", "--out=OUT/part.json"),
    ("actstore", "manifest", "merge", "STORE", "STORE/manifest.json", "--out=OUT/both.json"),
    ("actstore", "copy", "STORE", "OUT/copy", "--quiet"),
    ("actstore", "copy", "STORE", "OUT/copy", "--quiet", "--site=resid_post.2", "--tasks=50%"),
    ("actstore", "copy", "STORE", "OUT/some", "--quiet", "--sequences=OUT/ids.txt"),
    ("actstore", "publish", "STORE", "user/name", "--incomplete"),
    ("actstore", "verify", "STORE", "--no-recompute"),
    ("actstore", "verify", "STORE"),
    ("actstore", "import", "STORE", "OUT/imported", "--quiet"),
    ("actstore", "import", "STORE", "OUT/imported", "--quiet", "--format=bionemo"),
    ("trainer", "read-from-store", "STORE", "--dictionary=none", *_ROWS),
    ("trainer", "read-from-store", "STORE", "--dictionary=none", "--order=uniform", *_ROWS),
    ("trainer", "read-from-store", "STORE", *_TRAINING),
    ("trainer", "read-from-store", "STORE", *_TRAINING, "--config=STORE/zarr.json"),
    ("trainer", "read-from-store", "STORE", *_TRAINING, "--log=tensorboard"),
    ("trainer", "online", "STORE", *_TRAINING),
    ("trainer", "presets", "STORE"),
    ("trainer", "sweep", "STORE", "OUT/sweep.toml", "--device=cpu", "--out=OUT/sweep"),
    ("trainer", "sweep", "--resume=STORE", "--device=cpu"),
    ("trainer", "report", "STORE"),
    ("trainer", "report", "STORE", "--html=OUT/report.html"),
    ("trainer", "export", "STORE", "OUT/exported"),
    ("trainer", "import", "STORE", "OUT/imported", "--model=a", "--site=b"),
    ("trainer", "import", "STORE", "OUT/imported", "--from=esmc", "--model=a", "--site=b"),
    ("trainer", "publish", "STORE", "user/name", "--dry-run"),
    ("actstore", "gc", "STORE"),
    ("actstore", "repair", "STORE", "--dry-run"),
    ("actstore", "extract", "--quiet", "--store", "STORE"),
    ("actstore", "repair", "STORE"),
    ("actstore", "gc", "STORE", "--delete", "--older-than", "0s"),
)
"""Commands on a store, with a folder for what they make. Those that write into it come last: they may mend it."""
_PROGRAMS: dict[str, Callable[[], None]] = {"actstore": run_actstore, "trainer": trainers.cli.main}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """End what takes longer; in the main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ends_well(command: tuple[str, ...], store: Path) -> Outcome:
    """Run a command in this process: no exception leaves it but those of the project, which become one message.

    `STORE` stands for the store in the words of the command, `OUT` for a folder that is made anew with a list of ids
    and a sweep.
    """
    folder = store.parent / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "ids.txt").write_text("P7\nP8\n")
    (folder / "sweep.toml").write_text(_SWEEP)
    program, *words = (word.replace("STORE", str(store)).replace("OUT", str(folder)) for word in command)
    with within(MOST_S):
        done = run_here(program, _PROGRAMS[program], *words)
    assert done.code in {0, 1, 2}, (command, done)
    assert (done.out + done.err).replace("\n", "").isprintable(), (command, done)
    if done.code and command[1] not in {"verify", "repair"} and "diff" not in command:
        assert "error: " in done.err, (command, done)
        assert len(done.err) < 4000, (command, done.err[:200])
    return done
