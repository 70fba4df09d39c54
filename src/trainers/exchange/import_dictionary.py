"""Read a dictionary that another library trained."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

import torch
from pydantic import ValidationError
from torch import Tensor

from actstore import did_you_mean, errors, refuse_credentials
from trainers.exchange.facts import DictionaryFacts, ModelFacts, Provenance, RowTransform, SiteFacts
from trainers.exchange.folder import FACTS
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import Foreign
from trainers.exchange.formats.table import FORMATS
from trainers.exchange.hub import HUB
from trainers.exchange.trained import TrainedDictionary
from trainers.save.checkpoint import RECORD, checkpoints_of
from trainers.save.run_folder import RunFolder
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
    _refuse_credentials(model=model, revision=revision, weights_sha256=weights_sha256)
    _refuse_credentials(sites=sites, modules=modules, licence=licence, citation=citation)
    folder, name = _recognised(ForeignFolder(_local_path(path)), format)
    found = FORMATS[name].read(folder)
    found = found if row_transform is None else replace(found, row_transform=_transform(row_transform))
    count, width, _ = found.weights["W_enc"].shape
    scale_S = _scales(input_scale, count, found.said)
    parent = _model(found, model, revision, weights_sha256)
    places = _sites(found, parent, _texts(sites, "sites"), _texts(modules, "modules"), count, width)
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
    said, origin = found.said, f"read from {FORMATS[name].title} files"
    if said is not None and said.origin:
        origin += f"; {said.origin}"
    if said is not None and not _same_rows(said, model, sites):
        model_before = "an unknown model" if said.model is None else said.model.public_name
        before = f"{model_before}, {', '.join(one.name for one in said.sites)}"
        origin += f"; imported for another model or other sites than the files say: {before}"
        said = said.model_copy(update={"manifests": (), "training": None, "metrics": {}})
    if said is not None and said.input_scale is not None:
        input_scale = said.input_scale
    try:
        return DictionaryFacts(
            dictionary=f"{found.activation.name}-sae" if len(sites) == 1 else f"crosscoder-{found.activation.name}",
            sites=sites,
            latents=found.weights["W_enc"].shape[2],
            activation=found.activation,
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
            origin=origin,
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = shown(".".join(str(part) for part in first["loc"]))
        raise errors.CheckpointError(f"{folder}: {where}: {shown(first['msg'])}") from error


def _local_path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise errors.UsageError(f"a dictionary is read from a path, not from a {type(path).__name__}")
    if os.fspath(path).startswith(HUB):
        raise errors.UsageError(
            f"{os.fspath(path)}: dictionaries are imported from folders on this machine: download it first "
            "('hf download USER/NAME --local-dir FOLDER'); trainers.load(...) opens one that 'trainer publish' wrote"
        )
    return Path(path)


def _recognised(folder: ForeignFolder, format_name: str | None) -> tuple[ForeignFolder, str]:
    """Return the folder that has the files, and its format.

    The only folder inside that has a format is taken for it, such as `trainer_0`.
    """
    if format_name is not None and format_name not in FORMATS:
        raise errors.UsageError(
            f"no format {format_name!r}{did_you_mean(str(format_name), tuple(FORMATS))}; there are {', '.join(FORMATS)}"
        )
    if (ours := _ours(folder)) is not None:
        raise errors.UsageError(
            f"{folder}: this is {ours} of ours, so there is nothing to import: trainers.load(...) opens it, and "
            "'trainer export' writes it as a folder of ours or for another library"
        )
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


def _ours(folder: ForeignFolder) -> str | None:
    """Return what a folder of ours is; None if it is of somebody else."""
    if folder.has(FACTS):
        return "a dictionary"
    if folder.has(RECORD):
        return "a checkpoint"
    run = RunFolder(folder.path)
    if run.record.is_file() or any((one / RECORD).is_file() for one in checkpoints_of(run.checkpoints).values()):
        return "a run"
    of_run = any((one / RECORD).is_file() for one in checkpoints_of(folder.path).values())
    return "the folder of the checkpoints of a run" if of_run else None


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
    given = ModelFacts(name=name, revision=revision, weights_sha256=weights_sha256)
    if said is None or not _same_model(said, given):
        return given
    return said.model_copy(update=given.model_dump(exclude_none=True))


def _same_model(one: ModelFacts, other: ModelFacts) -> bool:
    """Return whether two are the same model: by the digests of their weights, else by name and revision."""
    if one.weights_sha256 is not None and other.weights_sha256 is not None:
        return one.weights_sha256 == other.weights_sha256
    one_revision = None in (one.revision, other.revision) or one.revision == other.revision
    return one.public_name == other.public_name and one_revision


def _same_rows(said: Provenance, model: ModelFacts, sites: Sequence[SiteFacts]) -> bool:
    """Return whether a dictionary still reads the rows that an export says it was trained on."""
    names = [site.name for site in said.sites] == [site.name for site in sites]
    return names and (said.model is None or _same_model(said.model, model))


def _sites(
    found: Foreign,
    model: ModelFacts | None,
    sites: tuple[str, ...] | None,
    modules: tuple[str, ...] | None,
    count: int,
    width: int,
) -> tuple[SiteFacts, ...] | None:
    """Return the sites: as the user says, else as the folder says; None if neither does.

    Modules that the folder says are those of its model, and not of another one.
    """
    said = None if found.said is None else found.said.sites
    paths: tuple[str | None, ...]
    if sites is None and said is not None and len(said) == count:
        of_model = None if found.said is None else found.said.model
        same = model is None or of_model is None or _same_model(of_model, model)
        names, paths = tuple(site.name for site in said), tuple(site.module if same else None for site in said)
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


def _texts(value: str | Sequence[str] | None, option: str) -> tuple[str, ...] | None:
    if value is None or isinstance(value, str):
        return None if value is None else (value,)
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise errors.UsageError(f"{option} is {value!r}; give a text, or for sites and modules a list of texts")
    return tuple(value)


def _refuse_credentials(**texts: str | Sequence[str] | None) -> None:
    for option, text in texts.items():
        for one in _texts(text, option) or ():
            refuse_credentials(one)


def _transform(name: RowTransform) -> RowTransform:
    known = get_args(RowTransform)
    if name not in known:
        raise errors.UsageError(
            f"no row transform (--row-transform) {name!r}{did_you_mean(str(name), known)}; there are {', '.join(known)}"
        )
    return name


def _scales(value: float | Sequence[float] | None, count: int, said: Provenance | None) -> tuple[float, ...]:
    if value is None:
        return (1.0,) * count
    try:
        scales = tuple(map(float, value)) if isinstance(value, Iterable) else (float(value),) * count
    except (TypeError, ValueError):
        raise errors.UsageError(f"--input-scale {value!r}: give one positive number, or one for each site") from None
    if len(scales) != count or not all(0 < scale < float("inf") for scale in scales):
        raise errors.UsageError(f"--input-scale {scales}: give one positive number, or one for each of {count} sites")
    if said is not None and said.input_scale is not None and set(scales) != {1.0}:
        raise errors.UsageError(
            f"--input-scale {scales}: the folder is an export of ours, whose weights have the scale of training "
            f"({', '.join(f'{one:g}' for one in said.input_scale)}) already; leave the option out"
        )
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
