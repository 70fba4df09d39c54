"""The modules of a model in memory whose outputs are the sites of a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from actstore import did_you_mean, errors
from trainers.exchange.facts import SiteFacts

__all__ = ["ModelSites", "find_sites"]

_MOST_NAMED: Final = 5


class ModelSites(NamedTuple):
    """Where the sites of a dictionary are in a model."""

    network: nn.Module
    """The network that extraction would run: the model, or its base model."""
    modules: tuple[nn.Module, ...]
    """One for each site."""
    around: tuple[nn.Module, ...]
    """The modules that contain them, the model first."""


def find_sites(model: nn.Module, sites: Sequence[SiteFacts], modules: Mapping[str, str] | None = None) -> ModelSites:
    """Find the module of each site.

    Paths of sites start at the network that extraction runs. In a model with a head that is its base model
    (`model.base_model_prefix`), otherwise the model itself, otherwise the only part of the model that has all of the
    paths.

    Parameters
    ----------
    modules
        Paths in the model of sites whose module is not known, or is another one.

    Raises
    ------
    SiteError
        If a module is not found, or several could be meant.
    UsageError
        If the model is no module, or hooks have no effect on it, or not a certain one: it is compiled, replicated, or
        computes parts of it a second time for the gradients.
    """
    if not isinstance(model, nn.Module):
        raise errors.UsageError(
            f"the model is {_called(model)}; give a model in memory, a torch.nn.Module: "
            "transformers.AutoModel.from_pretrained(NAME, dtype=...)"
        )
    if modules is not None and not isinstance(modules, Mapping):
        raise errors.UsageError(
            f"modules is a {type(modules).__name__}; give paths by site: modules={{{sites[0].name!r}: PATH}}"
        )
    given = dict(modules or {})
    if wrong := [one for pair in given.items() for one in pair if not isinstance(one, str)]:
        raise errors.UsageError(
            f"modules holds {wrong[0]!r}; give texts, the path of the module by the name of the site"
        )
    if unknown := [name for name in given if name not in {site.name for site in sites}]:
        known = [site.name for site in sites]
        raise errors.SiteError(
            f"modules: this dictionary has no site {unknown[0]!r}; it has {', '.join(known)}"
            f"{did_you_mean(unknown[0], known)}"
        )
    for name, path in given.items():
        if path not in _paths(model):
            raise errors.SiteError(f"{name}: the model has no module {path!r}{did_you_mean(path, _paths(model))}")
    start = _start(model, [_known_path(site) for site in sites if site.name not in given])
    paths = [given.get(site.name) or _below(start, site.module or "") for site in sites]
    around = dict.fromkeys(before for path in paths for before in _before(path))
    for path in (*around, *paths):
        _refuse_unhookable(path, model.get_submodule(path), is_site=path in paths)
    if any(getattr(each, "gradient_checkpointing", False) and each.training for each in model.modules()):
        raise errors.UsageError(
            "the model computes its blocks a second time for the gradients, and hooks would change them twice; "
            "call model.eval(), or turn gradient (activation) checkpointing off"
        )
    return ModelSites(
        network=model.get_submodule(start),
        modules=tuple(model.get_submodule(path) for path in paths),
        around=tuple(model.get_submodule(path) for path in sorted(around, key=len)),
    )


def _paths(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules by path; a tied module has several."""
    return {path: module for path, module in model.named_modules(remove_duplicate=False) if path}


def _known_path(site: SiteFacts) -> str:
    if site.module is None:
        raise errors.SiteError(
            f"it is not known which module {site.name} is the output of; give its path in the model: "
            f"modules={{{site.name!r}: PATH}}"
        )
    return site.module


def _start(model: nn.Module, wanted: Sequence[str]) -> str:
    """Return the path of the network that has all of the wanted paths; raises `SiteError`."""
    there = _paths(model)
    prefix = getattr(model, "base_model_prefix", None) or ""
    base = prefix if prefix in there else ""
    starts = [start for start in ("", *there) if all(_below(start, path) in there for path in wanted)]
    if base in starts or "" in starts:
        return base if base in starts else ""
    if len({id(there[start]) for start in starts}) == 1:
        return starts[0]
    if starts:
        raise errors.SiteError(
            f"{type(model).__name__} has several modules {wanted[0]!r}: "
            f"{_some([_below(start, wanted[0]) for start in starts])}; give the model that contains one of them, or "
            "say which one with 'modules'"
        )
    missing = next((path for path in wanted if not any(each.endswith(f".{path}") for each in there)), wanted[0])
    last = missing.rpartition(".")[2]
    alike = [path for path in there if path.rpartition(".")[2] == last and not last.isdigit()]
    hint = did_you_mean(_below(base, missing), there) or (f"; there are {_some(alike)}" if alike else "")
    found = f"it has {_some(list(there))}" if there else "there are no modules in it"
    raise errors.SiteError(
        f"{type(model).__name__} has no module {missing!r}{hint or f'; {found}'} "
        "(give the model whose activations the dictionary reads, or name the module with 'modules')"
    )


def _below(start: str, path: str) -> str:
    return f"{start}.{path}" if start else path


def _before(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:depth]) for depth in range(len(parts))]


def _refuse_unhookable(path: str, module: nn.Module, *, is_site: bool) -> None:
    """Refuse a module in whose calls hooks are not run, or run in several threads."""
    name = f"the module {path!r}" if path else "the model"
    if isinstance(module, (nn.DataParallel, DistributedDataParallel)):
        raise errors.UsageError(f"{name} is {type(module).__name__}; give the model that it wraps: its '.module'")
    if hasattr(module, "_orig_mod"):
        raise errors.UsageError(
            f"{name} is compiled, and compiled code does not see new hooks; give the model that was compiled"
        )
    replaced = None if is_site else vars(module).get("forward")
    if getattr(module, "_compiled_call_impl", None) is not None or hasattr(replaced, "_torchdynamo_orig_callable"):
        raise errors.UsageError(
            f"{name} is compiled, and compiled code does not see new hooks; load the model again without compiling it"
        )


def _called(model: object) -> str:
    return repr(model)[:80] if model is None or isinstance(model, str) else f"of type {type(model).__name__}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
