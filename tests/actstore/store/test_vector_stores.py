"""The test vectors: today's code finds in them what other readers must find, and they cover the format."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.contracts.recipe import EncodingName
from actstore.store.read.open import open_manifest
from actstore.stream.open import open_stream
from tests.data.make_vectors import FOLDER, VECTORS, expected_content


@pytest.fixture(params=VECTORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def content(name: str) -> Any:
    """What a reader must find in the store."""
    return json.loads((FOLDER / f"{name}.json").read_bytes())


def test_they_cover_what_the_page_says() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == VECTORS.keys() | {path.stem for path in FOLDER.glob("*.json")}
    manifests = [open_manifest(FOLDER / name) for name in VECTORS]
    recipes = [manifest.frozen.recipe for manifest in manifests]
    assert {recipe.store.encoding for recipe in recipes} == set(get_args(EncodingName))
    assert {recipe.corpus.long_sequences for recipe in recipes} == {"window", "truncate", "skip"}
    assert {recipe.store.compressor for recipe in recipes} == {"none", "zstd"}
    assert {recipe.splits.clusters is None for recipe in recipes} == {True, False}
    assert {manifest.complete for manifest in manifests} == {True, False}
    assert {site.width % 2 for manifest in manifests if manifest.encoding == "int4" for site in manifest.sites} == {1}


def test_content_is_what_it_was(name: str, content: Any) -> None:
    """Sequences, plan and digests as our code gives them; values by the formulas of the page."""
    assert expected_content(FOLDER / name) == content


@pytest.mark.parametrize("kernels", ["numpy", "torch"])
def test_a_stream_gives_every_row_within_what_the_page_allows(name: str, content: Any, kernels: Any) -> None:
    """One unit in the last place of the larger of the value and its distance from the centre."""
    for site in open_manifest(FOLDER / name).sites:
        wanted = dict(_rows(content, site.name))
        calibration = open_manifest(FOLDER / name).frozen.site_calibration(site.name)
        center_D = np.zeros(site.width, np.float32) if calibration is None else calibration.center_D
        seen: list[int] = []
        with open_stream(
            FOLDER / name, sites=[site.name], split=None, batch_rows=32, kernels=kernels, allow_incomplete=True
        ) as stream:
            for batch in stream:
                seen += batch.row_B.tolist()
                wanted_BD = np.stack([wanted[row] for row in batch.row_B.tolist()])
                unit_BD = np.spacing(np.maximum(np.abs(wanted_BD), np.abs(wanted_BD - center_D)))
                assert (np.abs(np.asarray(batch.values_BSD)[:, 0] - wanted_BD) <= unit_BD).all()
        assert sorted(seen) == sorted(wanted)


def _rows(content: Any, site: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield global rows that are there, and their values."""
    for task in content["tasks"]:
        for row, values in enumerate(task["values"][site] if task["values"] else ()):
            yield task["first_row"] + row, np.array(values, np.float32)
