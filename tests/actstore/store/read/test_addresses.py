"""Files side by side in one stretch of addresses."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from actstore.store.read.addresses import PAGE_BYTES, AddressRange, can_map_at
from tests.actstore.store.read.mappings import mapped_files, needs_proc, resident_bytes

if not can_map_at():
    pytest.skip("this operating system does not map files at chosen addresses", allow_module_level=True)

PAGES = 40


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files of `PAGES` pages each, all different."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(rng.bytes(PAGES * PAGE_BYTES))
    return paths


def mapped_range(files: list[Path]) -> AddressRange:
    size = PAGES * PAGE_BYTES
    space = AddressRange(len(files) * size)
    for place, path in enumerate(files):
        with opened(path) as descriptor:
            space.map(descriptor, place * size, (place + 1) * size)
    return space


def test_files_side_by_side_are_one_array(files: list[Path]) -> None:
    """Also when their descriptors are closed, and with indices that jump between them."""
    whole = b"".join(path.read_bytes() for path in files)
    space = mapped_range(files)
    expected = np.frombuffer(whole, dtype="<f4").reshape(-1, 8)
    array = space.array(np.dtype("<f4"), expected.shape)
    assert array.tobytes() == whole
    rows = np.random.default_rng(1).permutation(len(expected))[:500]
    assert array[rows].tobytes() == expected[rows].tobytes()
    assert bytes(space.view(100, 3 * PAGE_BYTES + 7)) == whole[100 : 3 * PAGE_BYTES + 7]


def test_only_what_is_needed_has_to_be_mapped(files: list[Path]) -> None:
    """Addresses cost nothing: a terabyte of them, with one file somewhere."""
    space = AddressRange(1 << 40)
    start = (1 << 39) + PAGE_BYTES
    with opened(files[1]) as descriptor:
        space.map(descriptor, start, start + 100)
    assert bytes(space.view(start, start + 100)) == files[1].read_bytes()[:100]


@pytest.mark.parametrize(
    ("start", "stop"), [(1, 2), (PAGE_BYTES // 2, PAGE_BYTES), (0, 0), (0, 5 * PAGE_BYTES), (-PAGE_BYTES, 1)]
)
def test_files_are_mapped_inside_and_at_page_borders_only(files: list[Path], start: int, stop: int) -> None:
    space = AddressRange(4 * PAGE_BYTES)
    with opened(files[0]) as descriptor, pytest.raises(ValueError, match="not inside, or not at a page border"):
        space.map(descriptor, start, stop)


def test_what_cannot_be_mapped_says_why(tmp_path: Path) -> None:
    space = AddressRange(4 * PAGE_BYTES)
    with opened(tmp_path) as folder, pytest.raises(OSError, match=r"No such device|Invalid argument"):
        space.map(folder, 0, PAGE_BYTES)


def test_an_array_is_not_larger_than_the_stretch() -> None:
    space = AddressRange(PAGE_BYTES)
    space.array(np.dtype("<i8"), (PAGE_BYTES // 8,))
    with pytest.raises(ValueError, match="are more than"):
        space.array(np.dtype("<i8"), (PAGE_BYTES // 8 + 1,))


@needs_proc
def test_forgetting_gives_memory_back_and_touching_brings_it_in(files: list[Path], tmp_path: Path) -> None:
    size = PAGES * PAGE_BYTES
    space = mapped_range(files)
    array = space.array(np.dtype("u1"), (3 * size,))
    space.forget(0, 3 * size)
    assert resident_bytes(tmp_path) == 0
    space.touch(0, 3 * size)
    assert resident_bytes(tmp_path) == 3 * size
    # From the middle of a page: that page goes, too, and comes back when it is read.
    space.forget(size + 5, 2 * size)
    assert resident_bytes(tmp_path) == 2 * size
    assert array.tobytes() == b"".join(path.read_bytes() for path in files)
    assert resident_bytes(tmp_path) == 3 * size


@needs_proc
def test_files_stay_mapped_as_long_as_an_array_needs_them_and_no_longer(files: list[Path], tmp_path: Path) -> None:
    space = mapped_range(files)
    row = space.array(np.dtype("u1"), (3 * PAGES, PAGE_BYTES))[7]
    space.close()
    gc.collect()
    assert mapped_files(tmp_path) == {str(path) for path in files}
    assert row.tobytes() == files[0].read_bytes()[7 * PAGE_BYTES : 8 * PAGE_BYTES]
    del row
    gc.collect()
    assert mapped_files(tmp_path) == set()


def test_a_closed_stretch_touches_no_addresses_that_may_be_somebody_elses(files: list[Path]) -> None:
    space = mapped_range(files)
    space.close()
    with opened(files[0]) as descriptor, pytest.raises(ValueError, match="bytes 0 to 4096 of 0: not inside"):
        space.map(descriptor, 0, 4096)
    with pytest.raises(ValueError, match="bytes 0 to 10 of 0"):
        space.forget(0, 10)
    with pytest.raises(ValueError, match="more than 0 bytes"):
        space.array(np.dtype("u1"), (1,))
    space.touch(0, 10)


def test_nothing_can_be_written_through_the_array(files: list[Path]) -> None:
    """Whoever tries is stopped by the processor, before a byte of the store has changed."""
    before = files[0].read_bytes()
    program = f"""
import os
import numpy as np
from actstore.store.read.addresses import PAGE_BYTES, AddressRange
space = AddressRange(PAGE_BYTES)
space.map(os.open({str(files[0])!r}, os.O_RDONLY), 0, PAGE_BYTES)
array = space.array(np.dtype("u1"), (PAGE_BYTES,))
print(array[:10].sum(), flush=True)
array[0] ^= 1
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == f"{sum(before[:10])}\n"
    assert done.returncode in {-signal.SIGSEGV, -signal.SIGBUS}
    assert files[0].read_bytes() == before
