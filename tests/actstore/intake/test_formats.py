from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.errors import SourceError, UsageError
from actstore.intake.formats import FORMATS, guess_format, open_source
from actstore.intake.parts import Opening
from tests.actstore.intake.made import SOURCES


@pytest.mark.parametrize("kind", SOURCES)
def test_a_folder_is_recognised(kind: str, tmp_path: Path) -> None:
    made = SOURCES[kind](tmp_path)
    assert guess_format(made.place) == made.format


def test_every_format_has_a_source_in_the_tests(tmp_path: Path) -> None:
    formats = set()
    for kind, write in SOURCES.items():
        (tmp_path / kind).mkdir()
        formats.add(write(tmp_path / kind).format)
    assert formats | {"hf", "saelens"} == set(FORMATS)


def test_several_or_none_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file of a known format; say the format: --format pt\|safetensors"):
        guess_format(tmp_path)
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    torch.save(torch.ones(3, 4), tmp_path / "a.pt")
    with pytest.raises(SourceError, match="files of npy, pt; say the format"):
        guess_format(tmp_path)
    assert len(open_source(tmp_path, "npy", Opening()).parts) == 1


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder; sources are local"):
        guess_format(tmp_path / "gone")
    with pytest.raises(SourceError, match="no safetensors activations here"):
        open_source(tmp_path, "safetensors", Opening())
    with pytest.raises(UsageError, match=r"--format = 'safetensor': no such format; did you mean 'safetensors'"):
        open_source(tmp_path, "safetensor", Opening())
