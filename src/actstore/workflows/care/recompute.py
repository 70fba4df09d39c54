"""Compute a sample of stored rows again, to check that a store holds what its model gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.contracts.hashing import Purpose, derive_key, draws
from actstore.contracts.models import ActivationModel, ResidueTokenizer, Site
from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import ModelRecipe
from actstore.contracts.sequences import Window
from actstore.contracts.windows import RowWindow
from actstore.corpus.model_files import local_folder
from actstore.corpus.windows import cut_windows
from actstore.errors import CorruptObjectError, ModelError, NumericsError, RecipeChangedError, SiteError
from actstore.extract.threads import LoneThreads
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.layout import scales_path, values_path
from actstore.store.read.manifest import Manifest
from actstore.store.read.reader import ArrayReader
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import StoredSequences
from actstore.workflows.extraction.stored_model import load_stored_model, stored_model

__all__ = ["Recomputed", "local_model", "model_at_hand", "recompute_sample"]

_OF_DEVIATION: Final = 0.05
_OF_NORM: Final = 0.01
"""Beyond the loss of encoding it again, a row may differ by 5 % of its distance from the mean and 1 % of its norm, as
other hardware rounds differently. Rows of other residues differ by more than their distance from the mean."""
_ROWS_AT_ONCE: Final = 8
_RUNS_CODE: Final = "its recipe lets the model run code that comes with it"


class Recomputed(NamedTuple):
    """A sample that was compared."""

    rows: int
    differences: tuple[tuple[str, int, str], ...]
    """Object, task and problem of each row and site that differs."""


class _Place(NamedTuple):
    task: int
    row: int
    sequence: int
    position: int
    token: int


def model_at_hand(frozen: FrozenRecipe, *, place: str | None = None, device: str) -> tuple[ActivationModel | None, str]:
    """Return the model of a store if it is available without network, else None and why.

    A model at a `place` that the user names must be the right one; see `local_model` for errors then.

    Raises
    ------
    CorruptObjectError
        If the model has other sites than the recipe says.
    """
    if place is not None:
        return local_model(frozen, place=place, device=device), ""
    try:
        return local_model(frozen, device=device), ""
    except (ModelError, RecipeChangedError) as error:
        return None, str(error)


def local_model(frozen: FrozenRecipe, *, place: str | None = None, device: str) -> ActivationModel:
    """Return the model of a store, without network and without running code that came with the store.

    Raises
    ------
    ModelError
        If the model is not available in this way.
    RecipeChangedError
        If the available model has other weights than the one that the store was begun with.
    CorruptObjectError
        If it has these weights, and other sites than the recipe says.
    """
    recipe = stored_model(frozen, place)
    if local_folder(recipe.name) is None and not _is_cached(recipe):
        raise ModelError(f"the model {recipe.name} is neither a local folder nor in the Hugging Face cache")
    if recipe.remote_code or recipe.pickle_weights:
        raise ModelError(
            f"{_RUNS_CODE} (model.remote_code or model.pickle_weights), and the maker of the store wrote the recipe"
        )
    try:
        model = load_stored_model(frozen, recipe, device=device)
    except (ModelError, SiteError) as error:
        raise ModelError(f"the model {recipe.name} at hand cannot be used: {error}") from error
    if model.facts.weights_sha256 != frozen.model.weights_sha256:
        raise RecipeChangedError(f"the model {recipe.name} at hand has other weights than the one that was extracted")
    if model.sites != frozen.sites:
        raise CorruptObjectError(
            f"the model {recipe.name} has {_first_other(model.sites, frozen.sites)}, the recipe says "
            f"{_first_other(frozen.sites, model.sites)}"
        )
    return model


def _first_other(ours: tuple[Site, ...], theirs: tuple[Site, ...]) -> str:
    site = next((site for site in ours if site not in theirs), ours[0])
    return f"{printable(site.name)} at {printable(site.module)} with {site.width:,} features"


def _is_cached(recipe: ModelRecipe) -> bool:
    try:
        found = try_to_load_from_cache(recipe.name, "config.json", revision=recipe.revision)
    except HFValidationError:  # the path of a removed folder is not a valid name on the hub
        return False
    return isinstance(found, str)


def recompute_sample(
    objects: ObjectStore, manifest: Manifest, model: ActivationModel, *, rows: int, progress: Progress
) -> Recomputed:
    """Run the model over the windows of a seeded sample of committed rows and compare.

    A row also counts as different if its residue does not exist or has another token.

    Parameters
    ----------
    objects, manifest
        The store.
    model
        The model that the store was extracted with.
    rows
        Size of the sample.
    progress
        Where to report.
    """
    rules = manifest.frozen.row_rules
    reader = ArrayReader(objects, manifest)
    sample = _sample(reader, manifest, rows)
    with (
        StoredSequences(objects) as sequences,
        progress.stage("recomputing a sample", total=len(sample), unit="rows") as stage,
        LoneThreads() as threads,
    ):
        misplaced = {place: _misplaced(place, sequences, model.tokenizer) for place in sample}
        differences = [(found[0], place.task, found[1]) for place, found in misplaced.items() if found is not None]
        places = [place for place, found in misplaced.items() if found is None]
        stage.advance(len(differences))

        def fresh_rows(batch: list[_Place]) -> Mapping[str, Float32s]:
            texts: list[str] = []
            kept: list[NDArray[np.int32]] = []
            for place in batch:
                residues = sequences.residues(place.sequence)
                windows = cut_windows(len(residues), window=rules.window_residues, overlap=rules.window_overlap)
                window = _window_of(windows, place.position)
                texts.append(residues[window.start : window.stop])
                kept.append(np.array([place.position - window.start], dtype=np.int32))
            return model.activations(texts, kept)

        batches = [places[start : start + _ROWS_AT_ONCE] for start in range(0, len(places), _ROWS_AT_ONCE)]
        for batch, fresh in zip(batches, threads.map(fresh_rows, batches), strict=True):
            for index, place in enumerate(batch):
                where = f"{sequences.sequence_id(place.sequence)}, residue {place.position + 1}"
                fresh_D = {site: values_BD[index] for site, values_BD in fresh.items()}
                differences += _differences(reader, manifest, place, fresh_D, where)
            stage.advance(len(batch))
    return Recomputed(len(sample), tuple(differences))


def _sample(reader: ArrayReader, manifest: Manifest, rows: int) -> list[_Place]:
    frozen = manifest.frozen
    done = [task for task, commit in enumerate(manifest.commits) if commit is not None]
    end_T = np.cumsum([frozen.rows_of(task) for task in done])
    key = derive_key(frozen.row_rules.seed, Purpose.VERIFY)
    picks = np.unique(draws(key, np.arange(rows, dtype=np.uint64)) % np.uint64(end_T[-1]))
    places: list[_Place] = []
    for pick in picks.astype(np.int64):
        index = int(np.searchsorted(end_T, pick, side="right"))
        task, row = done[index], int(pick - (end_T[index - 1] if index else 0))
        window = RowWindow(task, row, row + 1)
        whence = (int(reader.rows(f"rows/{name}", window)[0]) for name in ("sequence", "position", "token"))
        places.append(_Place(task, row, *whence))
    return places


def _misplaced(place: _Place, sequences: StoredSequences, tokenizer: ResidueTokenizer) -> tuple[str, str] | None:
    """Return object and problem if the residue that a row names is not there, else None."""
    if not 0 <= place.sequence < len(sequences):
        return f"rows/sequence/c/{place.task}", f"row {place.row} names sequence {place.sequence} of {len(sequences)}"
    name, residues = sequences.sequence_id(place.sequence), sequences.residues(place.sequence)
    if not 0 <= place.position < len(residues):
        problem = f"row {place.row} names position {place.position} of {name}, which has {len(residues)} residues"
        return f"rows/position/c/{place.task}", problem
    wanted = int(tokenizer.tokens(residues[place.position])[0])
    if place.token != wanted:
        problem = f"row {place.row} ({name}, residue {place.position + 1}) has token {place.token}, not {wanted}"
        return f"rows/token/c/{place.task}", problem
    return None


def _window_of(windows: tuple[Window, ...], position: int) -> Window:
    return next(window for window in windows if window.keep_start <= position < window.keep_stop)


def _differences(
    reader: ArrayReader, manifest: Manifest, place: _Place, fresh: Mapping[str, Float32s], where: str
) -> Iterator[tuple[str, int, str]]:
    window = RowWindow(place.task, place.row, place.row + 1)
    quantizer = QUANTIZERS[manifest.encoding]
    sites = manifest.frozen.sites
    for index, site in enumerate(sites):
        if site not in manifest.sites:
            continue
        values = reader.rows(values_path(site.name), window)
        scale = None
        if quantizer.scales is not None:
            scale_1SG = reader.rows(scales_path(quantizer), window).reshape(1, len(sites), -1)
            scale = scale_1SG[:, index, : quantizer.scale_groups(site.width)]
        calibration = manifest.frozen.site_calibration(site.name)
        stored_D = quantizer.decode(Planes(values, scale), calibration)[0]
        fresh_D = fresh[site.name]
        error = _norm(stored_D - fresh_D)
        deviation = _norm(fresh_D - manifest.statistics[site.name].mean_D)
        allowed = _OF_DEVIATION * deviation + _OF_NORM * _norm(fresh_D)
        allowed += _lost_by_encoding(fresh_D, quantizer, calibration)
        if not error <= allowed:  # so that NaN is a difference
            path = f"{values_path(site.name)}/c/{place.task}/0"
            problem = (
                f"row {place.row} ({where}) is not what the model gives: off by {error:.3g}, allowed {allowed:.3g}"
            )
            yield path, place.task, problem


def _lost_by_encoding(values_D: Float32s, quantizer: Quantizer, calibration: Calibration | None) -> float:
    try:
        planes = quantizer.encode(values_D[None], calibration)
    except NumericsError:  # a value that the encoding cannot hold was never stored
        return 0.0
    return _norm(quantizer.decode(planes, calibration)[0] - values_D)


def _norm(values_D: NDArray[Any]) -> float:
    return float(np.linalg.norm(values_D.astype(np.float64)))
