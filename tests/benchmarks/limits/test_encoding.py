from benchmarks.limits.encoding import measure_encoding


def test_encoding_is_measured_on_host_and_device() -> None:
    found = measure_encoding("cpu", rows=256)
    assert found.keys() == {"host_one_thread", "host_all_threads", "device", "off_the_device"}
    assert all(rate > 0 for rate in found.values())
