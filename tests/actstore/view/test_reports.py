from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.store.read.open import locate_store
from actstore.view.reports import report_manifest

StoreOf = Callable[..., Path]


def test_a_finished_store_adds_up(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    report = report_manifest(manifest.model_copy(update={"uri": objects.uri}))
    assert (report.uri, report.manifest_sha256) == (str(store_of()), manifest.digest)
    assert report.rows == report.rows_done == sum(split.rows for split in report.splits.values())
    assert report.sequences == sum(split.sequences for split in report.splits.values()) == 60
    assert report.tasks_total == sum(split.tasks_total for split in report.splits.values())
    assert all(split.tasks_done == split.tasks_total for split in report.splits.values())


@pytest.mark.parametrize(
    ("encoding", "bytes_per_row"), [("int8", 4 * (16 + 2)), ("int4", 4 * (8 + 2)), ("float16", 4 * 16 * 2)]
)
def test_a_row_takes_its_values_and_scales_and_nothing_else(
    encoding: str, bytes_per_row: int, store_of: StoreOf
) -> None:
    manifest, _ = locate_store(store_of(**{"store.encoding": encoding}))
    report = report_manifest(manifest)
    assert report.bytes_per_row == bytes_per_row
    assert report.ratio_to_fp16 == 4 * 16 * 2 / bytes_per_row
    assert report.bits_per_value == 8 * bytes_per_row / (4 * 16)
    assert report.bytes_total > report.rows * bytes_per_row


def test_compressed_rows_count_as_they_are_stored(store_of: StoreOf) -> None:
    plain, packed = (
        report_manifest(locate_store(store_of(**{"store.compressor": name}))[0]) for name in ("none", "zstd")
    )
    assert packed.compressor == "zstd"
    assert packed.bytes_per_row < plain.bytes_per_row
    assert packed.ratio_to_fp16 > plain.ratio_to_fp16


def test_outlier_channels_come_with_their_size(store_of: StoreOf) -> None:
    for site in report_manifest(locate_store(store_of())[0]).sites.values():
        [(channel, ratio)] = site.outlier_channels.items()
        assert 0 <= channel < 16
        assert 20 < ratio < 120


def test_licence_and_citation_of_the_sources_are_told_where_the_recipe_tells_them(store_of: StoreOf) -> None:
    report = report_manifest(locate_store(store_of(**{"model.license": "MIT", "corpus.citation": "@misc{a}"}))[0])
    assert (report.licenses, report.citations) == ({"model": "MIT"}, {"corpus": "@misc{a}"})
    untold = report_manifest(locate_store(store_of())[0])
    assert (untold.licenses, untold.citations) == ({}, {})
