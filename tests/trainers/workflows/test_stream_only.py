from pathlib import Path

import pytest

from actstore import errors, open_manifest
from trainers.fit.config import make_config
from trainers.workflows.options import RunOptions
from trainers.workflows.stream_only import stream_only


def test_streaming_alone_reports_rates_and_mixing(store: Path) -> None:
    result = stream_only(store, make_config({"batch_rows": 256}))
    assert result.dictionary == "none"
    assert result.rows == open_manifest(store).splits["train"].rows
    assert result.rows_per_s > 0
    assert (result.order, result.path) == ("windows", "mapped")
    assert result.mixing is not None
    assert result.mixing["distinct_ratio"] == pytest.approx(1, abs=0.1)


def test_a_cache_keeps_what_was_streamed_and_changes_nothing(store: Path, tmp_path: Path) -> None:
    config = make_config({"sites": ("resid_post.3",), "batch_rows": 256})
    cache = RunOptions(cache=tmp_path / "cache", cache_bytes=1 << 30)
    for options in (RunOptions(), cache, cache):
        result = stream_only(store, config, options)
        assert result.rows == stream_only(store, config).rows
    assert list((tmp_path / "cache").glob("*/??/*"))
    with pytest.raises(errors.UsageError, match=r"cache \(--cache\) needs cache_bytes \(--cache-bytes\)"):
        stream_only(store, config, RunOptions(cache=tmp_path / "cache"))
    with pytest.raises(errors.UsageError, match=r"cache_bytes \(--cache-bytes\) needs cache \(--cache\)"):
        stream_only(store, config, RunOptions(cache_bytes=1 << 30))


def test_streaming_can_go_beyond_an_epoch(store: Path) -> None:
    rows = open_manifest(store).splits["train"].rows
    per_epoch = -(-rows // 512)
    result = stream_only(store, make_config({"batch_rows": 512, "steps": per_epoch + 2}))
    assert result.rows == rows + 1024


def test_a_stream_is_measured_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.UsageError, match=r"WORLD_SIZE=2: a stream is measured in one process"):
        stream_only("store", make_config({}))
