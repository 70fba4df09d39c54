from benchmarks.contestants.contract import FULL, Workload


def test_the_buffer_is_five_percent_of_the_rows_but_at_least_64_mib() -> None:
    one, six = (Workload.of(name, FULL) for name in ("one_site", "six_sites"))
    assert (one.batch_rows, one.columns, one.buffer_bytes) == (4096, 1024, 64 << 20)
    assert (six.batch_rows, six.columns, six.buffer_bytes) == (1024, 6144, 200_000 * 6144 * 2 // 20)
