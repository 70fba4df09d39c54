"""A program of several commands: what all commands of `actstore` and `trainer` have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, Any, Final, TypeVar, cast

import typer
from typer.core import TyperCommand, TyperGroup

from actstore.access.credentials import refuse_credentials
from actstore.redaction import without_secrets

__all__ = ["Command", "Group", "Program"]

_MAY_HOLD_SECRETS: Final = "storage_option"
_Function = TypeVar("_Function", bound=Callable[..., Any])
_WRONG_USAGE: Final = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""The exception of every wrong command line."""


class Command(TyperCommand):
    """A command that refuses an option given twice, and shows no secrets of a wrong command line."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the command line."""
        with _nothing_secret():
            _check(self, ctx, args)
            return super().parse_args(ctx, args)


class Group(TyperGroup):
    """Commands below one name; see `Command`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the command line up to the name of the command."""
        with _nothing_secret():
            _check(self, ctx, args)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override] # noqa: ANN401 - what the command returns
        """Run the command."""
        with _nothing_secret():
            return super().invoke(ctx)


class Program(typer.Typer):
    """A command line with several commands, which have the same rules.

    Parameters
    ----------
    name
        What a user types; None for a group of commands within a program.
    help
        Help of the program, in Markdown.
    """

    def __init__(self, name: str | None = None, *, help: str) -> None:  # noqa: A002 - the word of typer
        super().__init__(
            name=name,
            help=help,
            cls=Group,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            rich_markup_mode="markdown",
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        if name is not None:
            self.callback(cls=Group, help=help)(_program)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Function], _Function]:  # noqa: ANN401 - those of typer
        """Add a command, as `typer.Typer` does."""
        return super().command(name, **{"cls": Command, **settings})


def _show_version(context: typer.Context, wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        typer.echo(f"{context.find_root().command.name} {version('actstore')}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Do nothing: the options of a program itself are eager."""


def _check(command: TyperCommand | TyperGroup, context: typer.Context, args: Sequence[str]) -> None:
    """Refuse what no command takes: one option twice, and credentials in an address."""
    if context.resilient_parsing:
        return
    given, _, order = command.make_parser(context).parse_args(args=list(args))
    _refuse_twice(context, order)
    names = {option.name: max(option.opts, key=len) for option in order if option.param_type_name == "option"}
    for name, values in given.items():
        if name != _MAY_HOLD_SECRETS:
            for value in values if isinstance(values, list | tuple) else (values,):
                if isinstance(value, str):
                    refuse_credentials(value, name=names.get(name))


def _refuse_twice(context: typer.Context, order: Sequence[Any]) -> None:
    """Refuse an option that takes one value, or an on/off pair, if it is given twice: the user means one of them."""
    for option, times in Counter(order).items():
        is_repeatable = option.multiple or option.nargs != 1 or getattr(option, "count", False)
        is_plain_flag = getattr(option, "is_flag", False) and not option.secondary_opts
        if times > 1 and option.param_type_name == "option" and not (is_repeatable or is_plain_flag):
            names = " or ".join([*option.opts, *option.secondary_opts])
            how_often = "twice" if times == 2 else f"{times} times"
            context.fail(f"{names} is given {how_often}, and it takes one value; leave out all but one")


@contextmanager
def _nothing_secret() -> Iterator[None]:
    try:
        yield
    except _WRONG_USAGE as error:
        vars(error)["message"] = without_secrets(str(vars(error).get("message", "")))
        raise
