"""Who takes part in the stream benchmark: a table of names and of the functions that open them."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple

from benchmarks.stream_contract import Contestant, Setting

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
        "actstore": Entry("**actstore**, `windows`, float16", "stream_ours", "float16"),
        "actstore_uniform": Entry("**actstore**, `uniform`, float16", "stream_ours", "float16_uniform"),
        "actstore_int8": Entry("**actstore**, `windows`, int8", "stream_ours", "int8"),
        "actstore_int8_uniform": Entry("**actstore**, `uniform`, int8", "stream_ours", "int8_uniform"),
        "ram_gather": Entry("limit: gather from RAM", "stream_limits", "ram_gather"),
        "memmap_gather": Entry("limit: gather from one mapped file", "stream_limits", "memmap_gather"),
        "pread": Entry("limit: read only", "stream_limits", "pread"),
        "zarr": Entry("zarr-python", "stream_arrays", "zarr", ("zarr",)),
        "zarrs": Entry("zarr-python with zarrs", "stream_arrays", "zarrs", ("zarrs", "zarr")),
        "zarrs_plain": Entry("zarr-python with zarrs, plain gather", "stream_arrays", "zarrs_plain", ("zarrs", "zarr")),
        "tensorstore": Entry("TensorStore", "stream_arrays", "tensorstore", ("tensorstore",)),
        "litdata_blocks": Entry("LitData, blocks", "stream_files", "litdata_blocks", ("litdata",), own_rows=True),
        "litdata_blocks_plain": Entry(
            "LitData, blocks, plain gather",
            "stream_files",
            "litdata_blocks_plain",
            ("litdata",),
            prepared_as="litdata_blocks",
        ),
        "litdata_rows": Entry("LitData, rows", "stream_files", "litdata_rows", ("litdata",), own_rows=True),
        "datasets": Entry("Hugging Face datasets", "stream_files", "datasets", ("datasets", "pyarrow"), own_rows=True),
        "torch_files": Entry("torch `.pt` files", "stream_files", "torch_files", own_rows=True),
        "annbatch": Entry("annbatch", "stream_annbatch", "annbatch", ("annbatch", "zarrs"), own_rows=True),
        "annbatch_float16": Entry(
            "annbatch, left in float16",
            "stream_annbatch",
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
