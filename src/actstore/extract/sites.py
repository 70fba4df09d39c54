"""Requested names -> places in a model, in the order in which they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from actstore.contracts.suggest import nearest
from actstore.errors import SiteError
from actstore.extract.families import Architecture

__all__ = ["AvailableSites", "SitePath", "available_sites", "resolve_sites"]

SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_GLOB_CHARACTERS: Final = frozenset("*?[")


class SitePath(NamedTuple):
    """A site and the path of the module whose output it is."""

    name: str
    module: str


@dataclass(frozen=True, slots=True)
class AvailableSites:
    """Sites and modules of a model."""

    named: tuple[SitePath, ...]
    """`embed`, `resid_post.0`, ..., `final_norm`: those that exist, in this order."""
    modules: tuple[str, ...]
    """Every module path, in the order of the model."""


def available_sites(architecture: Architecture, modules: Iterable[str]) -> AvailableSites:
    """Return the sites of a model from its architecture and its module paths.

    Raises
    ------
    SiteError
        If a path of the architecture is not in the model.
    """
    paths = tuple(path for path in modules if path)
    known = frozenset(paths)
    named: list[SitePath] = []

    def add(site: str, module: str | None, setting: str) -> None:
        if module is None:
            return
        if module not in known:
            raise SiteError(
                f"the model has no module {module!r} for the site {site}{_near(module, paths)}; "
                f"set 'model.{setting}' in the recipe"
            )
        named.append(SitePath(site, module))

    add("embed", architecture.embed, "embed")
    if architecture.blocks is not None:
        add("resid_post.0", f"{architecture.blocks}.0", "blocks")
        block = 1
        while (path := f"{architecture.blocks}.{block}") in known:
            named.append(SitePath(f"resid_post.{block}", path))
            block += 1
    add("final_norm", architecture.final_norm, "final_norm")
    return AvailableSites(tuple(named), paths)


def resolve_sites(requested: Sequence[str], available: AvailableSites) -> tuple[SitePath, ...]:
    """Resolve names, globs and module paths.

    A glob is matched against the named sites first; `*` matches any text. If none match, it is matched against module
    paths; `*` matches one component. A module path that is the place of a named site becomes that site. Duplicates
    collapse.

    Returns
    -------
    tuple of SitePath
        Named sites in the order of the model (`embed`, `resid_post.0`, ..., `final_norm`), then other module
        paths in the requested order.

    Raises
    ------
    SiteError
        If a requested site does not exist, or its name cannot be the name of a folder.

    Examples
    --------
    >>> esm = Architecture(blocks="layer", final_norm="norm")
    >>> offer = available_sites(esm, ["layer", "layer.0", "layer.0.mlp", "layer.1", "layer.1.mlp", "norm"])
    >>> [site.name for site in resolve_sites(["norm", "layer.*.mlp", "resid_post.*"], offer)]
    ['resid_post.0', 'resid_post.1', 'final_norm', 'layer.0.mlp', 'layer.1.mlp']
    """
    if not requested:
        raise SiteError(f"no sites were requested; {_what_exists(available)}")
    found = dict.fromkeys(site for request in requested for site in _matches(request, available))
    rank = {site: index for index, site in enumerate(available.named)}
    return tuple(sorted(found, key=lambda site: rank.get(site, len(rank))))


def _matches(request: str, available: AvailableSites) -> list[SitePath]:
    name_of = {site.module: site.name for site in reversed(available.named)}
    if _GLOB_CHARACTERS.isdisjoint(request):
        matches = [site for site in available.named if site.name == request]
        paths = [request] if not matches and request in available.modules else []
    else:
        matches = [site for site in available.named if fnmatchcase(site.name, request)]
        paths = [path for path in available.modules if _components_match(path, request)] if not matches else []
    matches += [SitePath(name_of.get(path, path), path) for path in paths]
    if not matches:
        known = [*(site.name for site in available.named), *available.modules]
        raise SiteError(f"no site {request!r}{_near(request, known)}; {_what_exists(available)}")
    for site in matches:
        if not SAFE_NAME.fullmatch(site.name):
            raise SiteError(f"{site.name!r} cannot be the name of a site: only letters, digits, '_', '-' and '.' can")
    return matches


def _components_match(path: str, pattern: str) -> bool:
    parts, patterns = path.split("."), pattern.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _near(name: str, known: Sequence[str]) -> str:
    close = nearest(name, known)
    return f" (near: {', '.join(close)})" if close else ""


def _what_exists(available: AvailableSites) -> str:
    """Name the sites, with the run of blocks shortened."""
    names = [site.name for site in available.named]
    blocks = [name for name in names if name.startswith("resid_post.")]
    if len(blocks) > 2:
        first, last = names.index(blocks[0]), names.index(blocks[-1])
        names[first : last + 1] = [f"{blocks[0]} ... {blocks[-1]}"]
    offer = f"this model has {', '.join(names)}" if names else "this model has no named sites (see 'model.blocks')"
    tops = dict.fromkeys(path.partition(".")[0] for path in available.modules)
    return f"{offer}, and {len(available.modules)} module paths under {', '.join(tops)}"
