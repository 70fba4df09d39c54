from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.contracts.progress import Silent
from actstore.errors import SourceError, UsageError
from actstore.workflows.importing.sources import ImportOptions, NamedPlace, OpenedSources, opened_sources, parse_places
from tests.actstore.intake.made import SOURCES


def opened(tmp_path: Path, *places: NamedPlace, **options: str) -> OpenedSources:
    (tmp_path / "scratch").mkdir()
    with opened_sources(
        places,
        ImportOptions(**options),  # type: ignore[arg-type]
        scratch=tmp_path / "scratch",
        storage_options=None,
        progress=Silent(),
    ) as found:
        return found


def test_places_are_named_in_several_ways(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert parse_places(odd) == [NamedPlace(None, odd)]
    assert parse_places(["x=/one", "/two"]) == [NamedPlace("x", Path("/one")), NamedPlace(None, Path("/two"))]
    assert parse_places({"x": Path("/one")}) == [NamedPlace("x", Path("/one"))]
    with pytest.raises(UsageError, match="sources are local folders"):
        parse_places("s3://bucket/acts")
    with pytest.raises(UsageError, match="name a source"):
        parse_places([])


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    found = opened(tmp_path, NamedPlace(None, SOURCES["interplm_shuffled"](tmp_path).place))
    assert found.model == "esm2_t6_8M_UR50D"
    assert [said.partition(" ")[2] for said in found.said[:1]] == ["has the format interplm"]
    assert found.said[1:] == (
        "InterPLM shuffles the rows of such shards unless told not to: whose they are is unknown",
        "rows without boundaries of sequences are taken in blocks of 256",
    )


def test_what_the_user_says_is_not_guessed(tmp_path: Path) -> None:
    found = opened(tmp_path, NamedPlace(None, SOURCES["npy"](tmp_path).place), format="npy", model="mine")
    assert (found.model, found.known) == ("mine", ("model",))
    assert found.said == ("rows without boundaries of sequences are taken in blocks of 256",)


def test_tokens_that_do_not_fit_are_said(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(2, 3, 4), "input_ids": torch.full((2, 3), 50_000)}, tmp_path / "a.pt")
    found = opened(tmp_path, NamedPlace(None, tmp_path / "a.pt"))
    assert found.known == ("positions",)
    assert "beyond 32,767" in found.said[-1]


def test_a_pair_has_one_format_and_a_digest_of_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", np.ones((5, 4)))
    places = [NamedPlace("x", tmp_path / "one"), NamedPlace("y", tmp_path / "two")]
    found = opened(tmp_path, *places)
    assert list(found.source.arrays) == ["x", "y"]
    assert found.source.recorded_sequences == (str(tmp_path / "one"), str(tmp_path / "two"))
    (tmp_path / "two/a.npy").unlink()
    torch.save(torch.ones(5, 4), tmp_path / "two/a.pt")
    (tmp_path / "again").mkdir()
    with pytest.raises(SourceError, match="formats npy, pt cannot be paired"):
        opened(tmp_path / "again", *places)
