from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from actstore import errors
from trainers.save.latents import LatentCounts, read_latents, write_latents


def test_counts_are_read_as_they_were_written_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "latents.safetensors"
    write_latents(file, LatentCounts(torch.tensor([9]), torch.tensor([9])))
    write_latents(file, LatentCounts(torch.tensor([1, 2]), torch.tensor([0, 7])))
    found = read_latents(file)
    assert (found.fired_F.tolist(), found.idle_rows_F.tolist()) == ([1, 2], [0, 7])
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latents.safetensors"
    with pytest.raises(errors.CheckpointError, match="not a safetensors file"):
        read_latents(file)
    counts = torch.tensor([1, 2])
    for tensors in (
        {"fired_F": counts},
        {"fired_F": counts, "idle_rows_F": counts + 0.5},
        {"fired_F": counts, "idle_rows_F": torch.tensor([1])},
        {"fired_F": counts, "idle_rows_F": torch.tensor([[1, 2]])},
    ):
        save_file(tensors, file)
        with pytest.raises(errors.CheckpointError, match="not the counts of a dictionary's latents"):
            read_latents(file)
