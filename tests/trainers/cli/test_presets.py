"""`trainer presets` as a user meets it."""

import tomllib
from pathlib import Path

import pytest

import trainers.cli
from tests.actstore.cli.command import Outcome, run_here
from trainers.workflows.presets import find_preset, list_presets
from trainers.workflows.settings import settle_config


def trainer(*arguments: object) -> Outcome:
    return run_here("trainer", trainers.cli.main, *arguments)


def test_all_are_listed_with_what_they_are() -> None:
    listed = trainer("presets")
    assert (listed.code, listed.err) == (0, "")
    words = listed.out.split()
    names = [preset.name for preset in list_presets()]
    assert [word for word in words if word in names] == names
    assert "a TopK SAE with 20,480 latents, 100 of them active" in " ".join(words)  # however wide the lines are
    document = trainer("presets", "--json").document
    assert document == {"presets": [preset.document() for preset in list_presets()]}


def test_one_is_printed_as_config_reads_it(tmp_path: Path) -> None:
    printed = trainer("presets", "esm2-8m")
    assert printed.out.startswith("# ESM-2 8M, after 4 of its 6 blocks")
    assert tomllib.loads(printed.out) == find_preset("esm2-8m").settings
    (tmp_path / "mine.toml").write_text(printed.out)
    assert settle_config(file=tmp_path / "mine.toml") == settle_config(preset="esm2-8m")
    assert trainer("presets", "esm2-8m", "--json").document["settings"]["k"] == 100


@pytest.mark.parametrize(("name", "hint"), [("esmc-lik", "did you mean 'esmc-like'?"), ("zzz", "there are esm2-3b-m")])
def test_an_unknown_one_is_answered(name: str, hint: str) -> None:
    done = trainer("presets", name)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert hint in done.err
