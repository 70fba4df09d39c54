"""The folders that a user named -> one collection of sequences and rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

from actstore.contracts.progress import Progress
from actstore.contracts.recipe import CorpusRecipe
from actstore.contracts.unknown import KNOWABLE, UNKNOWN_MODEL, Knowable
from actstore.corpus.scan import scan
from actstore.errors import SourceError, UsageError
from actstore.intake.files import digest_files, shown
from actstore.intake.formats import guess_format, open_source
from actstore.intake.parts import Keys, Opened, Opening
from actstore.intake.sides import Side
from actstore.intake.source import BLOCK_ROWS, Source, source_of

__all__ = ["ImportOptions", "NamedPlace", "OpenedSources", "opened_sources", "parse_places"]

_NAMED: Final = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A folder, with the name of its site if it was given one."""

    site: str | None
    place: Path


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How sources are read; see `import_store`."""

    format: str | None = None
    sequences: str | None = None
    model: str | None = None
    keys: Keys = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class OpenedSources:
    """Sources that were opened and read once."""

    source: Source
    format: str
    digest: str
    model: str
    known: tuple[Knowable, ...]
    said: tuple[str, ...]
    """What was guessed, or left out."""


def parse_places(sources: str | Path | Sequence[str | Path] | Mapping[str, str | Path]) -> list[NamedPlace]:
    """Return the folders that were named: a path, several, ``SITE=PATH``, or paths by site.

    Raises
    ------
    UsageError
        If there is none, or one is a URL.

    Examples
    --------
    >>> parse_places("resid_post.3=acts/layer_3")
    [NamedPlace(site='resid_post.3', place=PosixPath('acts/layer_3'))]
    """
    if isinstance(sources, Mapping):
        return [_place(site, path) for site, path in sources.items()]
    places: list[NamedPlace] = []
    for one in [sources] if isinstance(sources, str | Path) else sources:
        named = None if Path(one).exists() else _NAMED.fullmatch(str(one))
        places.append(_place(None, one) if named is None else _place(named[1], named[2]))
    if not places:
        raise UsageError("name a source: a folder with activations")
    return places


def _place(site: str | None, path: str | Path) -> NamedPlace:
    if "://" in str(path):
        raise UsageError(
            f"{path}: sources are local folders, because rows are read in another order; copy it here first"
        )
    return NamedPlace(site, Path(path).expanduser())


@contextmanager
def opened_sources(
    places: Sequence[NamedPlace],
    options: ImportOptions,
    *,
    scratch: Path,
    storage_options: Mapping[str, Any] | None,
    progress: Progress,
) -> Iterator[OpenedSources]:
    """Open the sources and read every file once, for its digest.

    Parameters
    ----------
    places, options
        What was named.
    scratch
        Temporary folder.
    storage_options
        Of fsspec, for the file of sequences.
    progress
        Where to report.

    Raises
    ------
    SourceError, CorpusError
        If the files cannot be used.
    UsageError
        If the format is unknown, or needs a package that is not installed.
    """
    said: list[str] = []
    formats, opened = [], []
    for index, named in enumerate(places):
        formats.append(options.format or guess_format(named.place))
        if options.format is None:
            said.append(f"{shown(named.place)} has the format {formats[-1]}")
        folder = scratch / f"source-{index}"
        folder.mkdir()
        opened.append(open_source(named.place, formats[-1], Opening(options.keys, folder)))
    if len(set(formats)) > 1:
        raise SourceError(f"sources of the formats {', '.join(formats)} cannot be paired; bring them into one format")
    digests = [digest_files(one.place, each.files, progress=progress) for one, each in zip(places, opened, strict=True)]
    sides = [
        Side(each.parts, rename=named.site, shuffled=each.shuffled) for named, each in zip(places, opened, strict=True)
    ]
    recorded = [str(named.place.absolute()) for named in places]
    if options.sequences is None:
        source = source_of(sides, recorded=recorded)
        yield _resolved(source, options, opened, formats[0], digests, said)
        return
    recipe = CorpusRecipe(sequences=(options.sequences,))
    with scan(
        recipe,
        alphabet=frozenset(ascii_uppercase),
        spool=scratch,
        storage_options=storage_options,
        progress=progress,
    ) as texts:
        source = source_of(sides, recorded=[*recorded, *texts.recorded_sequences], texts=texts)
        yield _resolved(source, options, opened, formats[0], digests, said)


def _resolved(
    source: Source,
    options: ImportOptions,
    opened: Sequence[Opened],
    source_format: str,
    digests: Sequence[str],
    said: list[str],
) -> OpenedSources:
    said += [what for each in opened for what in each.said if what not in said]
    if not source.places.whole:
        said.append(f"rows without boundaries of sequences are taken in blocks of {BLOCK_ROWS}")
    if source.sides[0].parts[0].tokens is not None and "tokens" not in source.known:
        said.append("some tokens are missing or beyond 32,767, which a store cannot hold: they are left out")
    models = {each.model for each in opened if each.model is not None}
    model = options.model or (models.pop() if len(models) == 1 else None)
    known = {*source.known, *(() if model is None else ("model",))}
    digest = digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()
    return OpenedSources(
        source,
        source_format,
        digest,
        model or UNKNOWN_MODEL,
        tuple(what for what in KNOWABLE if what in known),
        tuple(said),
    )
