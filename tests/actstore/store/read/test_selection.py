"""Which arrays make up the rows of some sites."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.models import Site
from actstore.contracts.windows import RowBuffer, RowLayout
from actstore.errors import SiteError
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import open_manifest
from actstore.store.read.selection import StoredColumns

StoreOf = Callable[..., Path]


def columns_of(manifest: Manifest, *sites: str) -> StoredColumns:
    return StoredColumns.of(manifest, sites, uri="a store")


def with_widths(manifest: Manifest, widths: dict[str, int]) -> Manifest:
    """Return a manifest whose sites have other widths, as a model with a projection would give."""
    sites = tuple(Site(site.name, site.module, widths.get(site.name, site.width)) for site in manifest.sites)
    return manifest.model_copy(update={"frozen": manifest.frozen.model_copy(update={"sites": sites})})


@pytest.mark.parametrize(
    ("encoding", "scales", "layout"),
    [
        ("float16", [], RowLayout(2, 16, np.dtype("<f2"))),
        ("bfloat16", [], RowLayout(2, 16, np.dtype("<u2"))),
        ("int8", ["scales/row"], RowLayout(2, 16, np.dtype("i1"), 4, 1)),
        ("int4", ["scales/group"], RowLayout(2, 8, np.dtype("u1"), 4, 1)),
    ],
)
def test_origins_come_first_then_scales_then_sites_in_the_order_asked(
    store_of: StoreOf, encoding: str, scales: list[str], layout: RowLayout
) -> None:
    columns = columns_of(open_manifest(store_of(**{"store.encoding": encoding})), "resid_post.1", "embed")
    values = ["sites/resid_post.1/values", "sites/embed/values"]
    assert [spec.path for spec in columns.arrays] == ["rows/sequence", "rows/position", "rows/token", *scales, *values]
    assert columns.layout == layout
    assert columns.site_columns == (2, 0)


def test_sites_that_the_store_does_not_have_are_refused(store_of: StoreOf) -> None:
    with pytest.raises(SiteError, match=r"a store: no site 'resid_post\.7'; the store has embed, resid_post\.0"):
        columns_of(open_manifest(store_of()), "embed", "resid_post.7")


def test_sites_of_one_buffer_have_one_width(store_of: StoreOf) -> None:
    manifest = with_widths(open_manifest(store_of()), {"embed": 24})
    with pytest.raises(SiteError, match=r"the same number of features, not embed 24, final_norm 16"):
        columns_of(manifest, "embed", "final_norm")
    assert columns_of(manifest, "embed").layout.stored_width == 24
    assert columns_of(manifest, "final_norm", "resid_post.0").layout.stored_width == 16


def test_scales_are_as_many_as_the_widest_site_of_the_store_has(store_of: StoreOf) -> None:
    """They lie side by side, so a stream of a narrow site gets the padding, too."""
    manifest = with_widths(open_manifest(store_of(**{"store.encoding": "int4"})), {"final_norm": 400})
    narrow, wide = columns_of(manifest, "embed").layout, columns_of(manifest, "final_norm").layout
    assert (narrow.stored_width, narrow.scale_sites, narrow.scale_groups) == (8, 4, 3)
    assert (wide.stored_width, wide.scale_sites, wide.scale_groups) == (200, 4, 3)


@pytest.mark.parametrize("encoding", ["float16", "int8", "int4"])
def test_a_buffer_and_its_columns_are_the_same_memory(store_of: StoreOf, encoding: str) -> None:
    columns = columns_of(open_manifest(store_of(**{"store.encoding": encoding})), "resid_post.1", "embed")
    buffer = RowBuffer.allocate(10, columns.layout)
    arrays = columns.columns(buffer)
    assert [(array.shape, array.dtype.str) for array in arrays] == [
        ((10, *spec.shape[1:]), spec.dtype) for spec in columns.arrays
    ]
    for number, array in enumerate(arrays):
        array[:] = number
    again = columns.buffer(arrays)
    for one in (buffer, again):
        last = len(arrays) - 1
        assert [set(column_R) for column_R in one.origin] == [{0}, {1}, {2}]
        assert [values.max() for values in one.values] == [values.min() for values in one.values] == [last - 1, last]
        assert (one.scale_RTG is None) == (encoding == "float16")
        if one.scale_RTG is not None:
            assert one.scale_RTG.shape == (10, 4, 1)
            assert (one.scale_RTG == 3).all()
