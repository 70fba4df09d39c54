from benchmarks.limits.ranges import Range, cut, merged


def test_the_same_bytes_in_other_ranges() -> None:
    ranges = [Range("b", 10, 20), Range("a", 0, 7), Range("b", 0, 10), Range("b", 30, 31)]
    larger = merged(ranges)
    assert larger == [Range("a", 0, 7), Range("b", 0, 20), Range("b", 30, 31)]
    assert merged(cut(larger, 3)) == larger
    assert max(stop - start for _, start, stop in cut(larger, 3)) == 3
