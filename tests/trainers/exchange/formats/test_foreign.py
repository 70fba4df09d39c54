"""What is checked in every format."""

from pathlib import Path

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.made import facts_of
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import PROVENANCE, check_shapes, provenance, said_provenance, whole_number


@pytest.fixture
def folder(tmp_path: Path) -> ForeignFolder:
    return ForeignFolder(tmp_path)


def test_provenance_survives_a_configuration(folder: ForeignFolder) -> None:
    facts = facts_of(sites=2, licence="mit")
    said = said_provenance(folder, {PROVENANCE: provenance(facts)})
    assert said is not None
    assert (said.model, said.sites, said.manifests, said.licence) == (facts.model, facts.sites, facts.manifests, "mit")
    assert said_provenance(folder, {}) is None


@pytest.mark.parametrize("document", [3, {}, {"sites": []}, {"model": None, "sites": [{"name": "a"}]}])
def test_malformed_provenance_is_refused(folder: ForeignFolder, document: object) -> None:
    with pytest.raises(errors.CheckpointError, match=PROVENANCE):
        said_provenance(folder, {PROVENANCE: document})


@pytest.mark.parametrize("value", [None, 0, -1, 1.5, True, "4", 1 << 50])
def test_what_is_no_whole_number(folder: ForeignFolder, value: object) -> None:
    with pytest.raises(errors.CheckpointError, match=r"k is .*; expected a whole number"):
        whole_number(folder, {"k": value}, "k")


def test_names_in_colours_are_escaped(folder: ForeignFolder) -> None:
    with pytest.raises(errors.CheckpointError) as caught:
        check_shapes(folder, {"\x1b[31m": torch.ones(1)}, {"a": (1,)})
    assert "\x1b" not in str(caught.value)
