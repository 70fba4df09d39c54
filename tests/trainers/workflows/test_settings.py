"""A preset, a file and the command line become one configuration, or an error that says who was wrong."""

from pathlib import Path

import pytest

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.workflows.settings import settle_config


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def test_what_is_given_later_takes_precedence(tmp_path: Path) -> None:
    file = written(tmp_path, "k = 50\nlr = 1\nsites = ['final_norm']\n")
    config = settle_config(preset="esm2-8m", file=file, settings={"lr": 0.5})
    assert (config.latents, config.batch_rows) == (10_240, 2048)  # of the preset
    assert (config.k, config.sites) == (50, ("final_norm",))  # of the file
    assert config.lr == 0.5  # of the command line
    assert settle_config(preset="esm2-8m").k == 100


def test_only_what_is_given_counts_as_given(tmp_path: Path) -> None:
    """A resumed run compares these with its own, and nothing else."""
    config = settle_config(file=written(tmp_path, "k = 4"), settings={"seed": 1})
    assert config.model_fields_set == {"k", "seed"}
    assert settle_config() == TrainConfig()


def test_a_later_expansion_replaces_latents(tmp_path: Path) -> None:
    assert settle_config(preset="esm2-8m", settings={"expansion": 4}).latents is None
    assert settle_config(preset="esm2-8m", settings={"expansion": 4, "latents": 64}).latents == 64
    file = written(tmp_path, "expansion = 4")
    assert settle_config(preset="esm2-8m", file=file, settings={"latents": 64}).latents == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lrr = 1", r"run.toml: lrr = 1: Extra inputs are not permitted; did you mean 'lr'\?"),
        ("site = 'embed'", r"run.toml: site = 'embed': .*did you mean 'sites'"),
        ("k = 'many'", "run.toml: k = 'many': Input should be a valid integer"),
        ("k = '32'", "run.toml: k = '32': Input should be a valid integer"),
        ("k = true", "run.toml: k = True: Input should be a valid integer"),
        ("k = 0", "run.toml: k = 0: Input should be greater than or equal to 1"),
        ("lr = nan", "run.toml: lr = nan: Input should be a finite number"),
        ("lr = 2026-11-30", "run.toml: lr = '2026-11-30': Input should be a valid number"),
        ("sites = [1]", r"run.toml: sites.0 = 1: Input should be a valid string"),
        ("dictionary = 'abacus'", "run.toml: dictionary = 'abacus': Input should be 'topk-sae'"),
        ("[train]\nlr = 1", "run.toml: train = {'lr': 1}: Extra inputs"),
        ("k = 4\nlr = = 3", r"run.toml: not TOML: Invalid value \(at line 2, column 6\)"),
        ("k = 4\nk = 5", r"run.toml: not TOML: Cannot overwrite a value \(at "),
        (f"k = '{'x' * 9000}'", r"run.toml: k = 'x{199}\.\.\.: Input should be"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=message):
        settle_config(file=written(tmp_path, text))


def test_a_setting_of_the_command_line_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"^lr = -1"):
        settle_config(file=written(tmp_path, "lr = 1"), settings={"lr": -1})


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"nowhere\.toml: cannot be read: No such file"):
        settle_config(file=tmp_path / "nowhere.toml")
    with pytest.raises(errors.UsageError, match="cannot be read: Is a directory"):
        settle_config(file=tmp_path)
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(errors.UsageError, match="over 1,048,576 bytes"):
        settle_config(file=big)
    big.write_bytes(b"k = \xff")
    with pytest.raises(errors.UsageError, match=r"big\.toml: not TOML"):
        settle_config(file=big)
