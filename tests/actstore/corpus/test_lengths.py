from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.recipe import CorpusRecipe
from actstore.corpus.lengths import LengthCounts, expected_corpus
from actstore.corpus.scan import scan

ANY_LETTER = frozenset("ACDEFGHIKLMNPQRSTVWY")


def expected(sequences: int, lengths: int | list[int], **rules: Any) -> CorpusRecipe:
    return CorpusRecipe.model_validate({"expected_sequences": sequences, "expected_lengths": lengths, **rules})


def test_one_length_is_that_of_every_sequence() -> None:
    lengths = expected_corpus(expected(1_000_000, 512)).lengths
    assert (lengths.sequences, lengths.residues, lengths.length_L.tolist()) == (1_000_000, 512_000_000, [512])


def test_quantiles_are_met_and_joined_by_straight_lines() -> None:
    lengths = expected_corpus(expected(1_000_000, [100, 200, 1000])).lengths
    length_N = np.repeat(lengths.length_L, lengths.count_L)
    assert np.quantile(length_N, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([100, 150, 200, 600, 1000], abs=1)
    assert length_N.mean() == pytest.approx((150 + 600) / 2, abs=0.1)


@given(sequences=st.integers(1, 10**9), quantiles=st.lists(st.integers(1, 50_000), min_size=1, max_size=20))
def test_every_sequence_is_counted_once_and_within_the_quantiles(sequences: int, quantiles: list[int]) -> None:
    quantiles.sort()
    lengths = expected_corpus(expected(sequences, quantiles)).lengths
    assert lengths.sequences == sequences
    assert quantiles[0] <= lengths.length_L.min() <= lengths.length_L.max() <= quantiles[-1]
    assert (np.diff(lengths.length_L) > 0).all()


def test_memory_does_not_grow_with_the_corpus() -> None:
    assert len(expected_corpus(expected(10**10, [30, 250, 35_000])).lengths.length_L) <= 100_000


@pytest.mark.parametrize(
    "rules",
    [
        {"min_residues": 40},
        {"max_residues": 60},
        {"min_residues": 30, "max_residues": 70, "window_residues": 50, "window_overlap": 10},
        {"long_sequences": "skip", "window_residues": 64, "window_overlap": 10},
        {"long_sequences": "skip", "window_residues": 64, "window_overlap": 10, "max_residues": 50},
        {"long_sequences": "truncate", "window_residues": 64, "window_overlap": 10},
    ],
)
def test_length_rules_are_those_of_a_real_corpus(rules: dict[str, Any], tmp_path: Path) -> None:
    """One sequence of each length from 1 to 100, once expected and once read."""
    fasta = tmp_path / "a.fasta"
    fasta.write_text("".join(f">P{length}\n{'A' * length}\n" for length in range(1, 101)))
    recipe = CorpusRecipe.model_validate({"sequences": str(fasta), **rules})
    with scan(recipe, alphabet=ANY_LETTER, spool=None) as corpus:
        read, skipped = LengthCounts.of(corpus.length_N), corpus.skipped
    got = expected_corpus(expected(100, list(range(1, 101)), **rules))
    assert got.skipped == pytest.approx(skipped, abs=1)
    assert got.lengths.sequences == pytest.approx(read.sequences, abs=1)
    assert got.lengths.residues == pytest.approx(read.residues, rel=0.03)


def test_files_have_no_expected_lengths() -> None:
    with pytest.raises(ValueError, match="read, not expected"):
        expected_corpus(CorpusRecipe(sequences=("a.fasta",)))
