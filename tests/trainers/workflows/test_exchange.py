"""Reports of export and import say what was written."""

from pathlib import Path

import trainers
from tests.trainers.exchange.formats.written import linear, write
from tests.trainers.exchange.made import LATENTS, WIDTH, made
from trainers.exchange.export_dictionary import export_dictionary
from trainers.workflows.exchange import export_run, import_folder


def test_an_export_is_reported(tmp_path: Path) -> None:
    export_dictionary(made(), tmp_path / "ours")
    report = export_run(str(tmp_path / "ours"), tmp_path / "out", to="dictionary-learning")
    assert (report.format, report.sites, report.features, report.latents) == (
        "dictionary-learning",
        ("resid_post.0",),
        WIDTH,
        LATENTS,
    )
    assert report.bytes == sum(one.stat().st_size for one in (tmp_path / "out" / "trainer_0").iterdir())


def test_an_import_is_a_folder_of_ours(tmp_path: Path) -> None:
    source = write(tmp_path / "layer_4", {"ae.pt": linear()})
    report = import_folder(str(source), tmp_path / "out", model="a", sites="b")
    assert (report.format, report.model, report.activation) == ("safetensors", "a", "relu")
    assert trainers.load(tmp_path / "out").sites == ("b",)
