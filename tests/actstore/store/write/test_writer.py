"""A task is written any number of times, by anybody, with one result."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.hashing import Purpose, derive_key, permutation
from actstore.contracts.recipe import Recipe
from actstore.contracts.tasks import Task, TaskRows
from actstore.errors import CorruptObjectError, NumericsError
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.canonical import sha256_hex
from actstore.store.write.commit import load_commit
from actstore.store.write.freeze import freeze
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.writer import commit_of, encode_task, write_task

StoreOf = Callable[..., Path]
RowsOf = Callable[[LocalObjects, int], TaskRows]


@pytest.fixture(scope="module")
def source(store_of: StoreOf) -> LocalObjects:
    return LocalObjects(store_of())


@pytest.fixture(scope="module")
def frozen(source: LocalObjects) -> FrozenRecipe:
    return load_frozen(source)


@pytest.fixture(scope="module")
def rows(source: LocalObjects, rows_of: RowsOf) -> TaskRows:
    return rows_of(source, 1)


@pytest.fixture
def task(frozen: FrozenRecipe) -> Task:
    count = frozen.rows_of(1)
    return Task(1, frozen.split_of(1), count, (), permutation(derive_key(0, Purpose.ROW_ORDER, 1), count))


@pytest.fixture
def objects(tmp_path: Path, frozen: FrozenRecipe, source: LocalObjects) -> LocalObjects:
    """A store that is frozen and has no tasks yet."""
    fresh = LocalObjects(tmp_path / "store")
    freeze(fresh, frozen, source.local_path("sequences.parquet"))
    return fresh


def content(objects: LocalObjects) -> dict[str, bytes]:
    return {path: objects.get(path) for path in objects.sizes()}


def with_values(rows: TaskRows, site: str, values_ND: NDArray[np.float32]) -> TaskRows:
    return replace(rows, values=rows.values | {site: values_ND})


def test_it_writes_what_the_extraction_wrote(
    objects: LocalObjects, source: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    commit = write_task(objects, frozen, task, rows)
    assert commit == load_commit(objects, 1) == load_commit(source, 1)
    for path in commit.objects:
        assert objects.get(path) == source.get(path)


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_plain_zarr_and_the_formula_give_the_rows_back(store_of: StoreOf, rows_of: RowsOf, encoding: str) -> None:
    """As docs/reference/format.md has it: centre + channel * scale * q, or the number itself."""
    folder = store_of(**({} if encoding == "int8" else {"store.encoding": encoding}))
    rows = rows_of(LocalObjects(folder), 1)
    root = zarr.open_group(folder, mode="r")
    here = slice(1024, 2048)

    def read(path: str) -> NDArray[np.float64]:
        array = root[path]
        assert isinstance(array, zarr.Array)
        return np.asarray(array[here] if array.shape[0] > 16 else array[...])

    assert read("rows/sequence").tolist() == rows.sequence_N.tolist()
    assert read("rows/position").tolist() == rows.position_N.tolist()
    assert read("rows/token").tolist() == rows.token_N.tolist()
    for index, site in enumerate(rows.values):
        stored = read(f"sites/{site}/values")
        if encoding == "int8":
            center_D, channel_D = read(f"sites/{site}/center"), read(f"sites/{site}/channel")
            decoded = center_D + channel_D * read("scales/row")[:, index, None].astype(np.float32) * stored
            tolerance = channel_D * read("scales/row")[:, index, None].astype(np.float32) / 2
        elif encoding == "int4":
            center_D, channel_D = read(f"sites/{site}/center"), read(f"sites/{site}/channel")
            step = channel_D * read("scales/group")[:, index].astype(np.float32)
            q = np.stack([stored % 16, stored // 16], axis=-1).reshape(len(stored), -1).astype(np.float32) - 8
            decoded, tolerance = center_D + step * q, np.abs(step) / 2
        elif encoding == "bfloat16":
            decoded = (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
            tolerance = np.abs(decoded) * 2.0**-8
        else:
            decoded, tolerance = stored, np.abs(stored.astype(np.float32)) * 2.0**-11 + 2.0**-25
        assert (np.abs(decoded - rows.values[site]) <= tolerance * 1.001 + 1e-5).all()


def test_writing_twice_gives_the_same_bytes(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    write_task(objects, frozen, task, rows)
    before = content(objects)
    write_task(objects, frozen, task, rows)
    assert content(objects) == before


def test_the_commit_is_written_last_and_before_it_what_tells_plain_zarr_that_there_are_rows(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    put_new = LocalObjects.put_new

    def recorded(self: LocalObjects, path: str, data: bytes) -> bool:
        order.append(path)
        return put_new(self, path, data)

    monkeypatch.setattr(LocalObjects, "put_new", recorded)
    commit = write_task(objects, frozen, task, rows)
    assert order[-2:] == ["rows/sequence/c/1", "commits/1.json"]
    assert set(order[:-1]) == set(commit.objects)


def test_a_leftover_with_other_bytes_is_replaced(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    """A killed writer on other hardware may have left its own objects; without a commit they count for nothing."""
    objects.put("sites/embed/values/c/1/0", b"other bytes")
    commit = write_task(objects, frozen, task, rows)
    assert sha256_hex(objects.get("sites/embed/values/c/1/0")) == commit.objects["sites/embed/values/c/1/0"].sha256


def test_a_second_writer_with_other_bytes_leaves_a_committed_task_alone(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    first = write_task(objects, frozen, task, rows)
    before = content(objects)
    other = with_values(rows, "embed", rows.values["embed"] + np.float32(0.01))
    assert write_task(objects, frozen, task, other) == first
    assert content(objects) == before


def test_two_writers_at_once_do_no_harm(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    with ThreadPoolExecutor(4) as pool:
        commits = [done.result() for done in [pool.submit(write_task, objects, frozen, task, rows) for _ in range(4)]]
    assert all(commit == commits[0] for commit in commits)
    for path, stored in load_commit(objects, 1).objects.items():
        assert sha256_hex(objects.get(path)) == stored.sha256


def recoded(frozen: FrozenRecipe, **store: object) -> FrozenRecipe:
    recipe = Recipe.model_validate(frozen.recipe.model_dump() | {"store": frozen.recipe.store.model_dump() | store})
    return frozen.model_copy(update={"recipe": recipe, "calibration": None})


def test_an_overflow_stops_the_task_and_says_where(frozen: FrozenRecipe, task: Task, rows: TaskRows) -> None:
    values_ND = rows.values["resid_post.1"].copy()
    values_ND[[7, 9], 3] = [70_000, -1e6]
    place = rf"P{rows.sequence_N[7]}, residue {rows.position_N[7] + 1}, site resid_post\.1"
    wrong = with_values(rows, "resid_post.1", values_ND)
    with pytest.raises(NumericsError, match=rf"{place}: 1 values exceed float16 .* 1 more rows .*bfloat16"):
        encode_task(recoded(frozen, encoding="float16"), task, wrong, name_of=lambda sequence: f"P{sequence}")


def test_an_overflow_may_be_clamped_and_is_counted(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    values_ND = rows.values["resid_post.1"].copy()
    values_ND[[7, 9], 3] = [70_000, -1e6]
    saturating = recoded(frozen, encoding="float16", on_overflow="saturate")
    shards = encode_task(saturating, task, with_values(rows, "resid_post.1", values_ND))
    stored = np.frombuffer(shards["sites/resid_post.1/values/c/1/0"].data, "<f2", 1024 * 16).reshape(1024, 16)
    assert stored[[7, 9], 3].tolist() == [65504, -65504]
    saturated = np.frombuffer(shards["statistics/saturated/c/1/0"].data, "<i8")
    assert saturated.tolist() == [0, 0, 2, 0]


def test_what_float16_cannot_hold_int8_and_bfloat16_can(frozen: FrozenRecipe, task: Task, rows: TaskRows) -> None:
    values_ND = rows.values["embed"].copy()
    values_ND[7, 3] = 1e6
    large = with_values(rows, "embed", values_ND)
    for each in (frozen, recoded(frozen, encoding="bfloat16")):
        shards = encode_task(each, task, large)
        assert not np.frombuffer(shards["statistics/saturated/c/1/0"].data, "<i8").any()


def test_a_row_beyond_every_int8_scale_names_site_and_task(frozen: FrozenRecipe, task: Task, rows: TaskRows) -> None:
    values_ND = rows.values["embed"].copy()
    values_ND[7, 3] = 1e9
    with pytest.raises(NumericsError, match="site embed, task 1: int8 scale of row 7"):
        encode_task(frozen, task, with_values(rows, "embed", values_ND))


class _Meanwhile(LocalObjects):
    """Lets something happen right before or after a step of the writer."""

    before_put: Callable[[str], None] | None = None
    after_get: Callable[[str], None] | None = None
    before_commit: Callable[[], None] | None = None

    def put(self, path: str, data: bytes) -> None:
        happening, self.before_put = self.before_put, None
        if happening is not None:
            happening(path)
        super().put(path, data)

    def put_new(self, path: str, data: bytes) -> bool:
        if path.startswith("commits/") and self.before_commit is not None:
            happening, self.before_commit = self.before_commit, None
            happening()
        return super().put_new(path, data)

    def get(self, path: str) -> bytes:
        data = super().get(path)
        happening, self.after_get = self.after_get, None
        if happening is not None:
            happening(path)
        return data


class TestAWriterThatWasTakenForDead:
    """It commits just when another replaces what looked like its leftovers."""

    PATH = "sites/embed/values/c/1/0"

    @pytest.fixture
    def meanwhile(self, objects: LocalObjects) -> _Meanwhile:
        return _Meanwhile(Path(objects.uri))

    def other(self, rows: TaskRows) -> TaskRows:
        return with_values(rows, "embed", rows.values["embed"] * np.float32(1.001))

    def is_sound(self, objects: LocalObjects) -> bool:
        named = load_commit(objects, 1).objects
        return all(sha256_hex(objects.get(path)) == stored.sha256 for path, stored in named.items())

    def test_has_its_object_put_back(
        self, meanwhile: _Meanwhile, objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
    ) -> None:
        first = encode_task(frozen, task, rows)
        for path, shard in first.items():
            objects.put(path, shard.data)
        meanwhile.before_put = lambda path: finish(objects, frozen, task, rows)
        assert write_task(meanwhile, frozen, task, self.other(rows)) == commit_of(frozen, 1, first)
        assert self.is_sound(objects)

    def test_is_an_error_where_nobody_has_the_bytes(
        self, meanwhile: _Meanwhile, objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
    ) -> None:
        """A third writer's leftover was replaced by both."""
        objects.put(self.PATH, b"of a third")
        meanwhile.before_put = lambda path: finish(objects, frozen, task, rows)
        with pytest.raises(CorruptObjectError, match=rf"{self.PATH} \(task 1\) was replaced .*repair URI --task 1"):
            write_task(meanwhile, frozen, task, self.other(rows))

    def test_puts_its_object_back_itself_if_it_comes_last(
        self, meanwhile: _Meanwhile, objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
    ) -> None:
        objects.put(self.PATH, b"of a third")
        meanwhile.before_commit = lambda: objects.put(self.PATH, b"of another that has not looked yet")
        assert write_task(meanwhile, frozen, task, rows) == load_commit(objects, 1)
        assert self.is_sound(objects)

    def test_is_content_with_what_the_winner_has_put_right(
        self, meanwhile: _Meanwhile, objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
    ) -> None:
        objects.put(self.PATH, b"of a third")
        meanwhile.before_commit = lambda: finish(objects, frozen, task, self.other(rows))
        assert write_task(meanwhile, frozen, task, rows) == load_commit(objects, 1)
        assert self.is_sound(objects)


def finish(objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows) -> None:
    """Do the whole task in the place of another writer."""
    write_task(objects, frozen, task, rows)


def test_a_leftover_that_is_removed_while_it_is_taken_over_is_written_again(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows
) -> None:
    path = "sites/embed/values/c/1/0"
    objects.put(path, encode_task(frozen, task, rows)[path].data)
    meanwhile = _Meanwhile(Path(objects.uri))
    meanwhile.after_get = objects.delete
    commit = write_task(meanwhile, frozen, task, rows)
    assert sha256_hex(objects.get(path)) == commit.objects[path].sha256


def test_an_object_that_is_gone_when_it_is_looked_at_is_created(
    objects: LocalObjects, frozen: FrozenRecipe, task: Task, rows: TaskRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "sites/embed/values/c/1/0"
    objects.put(path, b"other")
    get = LocalObjects.get

    def gone(self: LocalObjects, asked: str) -> bytes:
        if asked == path:
            self.delete(path)
            monkeypatch.setattr(LocalObjects, "get", get)
        return get(self, asked)

    monkeypatch.setattr(LocalObjects, "get", gone)
    commit = write_task(objects, frozen, task, rows)
    assert sha256_hex(objects.get(path)) == commit.objects[path].sha256
