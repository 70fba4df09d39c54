"""What every command owes whoever types it: help, exit codes, and nothing but the answer on standard output."""

import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.actstore.cli.command import actstore

StoreOf = Callable[..., Path]
COMMANDS = [
    ["plan"],
    ["extract"],
    ["import"],
    ["inspect"],
    ["verify"],
    ["repair"],
    ["gc"],
    ["manifest", "export"],
    ["manifest", "show"],
    ["manifest", "validate"],
]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def words(text: str) -> str:
    """Return help without colours, frames and folding."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", ANSI.sub("", text)).split())


@pytest.mark.parametrize("command", [[], ["manifest"]], ids=str)
def test_help_lists_the_commands(command: list[str]) -> None:
    done = actstore(*command, "--help")
    assert (done.code, done.err) == (0, "")
    wanted = {other[len(command)] for other in COMMANDS if other[: len(command)] == command}
    assert wanted <= set(words(done.out).split())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    done = actstore(*command, "--help")
    assert (done.code, done.err) == (0, "")
    usage, _, rest = words(done.out).partition("[OPTIONS]")
    assert usage.strip().endswith(" ".join(command))
    assert f"actstore {' '.join(command)} " in rest
    assert "--json" in done.out


@pytest.mark.parametrize("short", ["-h", "--help"])
def test_help_has_a_short_form(short: str) -> None:
    assert actstore(short).code == 0


def test_the_version_is_that_of_the_package() -> None:
    assert actstore("--version").out == f"actstore {version('actstore')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["extrakt"],
        ["extract", "--no-such-option"],
        ["extract", "--fraction", "half", "--store", "x"],
        ["inspect"],
        ["verify"],
        ["repair"],
        ["repair", "store", "--task", "two"],
        ["gc"],
        ["gc", "store", "--older-than", "yesterday"],
        ["plan"],
        ["manifest", "export", "store"],
        ["plan", "none.toml"],
        ["extract", "--model", "esm", "--sequences", "a.fasta"],
        ["extract", "--sequences", "a.fasta", "--store", "x"],
        ["extract", "--set", "task_rows", "--store", "x"],
    ],
    ids=" ".join,
)
def test_a_wrong_request_leaves_with_2_and_nothing_on_standard_output(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = actstore(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "nowhere"],
        ["inspect", "gopher://host/store"],
        ["verify", "nowhere"],
        ["repair", "nowhere"],
        ["gc", "nowhere"],
        ["extract", "--store", "nowhere"],
        ["manifest", "export", "nowhere", "-o", "out.json"],
        ["manifest", "show", "none.json"],
        ["manifest", "validate", "none.json"],
    ],
    ids=" ".join,
)
def test_what_fails_leaves_with_1_and_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = actstore(*arguments, "--json")
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["inspect", "verify", "extract", "repair", "gc"])
@pytest.mark.parametrize("option", ["hunter2", "=hunter2", "hunter2:key"])
def test_a_storage_option_that_is_no_pair_is_refused_without_being_repeated(
    command: str, option: str, tmp_path: Path
) -> None:
    place = ["--store", tmp_path] if command == "extract" else [tmp_path]
    done = actstore(command, *place, "--storage-option", option)
    assert done.code == 2
    assert "KEY=VALUE" in done.err
    assert "hunter2" not in done.err + done.out


def test_storage_options_reach_the_file_system(store_of: StoreOf) -> None:
    done = actstore("inspect", f"file://{store_of()}", "--storage-option", "auto_mkdir=true", "--json")
    assert done.code == 0
    assert done.document["complete"] is True


def test_a_manifest_that_is_not_valid_is_reported_in_json(tmp_path: Path) -> None:
    file = tmp_path / "no.json"
    file.write_text("{}")
    done = actstore("manifest", "validate", file, "--json")
    assert done.code == 1
    assert done.document["valid"] is False
    assert "not a manifest" in done.document["problem"]


@pytest.mark.parametrize("command", ["verify", "repair", "gc"])
def test_a_manifest_file_stands_for_its_store(command: str, own_store: StoreOf, tmp_path: Path) -> None:
    store, file = own_store(), tmp_path / "shared.json"
    assert actstore("manifest", "export", store, "-o", file).code == 0
    assert actstore("inspect", file).code == 0
    done = actstore(command, file, "--json")
    assert (done.code, done.document["uri"]) == (0, str(store)), done.err
    done = actstore(command, store / "manifest.json")
    assert done.code == 1
    assert "does not say where its store is" in done.err
    assert actstore(command, store / "zarr.json").code == 1
    (store / "commits" / "0.json").write_bytes(b"{}")
    damaged = actstore(command, file, *(["--dry-run"] if command == "repair" else []), "--json")
    assert damaged.code == (0 if command == "gc" else 1), damaged.err
    assert damaged.document["uri"] == str(store)


def test_options_that_are_half_a_recipe_say_what_is_missing(tmp_path: Path) -> None:
    done = actstore("extract", "--store", tmp_path / "store", "--fraction", "0.5")
    assert done.code == 2
    assert "rows.fraction without a recipe" in done.err
    assert "--store alone continues" in done.err


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "s3://bucket/store"],
        ["verify", "s3://bucket/store"],
        ["extract", "--site=embed", "--sequences=a.fasta", "--store=s3://bucket/store"],
        ["extract", "--site=embed", "--sequences=s3://bucket/a.fasta", "--store=store"],
        ["extract", "--site=embed", "--sequences=s3://bucket/*.fasta", "--store=store"],
    ],
)
def test_storage_without_credentials_is_a_sentence(
    command: list[str], esm2_tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    done = actstore(*command, *([f"--model={esm2_tiny}", "--quiet"] if command[0] == "extract" else []))
    assert done.code == 1
    assert done.err.startswith("error: s3://bucket/")
    assert "credentials" in done.err
    assert len(done.err.splitlines()) == 1
