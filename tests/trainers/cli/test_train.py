"""What stands on the command line, what a resumed run knows itself, and how a run leaves that failed."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.trainers.cli.command import ENVIRONMENT, OPTIONS, command, trainer


@pytest.fixture(scope="module")
def begun(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of 4 steps in `run`."""
    folder = tmp_path_factory.mktemp("begun")
    done = trainer("read-from-store", store, *OPTIONS, "--steps", 4, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_only_what_stands_on_the_command_line_counts_when_a_run_goes_on(begun: Path, tmp_path: Path) -> None:
    """Defaults of the command line, such as k = 32, do not contradict the run."""
    longer = ("--steps", 6, "--keep", 1, "--out", tmp_path / "longer", "--json")
    done = trainer("read-from-store", "--resume", begun / "run", *longer, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["steps"], document["resumed_from_step"], document["k"], document["latents"]) == (6, 4, 16, 256)


def test_an_option_that_differs_from_that_of_the_run_is_refused(begun: Path) -> None:
    done = trainer("read-from-store", "--resume", "run", "--lr", 0.5, cwd=begun)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--lr: 0.01 in the run, 0.5 now. Leave them out, or begin a new run without --resume" in done.stderr


def test_a_run_that_only_streams_cannot_go_on(begun: Path) -> None:
    done = trainer("read-from-store", "--resume", "run", "--dictionary", "none", cwd=begun)
    assert done.returncode == 2
    assert "there is no run to go on with" in done.stderr


def test_settings_come_from_preset_file_and_command_line_in_that_order(store: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("k = 8\nseed = 3\nlatents = 64\n")
    given = ("--preset", "esm2-8m", "--config", "run.toml", "--set", "seed=4", "--set", "train.gradient_clip=0.5")
    more = ("--latents", 128, "--steps", 2, "--batch-rows", 256, "--out", "run", "--json")
    done = trainer("read-from-store", store, *given, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run/run.json").read_text())["config"]
    assert (config["sites"], config["k"], config["seed"], config["latents"]) == (["resid_post.3"], 8, 4, 128)
    assert config["gradient_clip"] == 0.5
    again = trainer("read-from-store", "--resume", "run", "--preset", "esm2-8m", "--steps", 3, cwd=tmp_path)
    assert again.returncode == 2
    assert "--k: 8 in the run, 100 now" in again.stderr
    longer = trainer("read-from-store", "--resume", "run", "--config", "run.toml", "--set", "steps=3", cwd=tmp_path)
    assert longer.returncode == 2
    assert "--seed: 4 in the run, 3 now" in longer.stderr
    longer = trainer("read-from-store", "--resume", "run", "--set", "steps=3", "--json", cwd=tmp_path)
    assert json.loads(longer.stdout)["steps"] == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--preset", "esm2-8n"), "--preset 'esm2-8n': there is no such preset; did you mean 'esm2-8m'"),
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read: No such file"),
        (("--config", "bad.toml"), "bad.toml: not TOML: Invalid value (at line 2, column 6)"),
        (("--config", "odd.toml"), "odd.toml: lrr = 1: Extra inputs are not permitted; did you mean 'lr'"),
        (("--set", "lrr=1"), "lrr = 1: Extra inputs are not permitted; did you mean 'lr'"),
        (("--set", "k=many"), "k = 'many': Input should be a valid integer"),
        (("--set", "k"), "--set takes KEY=VALUE"),
        (("--groups", "0.5,half"), "--groups: 'half' is no share; give numbers such as 0.25,0.25,0.5"),
        (("--set", "lr=1", "--set", "train.lr=2"), "--set lr is given twice"),
        (("--set", "lr=1", "--lr", "2"), "--set lr: the field has an option of its own, which is given too"),
        (("--log", "foo"), "--log foo: there is no such logger"),
    ],
)
def test_settings_that_are_wrong_are_a_sentence(given: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("k = 4\nlr = = 3")
    (tmp_path / "odd.toml").write_text("lrr = 1")
    done = trainer("read-from-store", "nowhere", *given, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_groups_are_shares(store: Path, tmp_path: Path) -> None:
    given = ("--dictionary", "matryoshka-sae", "--groups", "0.25, 0.75", "--steps", 2, "--out", "run")
    done = trainer("read-from-store", store, *OPTIONS, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["config"]["groups"] == [0.25, 0.75]


def test_a_folder_of_a_logger_that_is_a_link_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tensorboard").symlink_to(tmp_path / "elsewhere")
    done = trainer("read-from-store", store, *OPTIONS, "--log", "tensorboard", "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "run/tensorboard is a symbolic link, and nothing is written or removed through a link" in done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


def test_nothing_to_train_on_is_a_sentence(tmp_path: Path) -> None:
    done = trainer("read-from-store", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give a store, or --resume with the folder of a run" in done.stderr


def test_a_dictionary_below_the_mean_exits_with_1_a_cause_and_a_suggestion(store: Path, tmp_path: Path) -> None:
    bad = ("--lr", 5, "--steps", 20, "--out", "run", "--quiet")
    done = trainer("read-from-store", store, *OPTIONS, *bad, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: run: after 20 steps the explained variance on split 'valid' is -")
    assert "Begin again with a lower --lr (now 5)" in done.stderr


def test_a_world_that_is_not_that_of_torchrun_is_refused_before_it_writes(store: Path, tmp_path: Path) -> None:
    places = [{"RANK": str(rank), "WORLD_SIZE": "2"} for rank in range(2)]
    arguments = command("read-from-store", store, *OPTIONS, "--out", "run")
    for place in places:
        done = subprocess.run(
            arguments, cwd=tmp_path, env=ENVIRONMENT | place, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "start the trainer with torchrun" in done.stderr
    assert not list(tmp_path.iterdir())
