"""Read a dictionary that another library trained."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from torch import Tensor

from actstore import did_you_mean, errors, refuse_credentials
from trainers.exchange.facts import BatchTopK, DictionaryFacts, ModelFacts, RowTransform, SiteFacts
from trainers.exchange.folder import FACTS
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import Foreign
from trainers.exchange.formats.table import FORMATS
from trainers.exchange.trained import TrainedDictionary
from trainers.save.tensors import shown

__all__ = ["import_dictionary"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MOST_FOLDERS: Final = 200


def import_dictionary(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the word of commands
    model: str | None = None,
    revision: str | None = None,
    weights_sha256: str | None = None,
    sites: str | Sequence[str] | None = None,
    modules: str | Sequence[str] | None = None,
    row_transform: RowTransform | None = None,
    input_scale: float | Sequence[float] | None = None,
    licence: str | None = None,
    citation: str | None = None,
) -> TrainedDictionary:
    """Read a dictionary of another library. Nothing in its files is run.

    Parameters
    ----------
    path
        A folder of another library, or one file of weights in it.
    format
        A name of `trainer import --from`; None to recognise it by its files.
    model, revision, weights_sha256
        The model whose activations it reads. `model` is needed where the folder does not say it.
    sites, modules
        Names of its sites, in order, and paths of their modules. `sites` are needed where the folder does not say them.
    row_transform
        Done to each row: `none`, `row-zscore` or `row-sqrt-d`; None for what the folder says.
    input_scale
        Factor of the rows in training, one or one for each site; None if the weights have it, as in our exports.
    licence, citation
        Of the dictionary; None for what the folder says.

    Raises
    ------
    CheckpointError, SourceError
        If the files are damaged, or are not what they seem.
    UsageError
        If the folder has no known format, or does not say what is needed.

    Examples
    --------
    ::

        dictionary = trainers.import_dictionary("layer_4", model="facebook/esm2_t6_8M_UR50D", sites="resid_post.3")
    """
    for text in (model, revision, licence, citation, *(_texts(sites) or ()), *(_texts(modules) or ())):
        refuse_credentials(text or "")
    folder, name = _recognised(ForeignFolder(Path(path)), format)
    found = FORMATS[name].read(folder)
    found = found if row_transform is None else replace(found, row_transform=row_transform)
    count, width, _ = found.weights["W_enc"].shape
    scale_S = _scales(input_scale, count)
    parent = _model(found, model, revision, weights_sha256)
    places = _sites(found, _texts(sites), _texts(modules), count, width)
    if parent is None or places is None:
        raise _unsaid(folder, parent, places, count)
    facts = _facts(folder, name, found, model=parent, sites=places, input_scale=scale_S)
    told = facts.model_copy(update={"licence": licence or facts.licence, "citation": citation or facts.citation})
    return TrainedDictionary(told, _scaled(found.weights, scale_S)).eval()


def _facts(
    folder: ForeignFolder,
    name: str,
    found: Foreign,
    *,
    model: ModelFacts,
    sites: tuple[SiteFacts, ...],
    input_scale: tuple[float, ...],
) -> DictionaryFacts:
    """Return what is known about the dictionary."""
    said = found.said
    if said is not None and said.input_scale is not None and set(input_scale) == {1.0}:
        input_scale = said.input_scale
    batch_topk = found.batch_topk or (None if said is None else said.batch_topk)
    origin = f"read from {FORMATS[name].title} files"
    try:
        return DictionaryFacts(
            dictionary=_kind(found, batch_topk, sites=len(sites)),
            sites=sites,
            latents=found.weights["W_enc"].shape[2],
            activation=found.activation,
            batch_topk=batch_topk,
            subtracts_b_dec=found.subtracts_b_dec,
            row_transform=found.row_transform,
            input_scale=input_scale,
            model=model,
            manifests=() if said is None else said.manifests,
            training=None if said is None else said.training,
            metrics={} if said is None else said.metrics,
            imported={"format": name, "files": dict(folder.digests), **found.notes},
            licence=None if said is None else said.licence,
            citation=None if said is None else said.citation,
            origin=f"{origin}; {said.origin}" if said is not None and said.origin else origin,
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = shown(".".join(str(part) for part in first["loc"]))
        raise errors.CheckpointError(f"{folder}: {where}: {shown(first['msg'])}") from error


def _kind(found: Foreign, batch_topk: BatchTopK | None, *, sites: int) -> str:
    """Return the name that our dictionaries of this kind have."""
    name: str = found.activation.name
    if batch_topk is not None:
        name = "matryoshka" if batch_topk.groups else "batch-topk"
    return f"{name}-sae" if sites == 1 else f"crosscoder-{name}"


def _recognised(folder: ForeignFolder, format_name: str | None) -> tuple[ForeignFolder, str]:
    """Return the folder that has the files, and its format.

    The only folder inside that has a format is taken for it, such as `trainer_0`.
    """
    if format_name is not None and format_name not in FORMATS:
        raise errors.UsageError(
            f"no format {format_name!r}{did_you_mean(format_name, tuple(FORMATS))}; there are {', '.join(FORMATS)}"
        )
    if folder.has(FACTS):
        raise errors.UsageError(f"{folder}: this is a dictionary of ours; load it: trainers.load(...)")
    if folder.chosen is not None and format_name is not None:
        return folder, format_name
    if names := _formats_of(folder, format_name):
        return folder, names[0]
    inside = sorted(one for one in folder.path.iterdir() if one.is_dir())[:_MOST_FOLDERS]
    found = [
        (one, names[0]) for one in map(ForeignFolder, inside) if (names := _formats_of(one, format_name))
    ]  # fmt: skip
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(repr(one.path.name)[1:-1] for one, _ in found[:20])
        raise errors.UsageError(f"{folder}: {len(found)} dictionaries; give the folder of one: {shown}")
    wanted = "no known format" if format_name is None else f"not of {FORMATS[format_name].title}"
    raise errors.UsageError(
        f"{folder}: {wanted} by the names of its files; there are {', '.join(FORMATS)}; "
        f"{'say which with --from' if format_name is None else 'give the file of its weights'}"
    )


def _formats_of(folder: ForeignFolder, format_name: str | None) -> list[str]:
    names = FORMATS if format_name is None else (format_name,)
    return [name for name in names if FORMATS[name].recognise(folder)]


def _model(found: Foreign, model: str | None, revision: str | None, weights_sha256: str | None) -> ModelFacts | None:
    """Return the parent model: as the user says, else as the folder says; None if neither does."""
    if weights_sha256 is not None and not _DIGEST.fullmatch(weights_sha256):
        raise errors.UsageError(
            f"--weights-sha256 {weights_sha256!r} is no SHA-256 in 64 hexadecimal digits; "
            "'actstore inspect STORE --json' shows that of a store's model"
        )
    said = None if found.said is None else found.said.model
    name = model or (found.model if said is None else said.name)
    if name is None:
        return None
    same = said is not None and said.name == name
    kept: dict[str, Any] = said.model_dump() if said is not None and same else {"name": name}
    given = {"revision": revision, "weights_sha256": weights_sha256}
    return ModelFacts(**kept | {key: value for key, value in given.items() if value is not None})


def _sites(
    found: Foreign, sites: tuple[str, ...] | None, modules: tuple[str, ...] | None, count: int, width: int
) -> tuple[SiteFacts, ...] | None:
    """Return the sites: as the user says, else as the folder says; None if neither does."""
    said = None if found.said is None else found.said.sites
    if sites is None and said is not None and len(said) == count:
        names, paths = tuple(site.name for site in said), tuple(site.module for site in said)
    else:
        names, paths = sites or found.sites or (), (None,) * count
    if not names:
        return None
    paths = paths if modules is None else modules
    for what, texts in (("site", names), ("module", paths)):
        if len(texts) != count:
            raise errors.UsageError(f"{len(texts)} of --{what}, and the weights have {count} sites: give one for each")
    return tuple(SiteFacts(name=name, module=path, width=width) for name, path in zip(names, paths, strict=True))


def _unsaid(
    folder: ForeignFolder, model: ModelFacts | None, sites: tuple[SiteFacts, ...] | None, count: int
) -> errors.UsageError:
    wanted = []
    if model is None:
        wanted.append("the parent model (--model NAME)")
    if sites is None:
        wanted.append("its site (--site NAME)" if count == 1 else f"its {count} sites (--site NAME for each, in order)")
    return errors.UsageError(
        f"{folder}: the folder does not say {' and '.join(wanted)}; give what it was trained on: a wrong layer "
        "multiplies without an error, so nothing is guessed"
    )


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    return (value,) if isinstance(value, str) else None if value is None else tuple(value)


def _scales(value: float | Sequence[float] | None, count: int) -> tuple[float, ...]:
    if value is None:
        return (1.0,) * count
    scales = (float(value),) * count if isinstance(value, int | float) else tuple(map(float, value))
    if len(scales) != count or not all(0 < scale < float("inf") for scale in scales):
        raise errors.UsageError(f"--input-scale {scales}: give one positive number, or one for each of {count} sites")
    return scales


@torch.no_grad()
def _scaled(weights: Mapping[str, Tensor], scale_S: tuple[float, ...]) -> dict[str, Tensor]:
    """Return weights for raw rows, if those of `weights` are for rows times `scale_S`."""
    if all(scale == 1 for scale in scale_S):
        return dict(weights)
    factor_S11 = torch.tensor(scale_S, dtype=torch.float64).reshape(-1, 1, 1)
    return dict(weights) | {
        "W_enc": (weights["W_enc"] * factor_S11).float(),
        "W_dec": (weights["W_dec"] / factor_S11[:, 0]).float(),
        "b_dec": (weights["b_dec"] / factor_S11[:, 0]).float(),
    }
