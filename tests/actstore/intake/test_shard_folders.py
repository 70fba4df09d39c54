import json
from pathlib import Path

import pytest
import torch

from actstore.errors import SourceError
from actstore.intake.parts import Opening
from actstore.intake.shard_folders import open_activault, open_interplm
from tests.actstore.intake.made import SOURCES, WIDTH


def test_a_layer_of_interplm_is_a_site_and_its_training_rows_are_shuffled(tmp_path: Path) -> None:
    found = open_interplm(SOURCES["interplm_shuffled"](tmp_path).place, Opening())
    assert (found.shuffled, found.model, len(found.files)) == (True, "esm2_t6_8M_UR50D", 4)
    assert [part.widths for part in found.parts] == [{"layer_3": WIDTH}] * 2


def test_several_layers_are_named(tmp_path: Path) -> None:
    SOURCES["interplm_shuffled"](tmp_path)
    (tmp_path / "layer_4/shard_0").mkdir(parents=True)
    torch.save(torch.ones(3, 4), tmp_path / "layer_4/shard_0/activations.pt")
    with pytest.raises(SourceError, match=r"holds layers layer_3, layer_4; name the folder of one: \S+/layer_3"):
        open_interplm(tmp_path, Opening())


def test_metadata_of_another_shard(tmp_path: Path) -> None:
    layer = SOURCES["interplm_shuffled"](tmp_path).place
    described = layer / "shard_1/metadata.json"
    sound = json.loads(described.read_text())
    described.write_text(json.dumps(sound | {"total_tokens": 7}))
    with pytest.raises(SourceError, match=r"says 7 rows, its shard has"):
        open_interplm(layer, Opening())
    described.write_text(json.dumps(sound | {"model": "other"}))
    with pytest.raises(SourceError, match="is of model other, other shards of esm2_t6_8M_UR50D"):
        open_interplm(layer, Opening())


def test_metadata_of_newer_shards_are_lines(tmp_path: Path) -> None:
    (tmp_path / "layer_3/shard_0").mkdir(parents=True)
    torch.save(torch.ones(30, 4), tmp_path / "layer_3/shard_0/activations.pt")
    described = tmp_path / "layer_3/shard_0/metadata.yaml"
    described.write_text("d_model: 4\ndtype: float32\nmodel: facebook/esm2_t6_8M_UR50D\ntotal_tokens: 30\n")
    assert open_interplm(tmp_path / "layer_3", Opening()).model == "facebook/esm2_t6_8M_UR50D"
    described.write_text("total_tokens: 31\n")
    with pytest.raises(SourceError, match="says 31 rows, its shard has 30"):
        open_interplm(tmp_path / "layer_3", Opening())
    described.write_bytes(b"\xff")
    with pytest.raises(SourceError, match="cannot be read"):
        open_interplm(tmp_path / "layer_3", Opening())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boundaries": [(0, 5), (5, 21)]}, "a protein lies outside of its 20 rows"),
        ({"boundaries": [(5, 0), (0, 5)]}, "lies outside"),
        ({"boundaries": "all"}, "has no boundaries of proteins"),
        ({"protein_ids": ["P1"]}, "1 ids for 2 proteins"),
        ({"embeddings": torch.ones(20)}, "no activations of shape"),
    ],
)
def test_boundaries_that_lie(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    content = {"embeddings": torch.ones(20, 4), "boundaries": [(0, 5), (5, 20)], "protein_ids": ["P1", "P2"]}
    (tmp_path / "shard_0").mkdir()
    torch.save(content | changes, tmp_path / "shard_0/embeddings.pt")
    with pytest.raises(SourceError, match=message):
        open_interplm(tmp_path, Opening())


def test_a_hook_of_activault_is_a_site(tmp_path: Path) -> None:
    made = SOURCES["activault"](tmp_path)
    [part] = open_activault(made.place, Opening()).parts
    assert part.widths == {"models.layers.3.mlp.post": WIDTH}
    with pytest.raises(SourceError, match=r"holds hooks models\.layers\.3\.mlp\.post; name the folder of one"):
        open_activault(tmp_path, Opening())
    (made.place / "metadata.json").write_text('{"d_in": 7}')
    with pytest.raises(SourceError, match=r"metadata\.json says 7"):
        open_activault(made.place, Opening())
