"""What comes before the first task is written once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from actstore.access.open import LocalObjects
from actstore.errors import RecipeChangedError, StoreError
from actstore.store.format.canonical import sha256_hex
from actstore.store.write.facts import CompressionFacts
from actstore.store.write.freeze import complete_metadata, freeze, has_sequences, metadata_objects, says_the_same
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen

StoreOf = Callable[..., Path]


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


@pytest.fixture
def sequences(store_of: StoreOf) -> Path:
    return store_of() / "sequences.parquet"


def test_a_frozen_store_opens_with_plain_zarr(tmp_path: Path, frozen: FrozenRecipe, sequences: Path) -> None:
    objects = LocalObjects(tmp_path)
    assert freeze(objects, frozen, sequences) is frozen
    root = zarr.open_group(tmp_path, mode="r")
    assert root.attrs["actstore"] == {"format": "actstore/2", "recipe_sha256": frozen.digest}
    assert sha256_hex(objects.get("recipe.json")) == frozen.digest
    assert objects.get("sequences.parquet") == sequences.read_bytes()
    for site in frozen.sites:
        calibration = frozen.site_calibration(site.name)
        assert calibration is not None
        assert np.asarray(root[f"sites/{site.name}/center"]).tolist() == calibration.center_D.tolist()
        assert np.asarray(root[f"sites/{site.name}/channel"]).tolist() == calibration.channel_D.tolist()


def test_the_second_extractor_continues_with_the_calibration_of_the_first(
    tmp_path: Path, frozen: FrozenRecipe, sequences: Path
) -> None:
    objects = LocalObjects(tmp_path)
    freeze(objects, frozen, sequences)
    before = {path: objects.get(path) for path in objects.sizes()}
    assert frozen.calibration is not None
    other = frozen.model_copy(update={"calibration": dict.fromkeys(frozen.calibration, frozen.calibration["embed"])})
    assert freeze(objects, other, sequences) == frozen
    assert {path: objects.get(path) for path in objects.sizes()} == before


def test_the_second_extractor_continues_with_the_compressor_that_auto_chose_for_the_first(
    tmp_path: Path, frozen: FrozenRecipe, sequences: Path
) -> None:
    objects = LocalObjects(tmp_path)
    store = frozen.recipe.store.model_copy(update={"compressor": "zstd"})
    facts = CompressionFacts(rows=1024, value_bytes={"none": 100, "zstd": 10})
    zstd = {"recipe": frozen.recipe.model_copy(update={"store": store}), "compression": facts}
    first = freeze(objects, frozen.model_copy(update=zstd), sequences)
    slower = {"compression": CompressionFacts(rows=1024, value_bytes={"none": 100, "zstd": 80})}
    assert freeze(objects, frozen.model_copy(update=slower), sequences) == first
    assert zarr.open_array(tmp_path / "sites/embed/values", mode="r").compressors


def test_another_recipe_is_refused_and_leaves_the_store_as_it_was(
    tmp_path: Path, frozen: FrozenRecipe, sequences: Path
) -> None:
    objects = LocalObjects(tmp_path / "store")
    freeze(objects, frozen, sequences)
    before = {path: objects.get(path) for path in objects.sizes()}
    (tmp_path / "others").write_bytes(b"other sequences")
    other = frozen.model_copy(update={"plan_sha256": "0" * 64})
    with pytest.raises(RecipeChangedError, match="plan_sha256"):
        freeze(objects, other, tmp_path / "others")
    assert {path: objects.get(path) for path in objects.sizes()} == before


class _SecondComesMeanwhile(LocalObjects):
    """Another extractor with other plans freezes its recipe just before this one does."""

    frozen: FrozenRecipe
    sequences: Path

    def put_new(self, path: str, data: bytes) -> bool:
        if path == "recipe.json":
            freeze(LocalObjects(Path(self.uri)), self.frozen, self.sequences)
        return super().put_new(path, data)


def test_the_sequences_of_whoever_comes_too_late_replace_nothing(
    tmp_path: Path, frozen: FrozenRecipe, sequences: Path
) -> None:
    objects = _SecondComesMeanwhile(tmp_path / "store")
    objects.frozen, objects.sequences = frozen, sequences
    (tmp_path / "others").write_bytes(b"other sequences")
    other = frozen.model_copy(update={"plan_sha256": "0" * 64, "sequences_sha256": sha256_hex(b"other sequences")})
    with pytest.raises(RecipeChangedError, match="plan_sha256"):
        freeze(objects, other, tmp_path / "others")
    assert sha256_hex(objects.get("sequences.parquet")) == load_frozen(objects).sequences_sha256


def test_sequences_lost_when_the_first_extractor_was_killed_are_written_by_the_next(
    tmp_path: Path, frozen: FrozenRecipe, sequences: Path
) -> None:
    objects = LocalObjects(tmp_path / "store")
    objects.put("recipe.json", frozen.to_json())
    assert not has_sequences(objects)
    (tmp_path / "others").write_bytes(b"other sequences")
    other = frozen.model_copy(update={"sequences_sha256": sha256_hex(b"other sequences")})
    with pytest.raises(StoreError, match=r"sequences\.parquet is missing, and comes out here .* use pyarrow "):
        freeze(objects, other, tmp_path / "others")
    freeze(objects, frozen, sequences)
    assert has_sequences(objects)
    assert objects.get("sequences.parquet") == sequences.read_bytes()
    freeze(objects, other, tmp_path / "others")
    assert objects.get("sequences.parquet") == sequences.read_bytes()


def test_metadata_lost_when_the_first_extractor_was_killed_are_completed(own_store: StoreOf) -> None:
    folder = own_store()
    objects = LocalObjects(folder)
    before = {path: objects.get(path) for path in objects.sizes()}
    (folder / "zarr.json").unlink()
    shutil.rmtree(folder / "sites/embed/center")
    (folder / "sites/embed/values/zarr.json").unlink()
    complete_metadata(objects, load_frozen(objects))
    assert {path: objects.get(path) for path in objects.sizes()} == before


@pytest.mark.parametrize("encoding", ["int8", "float16"])
def test_metadata_of_a_recipe_are_those_in_its_store(store_of: StoreOf, encoding: str) -> None:
    objects = LocalObjects(store_of(**({} if encoding == "int8" else {"store.encoding": encoding})))
    contents = metadata_objects(load_frozen(objects))
    assert {path: objects.get(path) for path in contents} == contents
    assert {path for path in objects.sizes() if path.endswith("zarr.json")} <= contents.keys()


@pytest.mark.parametrize(
    ("stored", "same"),
    [
        (b'{"node_type":"array","shape":[4]}', True),
        (b'{ "shape": [4],  "node_type": "array", "dimension_names": null }', True),
        (b'{"node_type":"array"}', False),
        (b'{"node_type":"array","shape":[5]}', False),
        (b'{"node_type":"group","shape":[4]}', False),
        (b'["node_type"]', False),
        (b"", False),
        (b"\x00" * 20, False),
        (b"[" * 100_000, False),
    ],
)
def test_metadata_are_compared_by_what_they_say(stored: bytes, same: bool) -> None:
    assert says_the_same(stored, b'{"node_type":"array","shape":[4],"storage_transformers":[]}') is same
