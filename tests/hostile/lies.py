"""Stores that lie with every digest right. A new lie is one row of `LIES`."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile.sealing import INDEX_BYTES, change_document, change_object, numbers, reseal

__all__ = ["LIES", "Lie", "tell"]

VALUES = "sites/resid_post.2/values"
NAN, INF = float("nan"), float("inf")

Change = Callable[[Path], None]


class Lie(NamedTuple):
    """A change of a store that `verify` has to find when all digests are right."""

    change: Change
    found_in: str
    """Object that a fault names."""
    encoding: str = "float16"
    sealed: bool = True
    """Whether digests are computed anew after the change."""
    needs_model: bool = False
    """Whether only the model tells it from the truth."""


def tell(lie: Lie, store: Path) -> None:
    """Change a store, and seal it."""
    lie.change(store)
    if lie.sealed:
        reseal(store)


def _values(path: str, dtype: str, change: Callable[[Any], Any], *, sharded: bool = True) -> Change:
    return lambda store: numbers(store / path, dtype, change, sharded=sharded)


def _document(path: str, change: Callable[[Any], Any]) -> Change:
    return lambda store: change_document(store / path, change)


def _put(*steps: str | int, value: Any) -> Callable[[Any], None]:
    """Replace one part of a document."""

    def change(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        document[steps[-1]] = value

    return change


def _fill(value: float, *, first: int | None = None) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        values[slice(None, first)] = value

    return change


def _table(change: Callable[[dict[str, list[Any]]], Any]) -> Change:
    """Write other sequences, in the same columns."""

    def apply(store: Path) -> None:
        path = store / "sequences.parquet"
        table = pq.read_table(path)
        columns = table.to_pydict()
        change(columns)
        fresh = pa.table(columns, schema=table.schema)
        pq.write_table(fresh, path, compression="zstd", row_group_size=1024, write_page_checksum=True)

    return apply


def _bytes(path: str, data: bytes) -> Change:
    def apply(store: Path) -> None:
        (store / path).write_bytes(data)

    return apply


def _index(change: Callable[[Any], Any]) -> Change:
    """Change the index of a shard; its own checksum is right."""

    def apply(store: Path) -> None:
        def bend(data: bytearray) -> None:
            index = np.frombuffer(bytes(data[-INDEX_BYTES:-4]), dtype="<u8").reshape(-1, 2).copy()
            change(index)
            data[-INDEX_BYTES:-4] = index.tobytes()
            data[-4:] = google_crc32c.value(index.tobytes()).to_bytes(4, "little")

        change_object(store / f"{VALUES}/c/0/0", bend)

    return apply


def _swap_rows(columns: dict[str, list[Any]]) -> None:
    for column in columns.values():
        column[0], column[1] = column[1], column[0]


def _shorten(columns: dict[str, list[Any]]) -> None:
    columns["residues"][0] = columns["residues"][0][:-1]
    columns["length"][0] -= 1


def _drop_last(columns: dict[str, list[Any]]) -> None:
    for column in columns.values():
        column.pop()


def _first_row(values: Any) -> None:
    values[: len(values) // 512] = NAN


def _halve(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _not_a_number() -> Iterator[tuple[str, Lie]]:
    first = f"{VALUES}/c/0/0"
    yield "rows of NaN", Lie(_values(first, "<f2", _fill(NAN)), first)
    yield "one row of NaN", Lie(_values(first, "<f2", _first_row), first)
    yield "one value is infinite", Lie(_values(first, "<f2", _fill(-INF, first=1)), first)
    yield "rows of NaN as bfloat16", Lie(_values(first, "<u2", _fill(0x7FC0)), first, encoding="bfloat16")
    yield "one NaN as bfloat16", Lie(_values(first, "<u2", _fill(0xFF81, first=1)), first, encoding="bfloat16")
    for encoding, path in (("int8", "scales/row/c/0/0"), ("int4", "scales/group/c/0/0/0")):
        for name, value in (("NaN", NAN), ("infinite", INF)):
            yield f"{encoding} scales are {name}", Lie(_values(path, "<f2", _fill(value)), path, encoding=encoding)
            lie = Lie(_values(path, "<f2", _fill(value, first=1)), path, encoding=encoding)
            yield f"one {encoding} scale is {name}", lie
    for name in ("mean", "m2", "noise", "norm_sum", "max_abs"):
        path = f"statistics/{name}/c/0/0" + ("" if name == "norm_sum" else "/0")
        dtype = "<f4" if name == "max_abs" else "<f8"
        for word, value in (("NaN", NAN), ("infinite", INF), ("below zero", -1.0), ("1e30", 1e30)):
            # Of two statistics that contradict each other, either may be named.
            found_in = path if value in (NAN, INF) else "statistics/"
            yield f"statistic {name} is {word}", Lie(_values(path, dtype, _fill(value), sharded=False), found_in)
            lie = Lie(_values(path, dtype, _fill(value, first=1), sharded=False), found_in)
            yield f"statistic {name} of one channel is {word}", lie
    for name in ("count", "saturated"):
        path = f"statistics/{name}/c/0/0"
        for value in (-1, 7, 1 << 62):
            yield f"statistic {name} is {value}", Lie(_values(path, "<i8", _fill(value), sharded=False), path)


def _manifest() -> Iterator[tuple[str, Lie]]:
    statistics = ("statistics", "resid_post.2")
    for name in ("mean_square_norm", "mean_norm", "max_abs"):
        for value in (1e308, 0.0, 1e-300, 12345.0):
            yield (
                f"manifest: {name} is {value}",
                Lie(_document("manifest.json", _put(*statistics, name, value=value)), "manifest.json", sealed=False),
            )
    for what, value in (("count", 0), ("count", 1 << 62), ("saturated", 5), ("sqnr_worst_channel", 1 << 30)):
        change = _put(*statistics, what, value=value)
        yield f"manifest: {what} is {value}", Lie(_document("manifest.json", change), "manifest.json", sealed=False)
    change = _put("stored", "payload_rows", value=1 << 60)
    yield "manifest: payload_rows", Lie(_document("manifest.json", change), "manifest.json", sealed=False)
    change = _put("commits", 0, value=None)
    yield "manifest: a task is left out", Lie(_document("manifest.json", change), "manifest.json", sealed=False)


def _sequences() -> Iterator[tuple[str, Lie]]:
    path = "sequences.parquet"
    yield "sequences are no Parquet", Lie(_bytes(path, b"not parquet at all" * 100), path)
    yield "sequences are empty", Lie(_bytes(path, b""), path)
    yield "sequences end early", Lie(lambda store: change_object(store / path, _halve), path)
    yield "sequences in another order", Lie(_table(_swap_rows), path)
    yield "a sequence is shorter", Lie(_table(_shorten), path)
    yield "a sequence is missing", Lie(_table(_drop_last), path)
    yield "another id", Lie(_table(lambda columns: columns["id"].__setitem__(0, "another")), path)
    yield "another split", Lie(_table(lambda columns: columns["split"].__setitem__(0, "elsewhere")), path)
    yield "other numbers of rows", Lie(_table(lambda columns: columns["rows"].__setitem__(0, 1)), path)
    yield "a length below zero", Lie(_table(lambda columns: columns["length"].__setitem__(0, -5)), path)
    yield (
        "a length that its residues do not have",
        Lie(_table(lambda columns: columns["length"].__setitem__(0, 3)), path),
    )
    yield (
        "residues are not letters",
        Lie(_table(lambda columns: columns["residues"].__setitem__(0, "\x1b[2J" + columns["residues"][0][4:])), path),
    )


def _metadata() -> Iterator[tuple[str, Lie]]:
    for array in (VALUES, "rows/sequence", "statistics/mean"):
        path = f"{array}/zarr.json"
        changes: dict[str, Callable[[Any], Any]] = {
            "shape": lambda node: node["shape"].__setitem__(0, 10**12),
            "shape is empty": _put("shape", value=[]),
            "data type": _put("data_type", value="complex64"),
            "fill value": _put("fill_value", value=7),
            "chunk grid": lambda node: node["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(0, 3),
            "codecs": _put("codecs", value=[{"name": "bytes"}]),
            "node type": _put("node_type", value="group"),
            "attributes": _put("attributes", value={"actstore": {"site": "resid_post.5"}}),
            "storage transformers": _put("storage_transformers", value=[{"name": "elsewhere"}]),
            "no object": lambda _: [1],
        }
        for name, change in changes.items():
            yield f"{path}: {name}", Lie(_document(path, change), path)
    consolidated = {"kind": "inline", "must_understand": False, "metadata": {VALUES: {"shape": [1]}}}
    for name, change in {
        "another format": _put("attributes", "actstore", "format", value="actstore/9"),
        "consolidated metadata": _put("consolidated_metadata", value=consolidated),
        "an array": _put("node_type", value="array"),
    }.items():
        yield f"zarr.json: {name}", Lie(_document("zarr.json", change), "zarr.json")


def _recipe() -> Iterator[tuple[str, Lie]]:
    changes: dict[str, tuple[tuple[str | int, ...], Any]] = {
        "seed": (("recipe", "seed"), 1),
        "fraction": (("recipe", "rows", "fraction"), 0.5),
        "window": (("recipe", "corpus", "window_residues"), 300),
        "plan": (("plan_sha256",), "0" * 64),
        "sequences": (("corpus", "sequences"), 10**12),
        "residues": (("corpus", "residues"), 5),
        "sequences of a split": (("splits", "train", "sequences"), 1),
    }
    for name, (steps, value) in changes.items():
        yield f"recipe: {name}", Lie(_document("recipe.json", _put(*steps, value=value)), "")

    def move_site(store: Path) -> None:
        module = "encoder.layer.0"
        change_document(store / "recipe.json", _put("sites", 0, 1, value=module))
        path = store / VALUES / "zarr.json"
        node = json.loads(path.read_bytes())
        node["attributes"]["actstore"]["module"] = module
        path.write_text(json.dumps(node, indent=2))

    yield "recipe: module of a site", Lie(move_site, "recipe.json", needs_model=True)


def _commits() -> Iterator[tuple[str, Lie]]:
    path = "commits/0.json"
    first = f"{VALUES}/c/0/0"
    yield "commit: rows", Lie(_document(path, _put("rows", value=5)), path)
    yield "commit: split", Lie(_document(path, _put("split", value="valid")), path)
    yield "commit: a checksum too few", Lie(_document(path, _put("objects", first, "crc32c", value="")), path)


def _shards() -> Iterator[tuple[str, Lie]]:
    path = f"{VALUES}/c/0/0"
    most = np.iinfo(np.uint64).max

    def swap(index: Any) -> None:
        index[[0, 1]] = index[[1, 0]]

    def outside(index: Any) -> None:
        index[0, 0] = 1 << 40

    def longer(index: Any) -> None:
        index[0, 1] = 1 << 40

    def nearly_endless(index: Any) -> None:
        index[0] = most - 1

    def absent(index: Any) -> None:
        index[-1] = most

    def shifted(index: Any) -> None:
        index[0] -= np.array([0, 1], dtype=np.uint64)

    for change in (swap, outside, longer, nearly_endless, absent, shifted):
        yield f"shard index: {change.__name__}", Lie(_index(change), path)
    yield "bytes after the rows", Lie(lambda store: change_object(store / path, _insert), "commits/0.json")


def _insert(data: bytearray) -> None:
    data[-INDEX_BYTES:-INDEX_BYTES] = b"more" * 64


def _rows() -> Iterator[tuple[str, Lie]]:
    def exchange(values: Any) -> None:
        place = int(np.flatnonzero(values != values[0])[0])
        values[[0, place]] = values[[place, 0]]

    for column, dtype in (("sequence", "<i8"), ("position", "<i4"), ("token", "<i2")):
        path = f"rows/{column}/c/0"
        for name, change in {
            "of other rows": exchange,
            "below zero": _fill(-7, first=1),
            "beyond all": _fill(30_000, first=1),
            "a hole": _fill(-1, first=1),
            "everywhere one": _fill(0),
        }.items():
            # Which of two tasks has the wrong token of a letter is not known.
            found_in = "rows/token/c/" if (column, name) == ("token", "everywhere one") else path
            yield f"rows/{column}: {name}", Lie(_values(path, dtype, change), found_in)
    last = "rows/sequence/c/2"
    yield "a row after the last", Lie(_values(last, "<i8", lambda values: values.__setitem__(-1, 0)), last)


def _calibration() -> Iterator[tuple[str, Lie]]:
    for name in ("center", "channel"):
        for word, value in (("NaN", NAN), ("infinite", INF), ("zero", 0.0), ("below zero", -1.0), ("1e38", 1e38)):
            if name == "center" and word in {"zero", "below zero"}:
                continue

            def change(recipe: Any, name: str = name, value: float = value) -> None:
                facts = recipe["calibration"]["resid_post.2"]
                values = np.frombuffer(base64.b64decode(facts[name]), dtype="<f4").copy()
                values[3] = value
                facts[name] = base64.b64encode(values.tobytes()).decode()

            yield f"calibration {name} is {word}", Lie(_document("recipe.json", change), "", encoding="int8")


LIES: dict[str, Lie] = dict(
    lie
    for lies in (
        _not_a_number,
        _manifest,
        _sequences,
        _metadata,
        _recipe,
        _commits,
        _shards,
        _rows,
        _calibration,
    )
    for lie in lies()
)
