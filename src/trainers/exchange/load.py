"""Load a trained dictionary from wherever it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import torch

from actstore import choose_device, errors
from trainers.exchange.facts import DictionaryFacts, ModelFacts, SiteFacts
from trainers.exchange.fold import activation_of, folded_weights
from trainers.exchange.folder import FACTS, read_folder
from trainers.exchange.hub import HUB, download_folder
from trainers.exchange.trained import TrainedDictionary
from trainers.save.checkpoint import RECORD, load_dictionary
from trainers.save.run_folder import RunFolder

__all__ = ["load"]

METRICS: Final = (
    "explained_variance",
    "explained_variance_per_site",
    "l0",
    "silent_fraction",
    "dead_fraction",
    "dead_after_rows",
    "evaluated_on",
    "evaluated_rows",
)
"""Fields of a result that stay with its dictionary."""
_MOST_RESULT_BYTES: Final = 1 << 24
_OTHER_DEVICES: Final = frozenset({"mps", "xpu", "meta"})
"""Of torch, which we do not train on."""


def load(
    source: str | os.PathLike[str], *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> TrainedDictionary:
    """Load a trained dictionary, ready for raw rows.

    Parameters
    ----------
    source
        The folder of a run (its newest checkpoint), one of its checkpoints, a folder that was exported, or
        ``hf://user/name[@revision]``: a repository that `trainer publish` wrote.
    device, dtype
        Where it computes, and in which number format; None for that of its weights, float32.

    Raises
    ------
    CheckpointError
        If there is no dictionary, or its files are damaged.
    StoreError
        If the Hub refuses or cannot be reached.
    UsageError
        If `source` is no path, `device` is not here, or `dtype` is none of floating-point numbers.

    Examples
    --------
    ::

        dictionary = trainers.load("runs/sae")
        code_BF = dictionary.encode(rows_BD)
    """
    if not isinstance(source, (str, os.PathLike)):
        raise errors.UsageError(
            f"a dictionary is loaded from a path or from hf://user/name, not from a {type(source).__name__}"
            f"{'; this one is loaded already' if isinstance(source, TrainedDictionary) else ''}"
        )
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise errors.UsageError(
            f"dtype {dtype!r} is no floating-point format of torch; give torch.float32, for example"
        )
    device = _device(str(device))
    place = os.fspath(source)
    path = download_folder(place) if place.startswith(HUB) else Path(place)
    if (path / FACTS).exists():
        dictionary = read_folder(path)
    elif (path / RECORD).exists():
        dictionary = _of_checkpoint(path)
    elif RunFolder(path).record.exists():
        dictionary = _of_run(RunFolder(path))
    else:
        found = "no dictionary" if path.exists() else "no such folder"
        raise errors.CheckpointError(
            f"{path}: {found}; give the folder of a run, one of its checkpoints, or what 'trainer export' wrote; "
            "'trainer import' brings in that of another library"
        )
    return dictionary.to(device=device, dtype=dtype).eval()


def _device(name: str) -> str:
    return name if name.partition(":")[0] in _OTHER_DEVICES else choose_device(name)


def _of_run(folder: RunFolder) -> TrainedDictionary:
    """Return the dictionary of the newest checkpoint, with the results of the run if they are of this checkpoint."""
    folder.refuse_links()
    newest = folder.newest_checkpoint()
    if newest is None:
        raise errors.CheckpointError(f"{folder.path}: the run has no checkpoint yet, so there is no dictionary to load")
    return _of_checkpoint(newest, result=_result(folder))


def _of_checkpoint(path: Path, *, result: dict[str, Any] | None = None) -> TrainedDictionary:
    trained, record = load_dictionary(path)
    plan, origin = record.plan, record.origin
    software = ", ".join(f"{name} {version}" for name, version in record.software.items())
    facts = DictionaryFacts(
        dictionary=plan.dictionary,
        sites=tuple(SiteFacts(name=site.name, module=site.module, width=site.width) for site in origin.sites),
        latents=plan.latents,
        activation=activation_of(trained),
        subtracts_b_dec=trained.one_site,
        input_scale=record.input_scale,
        model=ModelFacts(
            name=origin.model,
            revision=origin.model_revision,
            dtype=origin.model_dtype,
            weights_sha256=origin.weights_sha256,
        ),
        manifests=(origin.manifest_sha256,),
        training={"plan": plan.model_dump(mode="json"), "steps": record.step, "rows": record.rows},
        metrics={} if result is None or result.get("steps") != record.step else _metrics(result),
        origin=f"trained with {software}",
    )
    scale_S = torch.tensor(record.input_scale, dtype=torch.float64)
    return TrainedDictionary(facts, folded_weights(trained, scale_S))


def _metrics(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in METRICS if name in result}


def _result(folder: RunFolder) -> dict[str, Any] | None:
    """Return the report of a finished run; None if there is none that can be read."""
    try:
        with folder.result.open("rb") as file:
            found = json.loads(file.read(_MOST_RESULT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
