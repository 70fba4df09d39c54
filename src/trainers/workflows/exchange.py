"""Dictionaries to and from the folders of other libraries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from actstore import refuse_credentials
from trainers.exchange.export_dictionary import OWN, export_dictionary
from trainers.exchange.import_dictionary import import_dictionary
from trainers.exchange.load import load
from trainers.exchange.trained import TrainedDictionary

__all__ = ["ExchangeReport", "export_run", "import_folder"]


class ExchangeReport(NamedTuple):
    """Report of `trainer export` and `trainer import`."""

    path: str
    """The new folder."""
    format: str
    """Of the folder that was written."""
    dictionary: str
    model: str | None
    sites: tuple[str, ...]
    features: int
    latents: int
    activation: str
    k: int | None
    row_transform: str
    bytes: int
    """Of all files."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict()


def export_run(source: str, path: str | os.PathLike[str], *, to: str = OWN) -> ExchangeReport:
    """Load a dictionary as `trainers.load` does, and write it as `trainers.export_dictionary` does."""
    for name, place in (("RUN", source), ("DST", os.fspath(path))):
        refuse_credentials(place, name=name)
    dictionary = load(source)
    export_dictionary(dictionary, path, to=to)
    return _report(dictionary, Path(path), to)


def import_folder(source: str, path: str | os.PathLike[str], **options: Any) -> ExchangeReport:  # noqa: ANN401
    """Read a dictionary as `trainers.import_dictionary` does, and write it into a folder of ours."""
    for name, place in (("SRC", source), ("DST", os.fspath(path))):
        refuse_credentials(place, name=name)
    dictionary = import_dictionary(source, **options)
    export_dictionary(dictionary, path)
    return _report(dictionary, Path(path), OWN)


def _report(dictionary: TrainedDictionary, path: Path, to: str) -> ExchangeReport:
    facts = dictionary.facts
    return ExchangeReport(
        path=str(path),
        format=to,
        dictionary=facts.dictionary,
        model=None if facts.model is None else facts.model.public_name,
        sites=dictionary.sites,
        features=facts.width,
        latents=facts.latents,
        activation=facts.activation.name,
        k=facts.activation.k,
        row_transform=facts.row_transform,
        bytes=sum(one.stat().st_size for one in path.rglob("*") if one.is_file()),
    )
