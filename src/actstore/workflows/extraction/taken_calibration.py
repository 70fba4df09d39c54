"""Take the calibration of another store, so that rows of both can be read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actstore.contracts.models import ModelFacts, Site
from actstore.errors import RecipeError
from actstore.store.read.open import open_manifest
from actstore.store.write.facts import CalibrationFacts

__all__ = ["taken_calibration"]


def taken_calibration(
    place: str, model: ModelFacts, sites: Sequence[Site], *, storage_options: Mapping[str, Any] | None
) -> dict[str, CalibrationFacts]:
    """Return centre and channel scale of every site, as another store has them.

    Parameters
    ----------
    place
        Path or URL of the store, or a manifest file.
    model, sites
        What the new store is made of.
    storage_options
        Passed to fsspec.

    Raises
    ------
    RecipeError
        If that store has another model, lacks a site, or has no calibration.
    StoreNotFoundError, ManifestError
        If there is no such store.
    """
    frozen = open_manifest(place, storage_options=storage_options).frozen
    name = f"store.calibration_of (--calibration-of {place})"
    for what, there, here in (
        ("weights", frozen.model.weights_sha256, model.weights_sha256),
        ("dtype", frozen.model.dtype, model.dtype),
    ):
        if there != here:
            raise RecipeError(f"{name}: that store has {what} {there}, this model {here}")
    if frozen.calibration is None:
        raise RecipeError(f"{name}: that store is {frozen.quantizer.name}, which has no calibration to take")
    known = {site: frozen.calibration[site.name] for site in frozen.sites}
    if missing := [site.name for site in sites if site not in known]:
        raise RecipeError(f"{name}: that store has no site {missing[0]}; it has {', '.join(frozen.calibration)}")
    return {site.name: known[site] for site in sites}
