"""Who takes part in the stream benchmark: a table of names and of the functions that open them."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple

from benchmarks.contestants.contract import Contestant, Setting

__all__ = ["CONTESTANTS", "Entry", "open_contestant", "prepare_contestant"]


class Entry(NamedTuple):
    """One row of the table."""

    title: str
    """In the README."""
    module: str
    """Below `benchmarks`; opens the contestant with `open_<function>`."""
    function: str
    packages: tuple[str, ...] = ()
    """Distributions that it needs besides our own; the first one gives the version in the table."""
    own_rows: bool = False
    """Whether it has a copy of the rows, which `prepare_<function>` writes."""
    prepared_as: str | None = None
    """The contestant whose copy it reads."""


CONTESTANTS: Final = MappingProxyType(
    {
        "actstore": Entry("**actstore**, `windows`, float16", "contestants.ours", "float16"),
        "actstore_uniform": Entry("**actstore**, `uniform`, float16", "contestants.ours", "float16_uniform"),
        "actstore_reuse": Entry("actstore, the same with `reuse=True`", "contestants.ours", "float16_reuse"),
        "actstore_uniform_reuse": Entry(
            "actstore, `uniform` with `reuse=True`", "contestants.ours", "float16_uniform_reuse"
        ),
        "actstore_int8": Entry("**actstore**, `windows`, int8", "contestants.ours", "int8"),
        "actstore_int8_uniform": Entry("**actstore**, `uniform`, int8", "contestants.ours", "int8_uniform"),
        "ram_gather": Entry("limit: gather from RAM", "limits.gather", "ram_gather"),
        "memmap_gather": Entry("limit: gather from one mapped file", "limits.gather", "memmap_gather"),
        "pread": Entry("limit: read only", "limits.gather", "pread"),
        "zarr": Entry("zarr-python", "contestants.arrays", "zarr", ("zarr",)),
        "zarrs": Entry("zarr-python with zarrs", "contestants.arrays", "zarrs", ("zarrs", "zarr")),
        "zarrs_plain": Entry(
            "zarr-python with zarrs, plain gather", "contestants.arrays", "zarrs_plain", ("zarrs", "zarr")
        ),
        "tensorstore": Entry("TensorStore", "contestants.arrays", "tensorstore", ("tensorstore",)),
        "litdata_blocks": Entry("LitData, blocks", "contestants.files", "litdata_blocks", ("litdata",), own_rows=True),
        "litdata_blocks_plain": Entry(
            "LitData, blocks, plain gather",
            "contestants.files",
            "litdata_blocks_plain",
            ("litdata",),
            prepared_as="litdata_blocks",
        ),
        "litdata_rows": Entry("LitData, rows", "contestants.files", "litdata_rows", ("litdata",), own_rows=True),
        "datasets": Entry(
            "Hugging Face datasets", "contestants.files", "datasets", ("datasets", "pyarrow"), own_rows=True
        ),
        "torch_files": Entry("torch `.pt` files", "contestants.files", "torch_files", own_rows=True),
        "annbatch": Entry("annbatch", "contestants.annbatch", "annbatch", ("annbatch", "zarrs"), own_rows=True),
        "annbatch_float16": Entry(
            "annbatch, left in float16",
            "contestants.annbatch",
            "annbatch_float16",
            ("annbatch", "zarrs"),
            prepared_as="annbatch",
        ),
    }
)


def prepare_contestant(name: str, setting: Setting) -> None:
    """Write a contestant's copy of the rows, if it has one and it is not there."""
    entry = CONTESTANTS[name]
    folder = setting.own_folder(name)
    if not entry.own_rows or (folder / "ready").exists():
        return
    getattr(import_module(f"benchmarks.{entry.module}"), f"prepare_{entry.function}")(setting, folder)
    (folder / "ready").touch()


def open_contestant(name: str, setting: Setting) -> Contestant:
    """Open a contestant; its module must have been imported for the memory of imports not to count."""
    entry = CONTESTANTS[name]
    opened = getattr(import_module(f"benchmarks.{entry.module}"), f"open_{entry.function}")
    copied = (setting.own_folder(entry.prepared_as or name),) if entry.own_rows or entry.prepared_as else ()
    contestant: Contestant = opened(setting, *copied)
    return contestant
