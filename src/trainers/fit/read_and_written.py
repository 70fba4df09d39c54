"""Which sites of a batch a dictionary reads, and which it writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from actstore import errors
from trainers.dictionaries.dictionary import Dictionary
from trainers.fit.config import TrainConfig

__all__ = ["read_and_written", "sites_of_batches"]


def sites_of_batches(config: TrainConfig) -> tuple[str, ...] | None:
    """Return the names or globs of all sites that batches must have: those read, then those only written."""
    return None if config.sites is None else (*config.sites, *(config.targets or ()))


def read_and_written(
    kind: type[Dictionary], config: TrainConfig, sites: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the sites that a dictionary reads, and of those that it writes, each in its order.

    Parameters
    ----------
    sites
        Those of the batches.

    Raises
    ------
    UsageError
        If the dictionary does not fit the sites.
    """
    name = config.dictionary
    if config.targets is not None and not kind.takes_targets:
        raise errors.UsageError(
            f"{name} writes the sites that it reads, so it has no --target; leave it out, or take a transcoder"
        )
    read = sites if config.targets is None else _matching(config.sites, sites)
    written = read if config.targets is None else _matching(config.targets, sites)
    if kind.one_site and len(read) != 1:
        other = " (or take a crosscoder)" if not kind.takes_targets else ""
        raise errors.UsageError(
            f"{name} reads one site, not {len(read)}; choose one with --site: {', '.join(read)}{other}"
        )
    if kind.one_site and kind.takes_targets and config.targets is None:
        raise errors.UsageError(
            f"{name} reads {read[0]} and has no site to write; give one with --target, such as the output of an MLP "
            f"whose input it reads (for {read[0]} itself, topk-sae is the dictionary)"
        )
    if kind.one_site and len(written) != 1:
        raise errors.UsageError(
            f"{name} writes one site, not {len(written)}; choose one with --target: {', '.join(written)} "
            "(or take a cross-layer transcoder)"
        )
    if kind.each_site_has_latents and len(read) != len(written):
        raise errors.UsageError(
            f"{name} writes as many sites as it reads, in the same order, not {len(written)} ({', '.join(written)}) "
            f"for {len(read)} ({', '.join(read)}); give one --target for each --site"
        )
    if kind.each_site_has_latents:
        _refuse_out_of_order(name, read)
        _refuse_out_of_order(name, written)
    return read, written


def _refuse_out_of_order(name: str, sites: tuple[str, ...]) -> None:
    """Refuse layers that do not ascend: latents would write to earlier ones."""
    found = [re.findall(r"\d+", site) for site in sites]
    numbers = [int(each[-1]) for each in found if each]
    if len(numbers) == len(sites) and numbers != sorted(numbers):
        raise errors.UsageError(
            f"{name}: latents of a site write to it and to the sites after it, and {', '.join(sites)} are not in the "
            "order of the layers; give them in that order"
        )


def _matching(wanted: Sequence[str] | None, sites: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sites that match names or globs, in the order given; None for all."""
    if wanted is None:
        return sites
    return tuple(dict.fromkeys(site for pattern in wanted for site in sites if fnmatchcase(site, pattern)))
