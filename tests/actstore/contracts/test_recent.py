"""The values used last are kept, and no more."""

from concurrent.futures import ThreadPoolExecutor

from actstore.contracts.recent import Recent


def test_the_values_used_last_are_kept() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    recent = Recent[str, str](most=2)
    for key in "abacaba":
        assert recent.get(key, lambda key=key: make(key)) == key.upper()  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
    recent.clear()
    recent.get("a", lambda: make("a"))
    assert made == ["a", "b", "c", "b", "a"]


def test_threads_may_share_it() -> None:
    recent = Recent[int, int](most=3)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: recent.get(number % 5, lambda: number % 5), range(2000)))
    assert found == [number % 5 for number in range(2000)]
