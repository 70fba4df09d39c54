"""Where the real inputs are, and small slices of them. Each room adds its own fixtures in its own conftest."""

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from actstore import redaction
from tests.services import browser as browsers
from tests.services import odd_disk as odd_disks
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway, obstacle, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPOSITORY = Path(__file__).resolve().parents[1]
collect_ignore = ["data/make_saelens.py", "services/peers_side.py"]
"""Import sae-lens, which is no dependency."""
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# Shared machines are too uneven for deadlines. CI tries the same examples every time; elsewhere new ones are welcome.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if IN_CI else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest: one that is begun last keeps one process busy while others idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "end_to_end" not in item.path.parts))


@pytest.fixture(autouse=True)
def _secrets_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets that a test gives: a process hides them for good, and a next test may use the same word."""
    monkeypatch.setattr(redaction, "_given", set(redaction._given))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of natural proteins, structures and annotations beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    reason = f"the real inputs are not at {folder}"
    if IN_CI:
        pytest.fail(f"{reason}, and CI=true: tests on them would be left out unseen")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def natural_fasta(shared_data: Path) -> Path:
    """3,526 natural proteins with 1.1 M residues, up to 34,350 long, with X and U."""
    return shared_data / "proteins" / "natural.fasta.gz"


@pytest.fixture(scope="session")
def small_fasta(natural_fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty natural proteins of at most 400 residues, from all over the file, as plain FASTA."""
    short = [record for record in _records(natural_fasta) if len(record[1]) <= 400]
    chosen = [short[index * len(short) // 60] for index in range(60)]
    path = tmp_path_factory.mktemp("natural") / "small.fasta"
    path.write_text("".join(f"{header}\n{sequence}\n" for header, sequence in chosen), encoding="ascii")
    return path


@pytest.fixture(scope="session")
def esm2_tiny() -> Path:
    """A trained ESM-2 of 6 blocks and 128 features, part of the repository."""
    return REPOSITORY / "examples" / "esm2-tiny"


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A real S3 server that keeps objects in memory, one for each process of pytest."""
    need(obstacle(), "tests against a real S3 server")
    with running(tmp_path_factory.mktemp("gateway"), "memstore") as server:
        yield server


@pytest.fixture(scope="session")
def durable_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A real S3 server that keeps objects in a file and survives SIGKILL."""
    need(obstacle(), "tests against a real S3 server")
    with running(tmp_path_factory.mktemp("gateway"), "bluestore") as server:
        yield server


@pytest.fixture
def bucket(gateway: Gateway) -> str:
    """A bucket of the test's own."""
    return gateway.new_bucket()


@pytest.fixture
def proxy_to() -> Iterator[Callable[..., FaultProxy]]:
    """Return a proxy before a gateway, with faults: ``proxy_to(gateway, Faults(...), seed=1)``."""
    with ExitStack() as stack:

        def proxy(server: Gateway, faults: Faults | None = None, *, seed: int = 0) -> FaultProxy:
            return stack.enter_context(FaultProxy(server.port, seed=seed, faults=faults or Faults()))

        yield proxy


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A real browser; for one module, since its event loop would be in the way of others."""
    need(browsers.obstacle(), "tests in a real browser")
    with browsers.running_browser() as started:
        yield started


@pytest.fixture(scope="session")
def odd_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes file systems refuse calls, for `tests.services.odd_disk.on_odd_disk`."""
    reason = odd_disks.obstacle()
    if reason is not None:
        pytest.skip(reason)
    return odd_disks.build(tmp_path_factory.mktemp("odd-disk"))


def need(reason: str | None, what: str) -> None:
    """Skip what an obstacle stands in the way of, but in CI fail."""
    if reason is None:
        return
    if IN_CI:
        pytest.fail(f"{reason}, and CI=true: {what} would be left out unseen")
    pytest.skip(reason)


def _records(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="ascii") as file:
        for record in file.read().split(">")[1:]:
            header, body = record.split("\n", 1)
            yield f">{header}", body.replace("\n", "")
