"""What the kernel says of memory, as it says it: files below a folder that stands for the root."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.workflows.extraction.free_memory import available_memory

Kernel = Callable[[dict[str, str]], int | None]
MEMINFO = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 4000 kB\n"}
SYSTEM = 4_096_000


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    def free(files: dict[str, str]) -> int | None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return available_memory(tmp_path)

    return free


def group(folder: str, *, limit: str, used: int, inactive: int = 0) -> dict[str, str]:
    return {
        f"sys/fs/cgroup/{folder}/memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{folder}/memory.current": f"{used}\n",
        f"sys/fs/cgroup/{folder}/memory.stat": f"anon 7\nactive_file 900\ninactive_file {inactive}\n",
    }


def old_group(folder: str, *, limit: int, used: int, inactive: int) -> dict[str, str]:
    return {
        f"sys/fs/cgroup/memory/{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"sys/fs/cgroup/memory/{folder}/memory.usage_in_bytes": f"{used}\n",
        f"sys/fs/cgroup/memory/{folder}/memory.stat": f"inactive_file 1\ntotal_inactive_file {inactive}\n",
    }


def test_without_groups_it_is_what_the_system_has(kernel: Kernel) -> None:
    assert kernel({}) is None
    assert kernel(MEMINFO) == SYSTEM


def test_files_that_can_be_dropped_are_free(kernel: Kernel) -> None:
    inside = {"proc/self/cgroup": "0::/\n"}
    assert kernel(inside | group("", limit="1000000", used=990_000, inactive=600_000)) == 610_000
    assert kernel(group("", limit="max", used=990_000)) is None
    assert kernel(group("", limit="1000", used=2000)) == 0


def test_every_group_around_the_process_counts(kernel: Kernel) -> None:
    job = "system.slice/slurmstepd.scope/job_7"
    files = MEMINFO | {"proc/self/cgroup": f"0::/{job}/step_0/user\n"} | group("", limit="max", used=5)
    assert kernel(files | group(f"{job}/step_0/user", limit="max", used=5)) == SYSTEM
    assert kernel(group(job, limit="3000000", used=1_500_000, inactive=500_000)) == 2_000_000
    assert kernel(group(f"{job}/step_0", limit="1000000", used=0)) == 1_000_000
    assert kernel(group("system.slice/another.scope", limit="10", used=0)) == 1_000_000


def test_groups_of_version_1_are_found_by_their_controller(kernel: Kernel) -> None:
    unlimited = 9_223_372_036_854_771_712
    files = {"proc/self/cgroup": "12:cpu,cpuacct:/a\n7:hugetlb,memory:/slurm/uid_1/job_2\n1:name=systemd:/b:c\n0::/d\n"}
    files |= old_group("", limit=unlimited, used=10_000_000, inactive=0)
    assert kernel(MEMINFO | files) == SYSTEM
    assert kernel(old_group("slurm/uid_1/job_2", limit=2_000_000, used=1_900_000, inactive=400_000)) == 500_000


def test_a_container_that_sees_the_path_of_its_host_has_its_group_at_the_root(kernel: Kernel) -> None:
    files = {"proc/self/cgroup": "7:memory:/docker/8f3a\n"}
    assert kernel(MEMINFO | files | old_group("", limit=2_000_000, used=1_000_000, inactive=0)) == 1_000_000
