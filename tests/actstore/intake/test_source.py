import hashlib

import numpy as np
import pytest

from actstore.errors import SourceError
from actstore.intake.parts import Boundaries, Mapped, Part
from actstore.intake.sides import Side
from actstore.intake.source import LONGEST_SEQUENCE, Source, source_of

ROWS = np.random.default_rng(0).normal(size=(700, 4)).astype(np.float16)


def part(name: str, lengths: list[int] | None, ids: list[str] | None = None, first: int = 0) -> Part:
    rows = 300 if lengths is None else sum(lengths)
    bounds = None if lengths is None else Boundaries.of_lengths(np.array(lengths), ids)
    return Part(name, {"site": Mapped(ROWS[first : first + rows])}, bounds)


def source(*parts: Part) -> Source:
    return source_of([Side(parts)], recorded=["/data"])


def positions(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, dtype=np.int32)


def test_rows_without_boundaries_are_taken_in_blocks_named_by_their_place() -> None:
    found = source(part("a.npy", None), part("b.npy", None, first=300))
    assert found.places.ids == ["a.npy[0:256]", "a.npy[256:300]", "b.npy[0:256]", "b.npy[256:300]"]
    assert (found.known, found.total_residues) == ((), 600)
    assert found.residues(1) == "X" * 44
    np.testing.assert_array_equal(found.read(3, positions(2, 40))["site"], ROWS[[558, 596]].astype(np.float32))
    assert found.tokens(3, positions(2, 40)).tolist() == [-1, -1]


def test_sequences_without_rows_are_left_out_and_counted() -> None:
    found = source(part("a", [3, 0, 4], ["P1", "P2", "P3"]))
    assert (found.places.ids, dict(found.skipped), found.known) == (["P1", "P3"], {"empty": 1}, ("ids", "positions"))
    np.testing.assert_array_equal(found.read(1, positions(0, 1, 2, 3))["site"], ROWS[3:7].astype(np.float32))


def test_ids_are_unique_and_printable() -> None:
    with pytest.raises(SourceError, match="two sequences have the id 'P1'"):
        _ = source(part("a", [3], ["P1"]), part("b", [3], ["P1"])).id_hash_N
    with pytest.raises(SourceError, match=r"cannot be an id"):
        _ = source(part("a", [3], ["P\x1b[2J"])).id_hash_N


def test_a_name_of_rows_that_no_protein_has_is_no_id() -> None:
    rows = np.broadcast_to(np.float32(1), (LONGEST_SEQUENCE + 1, 4))
    long = Part("a", {"site": Mapped(rows)}, Boundaries.of_lengths(np.array([len(rows)]), ["acts"]))
    with pytest.raises(SourceError, match=r"acts has 262,145 rows.*--keys sites"):
        source(long)


def test_sides_with_other_sequences_are_no_pair() -> None:
    one = Side([part("a", [3, 4], ["P1", "P2"])], rename="one")
    for lengths, ids, message in (
        ([4, 3], ["P1", "P2"], "sequences of other lengths"),
        ([3, 4], ["P2", "P1"], "other ids"),
        ([3, 5], ["P1", "P2"], "7 and 8 rows"),
    ):
        with pytest.raises(SourceError, match=message):
            source_of([one, Side([part("a", lengths, ids)], rename="two")], recorded=["a", "b"])


@pytest.mark.parametrize(("tokens", "known"), [([5] * 7, True), ([5] * 6 + [-1], False), ([5] * 6 + [40_000], False)])
def test_tokens_that_a_store_cannot_hold_are_unknown(tokens: list[int], known: bool) -> None:
    numbers = np.array(tokens, dtype=np.int64)
    whole = part("a", [3, 4])
    found = source(Part("a", whole.arrays, whole.boundaries, lambda start, stop: numbers[start:stop]))
    assert ("tokens" in found.known) is known
    assert found.tokens(1, positions(1, 2)).tolist() == ([5, 5] if known else [-1, -1])


def test_the_digest_is_that_of_a_corpus() -> None:
    found = source(part("a", [2, 3], ["P1", "P2"]))
    assert found.digest == hashlib.sha256(b"P1\0XX\nP2\0XXX\n").hexdigest()
