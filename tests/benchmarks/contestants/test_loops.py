from pathlib import Path

import torch

from benchmarks.contestants.loops import LOOP_TOKENS, by_length, in_file_order, run_fair_esm_loop, run_naive_loop
from benchmarks.data.proteins import Proteins

PROTEINS: Proteins = [(f"p{index}", "A" * (40 * (index * 7 % 23) + 10)) for index in range(23)]


def states(batch: Proteins) -> list[torch.Tensor]:
    """Two layers in which every token holds its place, with a start and an end token, padded."""
    tokens = max(len(residues) for _, residues in batch) + 2
    state_BTD = torch.arange(tokens, dtype=torch.float32)[None, :, None].expand(len(batch), tokens, 3)
    return [state_BTD, -state_BTD]


def test_every_protein_is_in_one_batch() -> None:
    for batches in (list(in_file_order(PROTEINS)), list(by_length(PROTEINS))):
        assert sorted(protein for batch in batches for protein in batch) == sorted(PROTEINS)
    for batch in by_length(PROTEINS):
        assert len(batch) * (max(len(residues) for _, residues in batch) + 2) <= LOOP_TOKENS


def test_the_usual_loop_keeps_padding_and_that_of_fair_esm_the_residues_alone(tmp_path: Path) -> None:
    (tmp_path / "naive").mkdir()
    (tmp_path / "esm").mkdir()
    run_naive_loop(states, PROTEINS, tmp_path / "naive")
    run_fair_esm_loop(states, PROTEINS, tmp_path / "esm")
    first = torch.load(tmp_path / "naive" / "0.pt")
    assert first[1].shape == (8, max(len(residues) for _, residues in PROTEINS[:8]) + 2, 3)
    for name, residues in PROTEINS:
        kept = torch.load(tmp_path / "esm" / f"{name}.pt")
        assert kept["label"] == name
        assert kept["representations"][0][:, 0].tolist() == list(range(1, len(residues) + 1))
