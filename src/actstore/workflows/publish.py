"""Publish: a store to a data set repository of the Hugging Face Hub, checked, resumable, with card and metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from actstore.access.credentials import refuse_credentials
from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.read_ahead import map_ahead
from actstore.access.scratch import scratch_folder
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import IncompleteStoreError, UsageError
from actstore.store.format.layout import CARD, CROISSANT, MANIFEST, RECIPE, SEQUENCES
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store
from actstore.view.card import WRITTEN, data_card
from actstore.view.croissant import croissant_metadata
from actstore.view.published import PublishReport
from actstore.workflows.publishing.files import PublishedFile, checked_copy, store_files
from actstore.workflows.publishing.hub import HubRepository, RemoteFile

__all__ = ["publish_store"]

_BATCH_FILES: Final = 1000
"""Of one commit: the Hub limits the number of commits in an hour, and the time for one."""
_BATCH_BYTES: Final = 4 << 30
"""Of one commit, and of the copies on local disk of a store that is elsewhere."""
_THREADS: Final = 4


class _Plan(NamedTuple):
    """What is to be sent."""

    head: str | None
    """Commit that it was compared with; None if there is no such repository or branch."""
    missing: list[PublishedFile]
    """Files of the store that the Hub does not have."""
    documents: dict[str, bytes]
    """Manifest, card and metadata, unless the Hub has the same."""
    files: int
    """Files of the published store."""
    bytes: int
    card_kept: bool


@with_keyword_hints
def publish_store(
    source: str | os.PathLike[str],
    repository: str,
    *,
    private: bool = False,
    revision: str = "main",
    message: str | None = None,
    license: str | None = None,  # noqa: A002 - the word of recipes
    incomplete: bool = False,
    new_card: bool = False,
    dry_run: bool = False,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> PublishReport:
    """Publish a store as a data set on the Hugging Face Hub.

    Every file is compared with its digest before it is sent. What the Hub has is not sent again, so the same call
    continues after an interruption. The manifest comes last; before, readers find no store. The token comes from the
    environment (HF_TOKEN) or from `hf auth login`.

    Parameters
    ----------
    source, uri, storage_options
        The store, as for `open_store`.
    repository, revision
        `user/name`, and a branch; both are made if need be.
    private, message
        Make the repository private, if it is made. Message of the commits.
    license
        Licence of the data set on its card; None for that of model and corpus if the recipe tells one and the same.
    incomplete
        Publish the finished tasks of an unfinished store.
    new_card
        Replace a README.md that somebody else wrote.
    dry_run
        Send nothing, and say what would be sent.
    progress
        Where to report.

    Raises
    ------
    UsageError
        If the repository holds another store, or its name is none.
    StoreError
        If the store is not finished or damaged, the Hub refuses or does not answer, or somebody else writes there.
    """
    for name, text in (("message", message), ("license", license)):
        refuse_credentials(text or "", name=f"{name} (--{name})")
    hub = HubRepository(repository, revision=revision)
    manifest, objects = locate_store(source, uri=uri, storage_options=storage_options)
    _check_may_be_published(manifest, objects, incomplete=incomplete)
    plan = _plan(objects, manifest, hub, license_id=license, new_card=new_card)
    report = _report(plan, manifest, hub, dry_run=dry_run)
    if dry_run:
        return report
    parent = plan.head or hub.create(private=private)
    message = message or f"Activations of {manifest.model.name}, manifest {manifest.digest[:12]}"
    commit = _send(objects, plan, hub, parent=parent, message=message, progress=progress or Silent())
    return report._replace(commit=commit)


def _plan(
    objects: ObjectStore, manifest: Manifest, hub: HubRepository, *, license_id: str | None, new_card: bool
) -> _Plan:
    """Compare a store with what the Hub has."""
    head = hub.head()
    there = {} if head is None else hub.files(head)
    _check_same_store(objects, there, hub)
    files = list(store_files(objects, manifest))
    documents = _documents(manifest, hub, files, license_id)
    new = {path: data for path, data in documents.items() if path not in there or not there[path].has(data)}
    card_kept = CARD in there and not new_card and WRITTEN.encode() not in open_objects(hub.uri).get(CARD)
    if card_kept:
        new.pop(CARD, None)
    return _Plan(
        head=head,
        missing=[file for file in files if not _is_there(objects, there, file)],
        documents=new,
        files=len(files) + len(documents),
        bytes=sum(file.size for file in files) + sum(map(len, documents.values())),
        card_kept=card_kept,
    )


def _report(plan: _Plan, manifest: Manifest, hub: HubRepository, *, dry_run: bool) -> PublishReport:
    to_send = [(file.path, file.size) for file in plan.missing]
    to_send += [(path, len(data)) for path, data in plan.documents.items()]
    return PublishReport(
        repository=hub.name,
        revision=hub.revision,
        url=hub.url,
        uri=hub.uri,
        commit=None,
        manifest_sha256=manifest.digest,
        site=manifest.sites[0].name,
        dry_run=dry_run,
        files=plan.files,
        bytes=plan.bytes,
        files_sent=len(to_send),
        bytes_sent=sum(size for _, size in to_send),
        card_kept=plan.card_kept,
        to_send=tuple(to_send) if dry_run else (),
    )


def _check_may_be_published(manifest: Manifest, objects: ObjectStore, *, incomplete: bool) -> None:
    if not manifest.complete and not incomplete:
        raise IncompleteStoreError(
            f"{objects.uri}: {manifest.tasks_done} of {len(manifest.tasks)} tasks are there; finish with "
            f"{manifest.frozen.how_to_finish}, or publish what is done with --incomplete"
        )
    manifest.frozen.recipe.refuse_credentials(name=f"{objects.uri}: its recipe")


def _check_same_store(objects: ObjectStore, there: Mapping[str, RemoteFile], hub: HubRepository) -> None:
    """Refuse to write over another store: until the last file is there, it would be neither."""
    if RECIPE not in there:
        return
    if not there[RECIPE].has(objects.get(RECIPE)):
        raise UsageError(
            f"{hub.url}: branch {hub.revision} holds another store; publish to another repository, or to a branch of "
            "its own with --revision"
        )


def _is_there(objects: ObjectStore, there: Mapping[str, RemoteFile], file: PublishedFile) -> bool:
    """Return whether the Hub has a file; objects of which it says no SHA-256 are small, and are read."""
    found = there.get(file.path)
    if found is None or found.size != file.size:
        return False
    return found.sha256 == file.sha256 if found.sha256 is not None else found.has(objects.get(file.path))


def _documents(
    manifest: Manifest, hub: HubRepository, files: Sequence[PublishedFile], license_id: str | None
) -> dict[str, bytes]:
    """Return what makes a store of the files, and describes it."""
    document = manifest.to_json(uri=None)
    sizes = {file.path: file.size for file in files if file.path == SEQUENCES} | {MANIFEST: len(document)}
    croissant = croissant_metadata(
        manifest,
        name=hub.name.partition("/")[2],
        url=hub.url,
        files=f"{hub.url}/resolve/{hub.revision}",
        sizes=sizes,
    )
    return {
        CROISSANT: json.dumps(croissant, indent=2).encode() + b"\n",
        CARD: data_card(manifest, name=hub.name, uri=hub.uri, license_id=license_id).encode(),
        MANIFEST: document,
    }


def _send(
    objects: ObjectStore, plan: _Plan, hub: HubRepository, *, parent: str, message: str, progress: Progress
) -> str:
    """Check and send files, some in each commit, the documents last; return the last commit."""
    with progress.stage("publishing", total=sum(file.size for file in plan.missing), unit="bytes") as stage:
        for batch in _batches(plan.missing):
            with scratch_folder("publish") as spool:
                copies = [spool / str(number) for number in range(len(batch))]
                checked = map_ahead(
                    lambda item: checked_copy(objects, *item), zip(batch, copies, strict=True), threads=_THREADS
                )
                copied = {file.path: path for file, path in zip(batch, checked, strict=True)}
                parent = hub.commit(copied, message=message, parent=parent)
            stage.advance(sum(file.size for file in batch))
    return hub.commit(plan.documents, message=message, parent=parent) if plan.documents else parent


def _batches(files: Sequence[PublishedFile]) -> Iterator[list[PublishedFile]]:
    """Yield runs of files that make up a commit."""
    batch: list[PublishedFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == _BATCH_FILES or size + file.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
