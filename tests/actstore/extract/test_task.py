from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, derive_key, permutation
from actstore.contracts.models import ActivationModel
from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import ModelRecipe
from actstore.contracts.tasks import Piece, Task
from actstore.errors import CorpusError, NumericsError, TokenizerError
from actstore.extract.model import load_model
from actstore.extract.task import extract_task
from actstore.testing.fake_model import FakeModel

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


class Corpus:
    """A `ResidueSource` in memory."""

    def __init__(self, *sequences: str) -> None:
        self.sequences = sequences

    def residues(self, sequence: int) -> str:
        return self.sequences[sequence]

    def sequence_id(self, sequence: int) -> str:
        return f"P{sequence:05d}"


class Spoilt(FakeModel):
    """Gives one bad value wherever the residue is W."""

    bad = float("nan")

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        rows = dict(super().activations(residues, kept))
        letters = "".join(each[index] for each, wanted in zip(residues, kept, strict=True) for index in wanted)
        last = self.sites[-1].name
        rows[last][[letter == "W" for letter in letters], 3] = self.bad
        return rows


def positions(*wanted: int) -> NDArray[np.int32]:
    return np.array(wanted, dtype=np.int32)


def make_task(pieces: Sequence[Piece], *, index: int = 0) -> Task:
    rows = sum(len(piece.position_K) for piece in pieces)
    order_N = permutation(derive_key(0, Purpose.ROW_ORDER, index), rows)
    return Task(index, "train", rows, tuple(pieces), order_N)


def whole(corpus: Corpus) -> Task:
    return make_task(
        [
            Piece(index, 0, len(residues), np.arange(len(residues), dtype=np.int32))
            for index, residues in enumerate(corpus.sequences)
        ]
    )


def row_by_row(task: Task, corpus: Corpus, model: ActivationModel) -> dict[str, Float32s]:
    """Return what the rows must be: each piece alone, concatenated, then put in shard order."""
    parts = [
        model.activations([corpus.residues(piece.sequence)[piece.start : piece.stop]], [piece.position_K - piece.start])
        for piece in task.pieces
    ]
    return {site.name: np.concatenate([part[site.name] for part in parts])[task.order_N] for site in model.sites}


sequences = st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=40), min_size=1, max_size=12)


@given(sequences, st.integers(1, 200))
def test_every_row_has_its_place_whatever_the_batches(texts: list[str], budget: int) -> None:
    corpus, model = Corpus(*texts), FakeModel()
    task = whole(corpus)
    rows = extract_task(task, corpus, model, tokens_per_batch=budget, parallel=map)
    for site, want in row_by_row(task, corpus, model).items():
        np.testing.assert_array_equal(rows.values[site], want)
    for row in range(task.rows):
        residue = texts[rows.sequence_N[row]][rows.position_N[row]]
        assert rows.token_N[row] == model.tokenizer.tokens(residue)[0]


def test_dtypes_and_shapes_are_those_of_the_contract() -> None:
    corpus = Corpus("MKT", "ACDEF")
    rows = extract_task(whole(corpus), corpus, FakeModel(width=24), tokens_per_batch=64, parallel=map)
    columns = (rows.sequence_N, rows.position_N, rows.token_N)
    assert [(column.dtype.name, len(column)) for column in columns] == [("int64", 8), ("int32", 8), ("int16", 8)]
    assert list(rows.values) == ["embed", "resid_post.0", "resid_post.1", "final_norm"]
    assert {(values.dtype.name, values.shape) for values in rows.values.values()} == {("float32", (8, 24))}


def test_windows_see_their_own_context_and_report_positions_in_the_sequence() -> None:
    corpus, model = Corpus(LETTERS * 3), FakeModel(sites=["embed"])
    task = make_task([Piece(0, 0, 40, positions(3, 30)), Piece(0, 20, 60, positions(30, 59))])
    rows = extract_task(task, corpus, model, tokens_per_batch=100, parallel=map)
    assert sorted(rows.position_N.tolist()) == [3, 30, 30, 59]
    np.testing.assert_array_equal(rows.values["embed"], row_by_row(task, corpus, model)["embed"])
    first, second = rows.values["embed"][rows.position_N == 30]
    assert not np.array_equal(first, second)


def test_a_task_without_rows_gives_empty_arrays() -> None:
    rows = extract_task(make_task([]), Corpus(), FakeModel(width=8), tokens_per_batch=64, parallel=map)
    assert rows.values["embed"].shape == (0, 8)


def test_progress_adds_up_to_the_rows() -> None:
    corpus = Corpus("MKT" * 10, "ACDEF", "GGGG")
    reported: list[int] = []
    task = whole(corpus)
    extract_task(task, corpus, FakeModel(), tokens_per_batch=32, parallel=map, on_rows=reported.append)
    assert len(reported) > 1
    assert sum(reported) == task.rows


class TestRefusals:
    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_a_value_that_is_not_finite_names_sequence_position_and_site(
        self, bad: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Spoilt, "bad", bad)
        corpus = Corpus("MKT", "ACDEFGHIKLMNPQRSTVWY", "GGGG")
        with pytest.raises(NumericsError, match=f"P00001, residue 19, site final_norm: {bad} in 1 of 16 features"):
            extract_task(whole(corpus), corpus, Spoilt(), tokens_per_batch=512, parallel=map)

    def test_the_position_is_counted_in_the_sequence_and_not_in_the_window(self) -> None:
        corpus = Corpus("A" * 50 + "W" + "A" * 9)
        task = make_task([Piece(0, 0, 40, positions(7)), Piece(0, 30, 60, positions(45, 50))])
        with pytest.raises(NumericsError, match="residue 51,"):
            extract_task(task, corpus, Spoilt(), tokens_per_batch=512, parallel=map)

    def test_a_sequence_that_has_become_shorter_is_named(self) -> None:
        planned, now = Corpus("MKT", "ACDEFG"), Corpus("MKT", "ACD")
        with pytest.raises(CorpusError, match="P00001: the plan needs residues 1 to 6, the corpus has 3"):
            extract_task(whole(planned), now, FakeModel(), tokens_per_batch=64, parallel=map)

    def test_a_letter_outside_the_alphabet_is_refused(self) -> None:
        corpus = Corpus("MKJ")
        with pytest.raises(TokenizerError):
            extract_task(whole(corpus), corpus, FakeModel(), tokens_per_batch=64, parallel=map)


def test_a_real_model_gives_the_rows_of_each_protein_alone(esm2_tiny: Path, small_fasta: Path) -> None:
    records = small_fasta.read_text().split(">")[1:21]
    corpus = Corpus(*("".join(record.split("\n")[1:]) for record in records))
    model = load_model(ModelRecipe(name=str(esm2_tiny)), ["embed", "resid_post.*", "final_norm"])
    task = make_task(
        [
            Piece(index, 0, len(residues), np.arange(index % 3, len(residues), 7, dtype=np.int32))
            for index, residues in enumerate(corpus.sequences)
        ]
    )
    rows = extract_task(task, corpus, model, tokens_per_batch=2048, parallel=map)
    for site, want in row_by_row(task, corpus, model).items():
        assert np.abs(rows.values[site] - want).max() <= 1e-5 * max(np.abs(want).max(), 1.0), site
