"""Draws are part of the on-disk format: these literals may never change."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.hashing import Purpose, derive_key, draws, hash_text, permutation, uniform

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
words = st.integers(0, WORD)


def mix(z: int) -> int:
    """The finaliser as docs/reference/format.md writes it, in integers of any size."""
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 & WORD
    z ^= z >> 27
    z = z * 0x94D049BB133111EB & WORD
    return z ^ z >> 31


def draw(key: int, counter: int) -> int:
    return int(draws(key, np.array([counter], dtype=np.uint64))[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [("", 13020603013274838756), ("P62258", 4235437287920438186), ("sp|Q9|ü", 17992670289604530383)],
)
def test_hash_text_is_frozen(text: str, value: int) -> None:
    assert hash_text(text) == value


@pytest.mark.parametrize(
    ("seed", "purpose", "path", "key"),
    [
        (0, Purpose.SPLIT, (), 0x08B4FDA8C892B50E),
        (0, Purpose.ROW_ORDER, (0,), 0x01EBD290BD8B65F5),
        (0, Purpose.ROW_ORDER, (17,), 0xEFD1A0117C8AF611),
        (1 << 63, Purpose.RESIDUES, (4235437287920438186,), 0x7C269DD1BBDECBBA),
        (7, Purpose.SEQUENCE_ORDER, (2,), 0x8EFDA9E1371F7F02),
    ],
)
def test_derive_key_is_frozen(seed: int, purpose: Purpose, path: tuple[int, ...], key: int) -> None:
    assert derive_key(seed, purpose, *path) == key


@pytest.mark.parametrize(
    ("key", "values"),
    [
        # The first one is also the first output of splitmix64 seeded with 0 in its authors' code.
        (0, [0xE220A8397B1DCDAF, 0xBFEF8030DDC2D772, 0x41142829AE9E115E, 0xA577782BC52A9F5A]),
        (1, [0x910A2DEC89025CC1, 0x86224A8E1DAE59F9, 0x7018EB47A52C2595, 0x66D390C2FDD6265B]),
        (GOLDEN, [0x6E789E6AA1B965F4, 0xDFD78360863DE56F, 0x08C3D6232DE23ED1, 0xAEC52F86C7A0025D]),
    ],
)
def test_draws_are_frozen(key: int, values: list[int]) -> None:
    assert draws(key, np.array([0, 1, 2, WORD], dtype=np.uint64)).tolist() == values


def test_uniform_and_permutation_are_frozen() -> None:
    assert uniform(1, np.array([0, 1, 2, WORD], dtype=np.uint64)).tolist() == [
        0.5665615751722809,
        0.5239607426607845,
        0.4378802347102213,
        0.4016657329610429,
    ]
    assert permutation(derive_key(7, Purpose.ROW_ORDER, 3), 12).tolist() == [0, 6, 8, 11, 2, 1, 10, 5, 4, 7, 9, 3]


def test_purposes_keep_their_numbers() -> None:
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "SPLIT": 1,
        "SEQUENCE_ORDER": 2,
        "ROW_COUNT": 3,
        "RESIDUES": 4,
        "ROW_ORDER": 5,
        "CALIBRATION": 6,
        "VERIFY": 7,
        "WINDOW_ORDER": 8,
        "FILL_ORDER": 9,
        "TRAINING": 10,
    }


@given(words, words)
def test_a_draw_is_the_documented_formula(key: int, counter: int) -> None:
    assert draw(key, counter) == mix((mix(counter) ^ key) + GOLDEN & WORD)


@given(words, st.sampled_from(Purpose), st.lists(words, max_size=3))
def test_a_key_is_the_documented_formula(seed: int, purpose: Purpose, path: list[int]) -> None:
    state = 0
    for part in (seed, int(purpose), *path):
        state = mix((state ^ part) + GOLDEN & WORD)
    assert derive_key(seed, purpose, *path) == state


@given(st.text())
def test_a_text_hash_is_the_documented_formula(text: str) -> None:
    assert hash_text(text) == int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@given(words, words, words)
def test_draws_of_one_key_never_collide(key: int, one: int, other: int) -> None:
    assert (draw(key, one) == draw(key, other)) == (one == other)


@given(words, words, words)
def test_draws_of_one_counter_never_collide_between_keys(counter: int, one: int, other: int) -> None:
    assert (draw(one, counter) == draw(other, counter)) == (one == other)


def test_keys_differ_between_seeds_purposes_and_paths() -> None:
    keys = {
        derive_key(seed, purpose, *path)
        for seed in range(50)
        for purpose in Purpose
        for path in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]
    }
    assert len(keys) == 50 * len(Purpose) * 6


def test_draws_take_any_shape_and_leave_their_counters_alone() -> None:
    counters = np.arange(12, dtype=np.uint64).reshape(3, 4)
    assert draws(5, counters).tolist() == draws(5, counters.ravel()).reshape(3, 4).tolist()
    assert counters.ravel().tolist() == list(range(12))


@pytest.mark.parametrize("counters", ["positions", "hashes"])
def test_uniform_numbers_are_uniform(counters: str) -> None:
    count, bins = 200_000, 100
    counter_N = np.arange(count, dtype=np.uint64)
    if counters == "hashes":
        counter_N = np.array([hash_text(f"P{index}") for index in range(count)], dtype=np.uint64)
    u_N = uniform(derive_key(0, Purpose.SPLIT), counter_N)
    assert 0 <= u_N.min() < u_N.max() < 1
    observed, _ = np.histogram(u_N, bins=bins, range=(0, 1))
    chi_square = float(((observed - count / bins) ** 2).sum() / (count / bins))
    assert chi_square < 99 + 5 * (2 * 99) ** 0.5
    assert abs(np.corrcoef(u_N[:-1], u_N[1:])[0, 1]) < 0.01


def test_uniform_numbers_of_two_purposes_are_independent() -> None:
    counter_N = np.arange(100_000, dtype=np.uint64)
    one, other = (uniform(derive_key(0, purpose), counter_N) for purpose in (Purpose.SPLIT, Purpose.ROW_COUNT))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.015


@given(words, st.integers(0, 500))
def test_a_permutation_holds_everything_once(key: int, count: int) -> None:
    assert sorted(permutation(key, count).tolist()) == list(range(count))


def test_permutations_are_fair() -> None:
    """Every element comes first, and at every place, equally often."""
    keys = [derive_key(0, Purpose.ROW_ORDER, task) for task in range(6000)]
    orders = np.stack([permutation(key, 6) for key in keys])
    for place in range(6):
        counts = np.bincount(orders[:, place], minlength=6)
        assert np.abs(counts - 1000).max() < 5 * 1000**0.5
