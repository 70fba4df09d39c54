import json
from pathlib import Path

import pytest

from benchmarks.data.s3_service import QUICK
from benchmarks.s3_stream import CASES, run, summary


def test_ratios_are_medians_of_those_of_single_rounds() -> None:
    """Rounds in which everything was slow count as much as others."""

    def record(seconds: float) -> dict[str, float]:
        return {"bytes": 1e9, "seconds": seconds, "client_cpu_s": 1.5, "server_cpu_s": 2.0}

    seconds = [(1.0, 0.9, 0.5), (10.0, 8.0, 4.0), (1.0, 0.5, 0.5)]
    found = summary([dict(zip(("stream", "plain", "larger"), map(record, each), strict=True)) for each in seconds])
    assert (found["least_ratio"], found["ratio"], found["most_ratio"]) == pytest.approx((0.5, 0.8, 0.9))
    assert found["ratio_over_larger_ranges"] == 0.5
    assert found["stream"] == {"bytes_per_s": 1e9, "client_cpu_s_per_gb": 1.5, "server_cpu_s_per_gb": 2.0}


@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.usefixtures("gateway")
def test_a_small_run_from_end_to_end(tmp_path: Path) -> None:
    results = run(tmp_path, QUICK, rounds=2, names=["int8_zstd_20ms"])
    case = json.loads(json.dumps(results))["cases"]["int8_zstd_20ms"]
    assert results["ratios"].keys() <= CASES.keys()
    assert case["ratio"] > 0
    assert case["rows"] == QUICK.rows
    assert case["requests"] > 1
    assert len(case["measured"]) == 2
    assert case["plain"]["client_cpu_s_per_gb"] > 0
