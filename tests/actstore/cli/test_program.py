"""What all commands of both programs have in common."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from actstore.cli.app import app as actstore_app
from actstore.errors import ActstoreError
from trainers.cli.app import app as trainer_app

APPS = {"actstore": actstore_app, "trainer": trainer_app}
PACKAGES = {"actstore": "actstore.cli", "trainer": "trainers.cli"}
NUMBER_WITH_UNIT = re.compile(r"0|[\d.,]+:? \w.*|[a-z].*|5e-3 sqrt.*")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def commands_of(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], typer.core.TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands_of(command, *path, name)
        else:
            assert isinstance(command, typer.core.TyperCommand)
            yield (*path, name), command


def root(program: str) -> TyperGroup:
    found = typer.main.get_command(APPS[program])
    assert isinstance(found, TyperGroup)
    return found


COMMANDS = [(program, path) for program in APPS for path, _ in commands_of(root(program))]
OPTIONS = [
    (program, path, option)
    for program in APPS
    for path, command in commands_of(root(program))
    for option in command.params
    if isinstance(option, TyperOption)
]
ONE_VALUE = [case for case in OPTIONS if not case[2].multiple and not case[2].is_flag]
REPEATABLE = [case for case in OPTIONS if case[2].multiple]


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = {program!r}; from {PACKAGES[program]} import main; main()",
         *arguments],
        env=os.environ | {"COLUMNS": "100"} | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def words(text: str) -> str:
    """Return help without colours, frames and folding."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", ANSI.sub("", text)).split())


def name_of(option: TyperOption) -> str:
    return max(option.opts, key=len)


def complaint(program: str, arguments: list[str]) -> str:
    """Parse a command line as the program would; return what it complains about."""
    try:
        command: object = root(program)
        with root(program).make_context(program, list(arguments)) as context:
            rest = list(arguments)
            while isinstance(command, TyperGroup):
                _, command, rest = command.resolve_command(context, rest)
            assert isinstance(command, typer.core.TyperCommand)
            command.make_context(program, rest, parent=context).close()
    except typer.BadParameter.__mro__[1] as error:  # type: ignore[misc]
        return str(error.format_message())
    except ActstoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("program", "path", "option"), ONE_VALUE, ids=lambda one: one if isinstance(one, str | tuple) else name_of(one)
)
def test_an_option_of_one_value_is_refused_if_given_twice(
    program: str, path: tuple[str, ...], option: TyperOption
) -> None:
    name = name_of(option)
    said = complaint(program, [*path, name, "1", f"{name}=2"])
    assert f"{name} is given twice" in said.replace(" or -o", "")


@pytest.mark.parametrize(
    ("program", "path", "option"), REPEATABLE, ids=lambda one: one if isinstance(one, str | tuple) else name_of(one)
)
def test_an_option_that_may_be_repeated_still_may(program: str, path: tuple[str, ...], option: TyperOption) -> None:
    name = name_of(option)
    assert "twice" not in complaint(program, [*path, name, "1", name, "2"])


def test_a_pair_of_flags_is_one_option() -> None:
    assert "--recompute or --no-recompute is given twice" in complaint(
        "actstore", ["verify", "store", "--recompute", "--no-recompute"]
    )
    assert complaint("actstore", ["verify", "store", "--json", "--json", "-q", "--quiet"]) == ""


@pytest.mark.parametrize(
    ("program", "arguments"),
    [("actstore", ["extract", "--seed", "1", "--seed", "2"]), ("trainer", ["online", "x", "--seed=1", "--seed=2"])],
)
def test_giving_an_option_twice_leaves_with_2(program: str, arguments: list[str]) -> None:
    done = run(program, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--seed is given twice" in words(done.stderr)


def takes_number(option: Any) -> bool:
    """Return whether an option takes a number; typer before 0.27 has types of click."""
    if hasattr(option, "type_descriptor"):
        return option.type_descriptor.annotation in {int, float}
    return option.type.name in {"integer", "float"}


@pytest.mark.parametrize(("program", "path"), COMMANDS, ids=lambda one: one if isinstance(one, str) else " ".join(one))
def test_help_shows_every_default_with_its_unit_in_panels(program: str, path: tuple[str, ...]) -> None:
    done = run(program, *path, "--help", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    for *command, option in OPTIONS:
        if command != [program, path]:
            continue
        rows = dict(re.findall(r"│[ *]+(--[\w-]+)(.*?)(?=│[ *]+--|╯)", done.stdout, re.DOTALL))
        row = words(rows[name_of(option)])
        if not option.required and not option.is_flag:
            assert "[default: " in row, f"{name_of(option)}: {row}"
        if takes_number(option) and isinstance(option.show_default, str):
            assert NUMBER_WITH_UNIT.fullmatch(option.show_default), option.show_default
            if option.default is not None:
                number = option.show_default.partition(" ")[0].rstrip(":").replace(",", "")
                assert float(number) * (1 << 20 if "MiB" in option.show_default else 1) == option.default
    assert "─ Output ─" in done.stdout


@pytest.mark.parametrize("program", APPS)
def test_every_program_has_a_version(program: str) -> None:
    done = run(program, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} {version('actstore')}\n", "")


@pytest.mark.parametrize(
    ("program", "line", "offered"),
    [
        ("actstore", "actstore ver", {"verify"}),
        ("actstore", "actstore manifest ex", {"export"}),
        ("actstore", "actstore plan --mon", {"--months"}),
        ("trainer", "trainer on", {"online"}),
        ("trainer", "trainer read-from-store --dictionary cross",
         {f"crosscoder-{code}" for code in ("topk", "batch-topk", "jumprelu", "matryoshka", "l1", "l2")}),
        ("trainer", "trainer online --order ", {"windows", "uniform"}),
    ],
)  # fmt: skip
def test_a_shell_completes_commands_options_and_values(program: str, line: str, offered: set[str]) -> None:
    done = run(
        program,
        **{
            f"_{program.upper()}_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
    )
    assert set(done.stdout.split()) == offered, done.stderr


@pytest.mark.parametrize("program", APPS)
def test_completion_can_be_shown_and_installed(program: str) -> None:
    done = run(program, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert f"_{program.upper()}_COMPLETE=complete_bash" in done.stdout
    assert "--install-completion" in words(run(program, "--help").stdout)


@pytest.mark.parametrize(
    ("program", "arguments", "nearest"),
    [
        ("actstore", ["plan", "x.toml", "--montsh", "3"], "--months"),
        ("actstore", ["gc", "store", "--older-then", "1d"], "--older-than"),
        ("actstore", ["verfy"], "verify"),
        ("actstore", ["manifest", "exprot"], "export"),
        ("trainer", ["online", "x.toml", "--latnets", "3"], "--latents"),
        ("trainer", ["onlnie"], "online"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest(program: str, arguments: list[str], nearest: str) -> None:
    done = run(program, *arguments)
    assert done.returncode == 2
    assert nearest in words(done.stderr)
