"""Commands whose options come in groups, each option written once."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["with_grouped_options"]


def with_grouped_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that typer can read, from one with groups among its parameters.

    A group is a dataclass whose fields are options: ``Annotated[type, typer.Option(...)] = default``. A parameter
    annotated with a group stands for the options of the group, in the order of its fields. Options without a panel in
    the help are shown in that of the group, its class variable ``PANEL``. Typer reads the signature
    of a function, and it knows no groups, so the command that is returned has a signature with one parameter for each
    option. When it is called, it builds the groups and calls `command`.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Sizes:
    ...     rows: int = 1
    ...     sites: int = 2
    >>> @with_grouped_options
    ... def show(name: str, *, sizes: Sizes, loud: bool = False) -> None:
    ...     print(name, sizes, loud)
    >>> inspect.signature(show)
    <Signature (name: str, *, rows: int = 1, sites: int = 2, loud: bool = False) -> None>
    >>> show(name="a", rows=3)
    a Sizes(rows=3, sites=2) False
    """
    written = inspect.signature(command, eval_str=True)
    groups = {
        name: tuple(_options_of(parameter.annotation))
        for name, parameter in written.parameters.items()
        if isinstance(parameter.annotation, type) and dataclasses.is_dataclass(parameter.annotation)
    }
    parameters = [option for name, parameter in written.parameters.items() for option in groups.get(name, (parameter,))]

    @functools.wraps(command)
    def run(*positional: object, **given: object) -> None:
        for name, options in groups.items():
            chosen = {option.name: given.pop(option.name) for option in options if option.name in given}
            given[name] = written.parameters[name].annotation(**chosen)
        command(*positional, **given)

    # Both, since typer looks at the annotations as well.
    vars(run)["__signature__"] = written.replace(parameters=parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options_of(group: type[DataclassInstance]) -> Iterator[inspect.Parameter]:
    annotations = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        for option in getattr(annotations[field.name], "__metadata__", ()):
            if getattr(option, "rich_help_panel", "") is None:
                option.rich_help_panel = getattr(group, "PANEL", None)
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotations[field.name]
        )
