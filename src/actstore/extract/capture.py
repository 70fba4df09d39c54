"""One forward pass -> the outputs of some of its modules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

import torch
from torch import Tensor, nn

from actstore.errors import ModelError, SiteError

__all__ = ["capture"]


class _AllTaken(Exception):  # noqa: N818 - not an error: it ends a forward pass after the last site
    """Raised from the hook of the last site."""


def capture(
    modules: Mapping[str, nn.Module],
    run: Callable[[], object],
    *,
    take: Callable[[str, Tensor], Tensor],
    stop_early: bool = True,
) -> dict[str, Tensor]:
    """Run a forward pass and return `take` of the output of each module.

    Other threads may run forward passes of the same modules at the same time.

    Parameters
    ----------
    modules
        By site name.
    run
        Starts the forward pass.
    take
        Gets a site name and the module's output (the first tensor of a tuple or a `ModelOutput`). It is called
        during the pass, so it should copy the values it needs. Only its result is kept.
    stop_early
        Whether the pass ends as soon as every site is captured. Only a full pass detects modules that run more than
        once.

    Returns
    -------
    dict
        The results of `take`, in the order of `modules`.

    Raises
    ------
    ModelError
        If a module ran twice: its site would be ambiguous.
    SiteError
        If a module did not run, or its output is not a tensor.
    """
    mine = threading.get_ident()
    taken: dict[str, Tensor] = {}
    names_of: dict[nn.Module, list[str]] = {}
    for name, module in modules.items():
        names_of.setdefault(module, []).append(name)

    def hook(module: nn.Module, _inputs: object, output: object) -> None:
        if threading.get_ident() != mine:
            return
        for name in names_of[module]:
            if name in taken:
                raise _runs_twice(name)
            taken[name] = take(name, _first_tensor(name, output))
        if stop_early and len(taken) == len(modules):
            raise _AllTaken

    with ExitStack() as hooks:
        for module in names_of:
            hooks.callback(module.register_forward_hook(hook).remove)
        with suppress(_AllTaken):
            run()

    return _in_order(modules, taken)


def _runs_twice(site: str) -> ModelError:
    return ModelError(
        f"the module of site {site} runs more than once in a forward pass, so its output is ambiguous; "
        "choose a module that runs once"
    )


def _in_order(modules: Mapping[str, nn.Module], taken: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what was taken in the order of the modules; raises `SiteError` for those that did not run."""
    if silent := [name for name in modules if name not in taken]:
        raise SiteError(f"{', '.join(silent)}: the module does not run in a forward pass; choose another")
    return {name: taken[name] for name in modules}


def _first_tensor(name: str, output: object) -> Tensor:
    """Return the first tensor of the output of a module."""
    first = output
    if isinstance(output, Mapping):
        first = next(iter(output.values()), None)
    elif isinstance(output, (tuple, list)):
        first = output[0] if output else None
    if not isinstance(first, torch.Tensor):
        raise SiteError(f"{name}: the module returns {type(first).__name__}, not a tensor; choose another")
    return first
