from pathlib import Path

import pytest

from actstore.contracts.progress import Silent
from benchmarks.contestants.contract import QUICK, Setting, Workload
from benchmarks.data.stream_rows import prepare_rows


@pytest.fixture(scope="session")
def stream_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the rows of the stream benchmark at its small scale."""
    folder = tmp_path_factory.mktemp("stream") / "rows"
    prepare_rows(folder, QUICK, seed=0, progress=Silent())
    return folder


@pytest.fixture(params=["one_site", "six_sites"])
def setting(request: pytest.FixtureRequest, stream_rows: Path) -> Setting:
    """Each workload on these rows."""
    return Setting(stream_rows, QUICK, Workload.of(request.param, QUICK), seed=0)
