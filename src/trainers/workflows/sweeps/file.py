"""A sweep in TOML: settings of all members, grids, and members by name.

::

    sites = "resid_post.3"        # settings of every member: fields of TrainConfig
    latents = 4096

    [[grid]]                      # every combination is a member
    dictionary = ["topk-sae"]
    k = [16, 32]

    [[member]]                    # one more
    name = "wide"
    latents = 8192
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from actstore import did_you_mean, errors
from trainers.fit.config import TrainConfig, make_config
from trainers.workflows.resume import with_absolute_paths
from trainers.workflows.settings import merged_settings, read_toml
from trainers.workflows.sweeps.folder import MEMBER_NAME, RESERVED_NAMES

__all__ = ["MOST_MEMBERS", "read_sweep"]

MOST_MEMBERS: Final = 1000
_TABLES: Final = ("grid", "member")
_FIELDS: Final = tuple(TrainConfig.model_fields)


def read_sweep(path: Path) -> dict[str, TrainConfig]:
    """Return the members of a sweep by name: the name of their folder.

    Members share the order of rows unless the file says otherwise: where `order_seed` is not given it is the `seed`
    outside of the grids.

    Raises
    ------
    UsageError
        If the file cannot be read, has no members, or says what no member can be; the message names the place.
    """
    document = read_toml(path, what="a sweep")
    base = {key: value for key, value in document.items() if key not in _TABLES}
    _check_fields(base, where=f"{path}", also=_TABLES)
    given = [*_of_grids(path, document.get("grid", [])), *_of_members(path, document.get("member", []))]
    if not given:
        raise errors.UsageError(
            f"{path}: no members; list values in a table, such as [grid] with k = [16, 32], or add [[member]] tables"
        )
    members: dict[str, TrainConfig] = {}
    folders: dict[str, str] = {}
    for where, name, settings in given:
        if name in RESERVED_NAMES:
            raise errors.UsageError(f"{path}, {where}: a sweep has a file {name} of its own; give another name")
        if (other := folders.setdefault(name.casefold(), name)) != name or name in members:
            raise errors.UsageError(
                f"{path}: two members would share the folder {other!r}; give one of them another name (or settings)"
            )
        try:
            config = with_absolute_paths(make_config(merged_settings(base, settings), said_by={}))
        except errors.UsageError as error:
            raise errors.UsageError(f"{path}, {where}: {error}") from None
        order_seed = base.get("seed", 0) if config.order_seed is None else config.order_seed
        members[name] = config.model_copy(update={"order_seed": order_seed})
    return members


def _of_grids(path: Path, grids: object) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the place, the name and the settings of each combination."""
    for number, grid in enumerate(_tables(path, "grid", grids), start=1):
        where = f"grid {number}"
        _check_fields(grid, where=f"{path}, {where}")
        for field, values in grid.items():
            if not isinstance(values, list) or not values:
                raise errors.UsageError(
                    f"{path}, {where}: {field} needs a list of values, such as [1, 2], not {_shown(values)}; a value "
                    "that all members have stands outside of the grid"
                )
        if not grid:
            raise errors.UsageError(f"{path}, {where}: is empty; list values of some field, such as k = [16, 32]")
        if (members := math.prod(map(len, grid.values()))) > MOST_MEMBERS:
            raise errors.UsageError(f"{path}, {where}: {members:,} combinations; a sweep has at most {MOST_MEMBERS:,}")
        for values in itertools.product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            named = {name: value for name, value in settings.items() if len(grid[name]) > 1 or name == "dictionary"}
            yield where, _name_of(named or settings), settings


def _of_members(path: Path, members: object) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for number, settings in enumerate(_tables(path, "member", members), start=1):
        where = f"member {number}"
        _check_fields(settings, where=f"{path}, {where}", also=("name",))
        name = settings.pop("name", None)
        if name is None:
            name = _name_of(settings) or where.replace(" ", "-")
        if not isinstance(name, str) or not re.fullmatch(MEMBER_NAME, name):
            raise errors.UsageError(
                f"{path}, {where}: name = {_shown(name)}; the name of a folder has letters, digits and . _ + - only, "
                "at most 100, and does not begin with a dot"
            )
        yield where, name, settings


def _tables(path: Path, key: str, value: object) -> list[dict[str, Any]]:
    tables = [value] if isinstance(value, dict) else value
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise errors.UsageError(f"{path}: {key} is {_shown(value)}; write it as a table, [{key}] or [[{key}]]")
    return [dict(one) for one in tables]


def _check_fields(settings: Mapping[str, Any], *, where: str, also: tuple[str, ...] = ()) -> None:
    offered = (*_FIELDS, *also)
    for field in settings:
        if field not in offered:
            raise errors.UsageError(
                f"{where}: no setting {_shown(field)}{did_you_mean(field, offered)}; settings are the options of "
                "'trainer read-from-store --help' with _ for -, and sites"
            )


def _name_of(settings: Mapping[str, Any]) -> str:
    """Return a name from what distinguishes a member.

    Examples
    --------
    >>> _name_of({"dictionary": "topk-sae", "k": 16, "sites": ["embed", "resid_post.3"], "lr": 0.001})
    'topk-sae-k16-embed+resid_post.3-lr0.001'
    """
    parts = []
    for field, value in settings.items():
        text = "+".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(text if field in {"dictionary", "sites"} else f"{field}{text}".replace("targets", "to-"))
    return re.sub(r"[^\w.+-]", "_", "-".join(parts), flags=re.ASCII)[:100].lstrip(".")


def _shown(value: object) -> str:
    return ascii(repr(value)[:80])[1:-1]
