"""Transcoders in the formats of SAELens and sparsify, which these libraries load."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from actstore import errors
from tests.conftest import need
from tests.services.peers import obstacle, python_of_peers
from tests.trainers.exchange.test_transcoders import pair, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.import_dictionary import import_dictionary

EXPORTED = {
    "saelens": ("transcoder-jumprelu", "jumprelu_transcoder", "sae_weights.safetensors"),
    "sparsify": ("transcoder-topk", "topk", "sae.safetensors"),
}
LOADED = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
from tests.services.peers_side import LOADERS
folder = Path({folder!r})
torch.set_grad_enabled(False)
rows = load_file(folder / "rows.safetensors")["rows"]
save_file(LOADERS[{to!r}](folder / "out", rows), folder / "found.safetensors")
"""


@pytest.mark.parametrize("to", EXPORTED)
def test_the_configuration_says_what_it_is(to: str, tmp_path: Path) -> None:
    name, said, weights = EXPORTED[to]
    _, trained = pair(name)
    export_dictionary(trained, tmp_path / "out", to=to)
    config = json.loads((tmp_path / "out" / "cfg.json").read_text())
    assert said in {config.get("architecture"), config.get("activation")}
    provenance = (config["metadata"] if to == "saelens" else config)["actstore"]
    assert (provenance["reads"], provenance["writes"]) == (["resid_post.1"], ["resid_post.2"])
    assert "W_skip" not in load_file(tmp_path / "out" / weights)


@pytest.mark.parametrize("to", EXPORTED)
def test_a_transcoder_is_no_autoencoder_to_an_import(to: str, tmp_path: Path) -> None:
    export_dictionary(pair(EXPORTED[to][0])[1], tmp_path / "out", to=to)
    with pytest.raises(errors.CheckpointError, match=r"architecture .*jumprelu_transcoder|transcode is True"):
        import_dictionary(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("to", EXPORTED)
def test_the_library_gives_the_same_codes_and_reconstructions(to: str, skip: bool, tmp_path: Path) -> None:
    need(obstacle(), "transcoders in the real libraries")
    _, trained = pair(EXPORTED[to][0], skip=skip)
    export_dictionary(trained, tmp_path / "out", to=to)
    rows_BD = rows_of()[:, 0].contiguous()
    save_file({"rows": rows_BD}, tmp_path / "rows.safetensors")
    python_of_peers(LOADED.format(folder=str(tmp_path), to=to))
    found = load_file(tmp_path / "found.safetensors")
    torch.testing.assert_close(found["code"], trained.encode(rows_BD), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["back"], trained.reconstruct(rows_BD), rtol=1e-4, atol=1e-4)
