from benchmarks.pages.stream_tables import s3_stream_table

MACHINE = {"processor": "some", "cores": 2, "torch": "2.13", "numpy": "2.4"}


def test_s3_cases_are_shown_with_their_ratio() -> None:
    def who(rate: float) -> dict[str, float]:
        return {"bytes_per_s": rate, "client_cpu_s_per_gb": 1.0}

    case = {
        "store": "int8_zstd", "sites": 2, "latency_s": 0.02, "bytes": 2**30, "requests": 2**10,
        "ratio": 0.87, "least_ratio": 0.8, "most_ratio": 0.9,
        "stream": who(87e6), "plain": who(100e6), "larger": who(200e6),
    }  # fmt: skip
    table = s3_stream_table({"machine": MACHINE, "commit": "0", "rounds": 5, "cases": {"one": case}})
    assert "| int8, zstd, 2 sites, 20 ms away | 1024 KiB | 87 | 100 | 0.87 (0.80 to 0.90) | 200 | 1.0 / 1.0 |" in table
