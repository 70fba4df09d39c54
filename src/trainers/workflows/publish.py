"""Publish: a dictionary to a model repository of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from actstore import HubRepository, RemoteFile, errors, refuse_credentials, scratch_folder
from trainers.exchange.card import CARD_WRITTEN, model_card
from trainers.exchange.folder import CARD, FACTS, WEIGHTS, read_folder, write_folder
from trainers.exchange.load import load
from trainers.exchange.trained import TrainedDictionary
from trainers.save.files import file_sha256

__all__ = ["PublishedDictionary", "publish_dictionary"]


class PublishedDictionary(NamedTuple):
    """Report of `trainer publish`."""

    repository: str
    """`user/name`."""
    revision: str
    """Branch."""
    url: str
    """Its page."""
    uri: str
    """What `trainers.load` takes."""
    commit: str | None
    """Commit that has the dictionary; None in a dry run."""
    tensors_sha256: str
    dry_run: bool
    bytes_sent: int
    """Of the files that were missing there, or, in a dry run, would be sent."""
    sent: tuple[str, ...]
    """Their names."""
    card_kept: bool
    """Whether the repository has a README.md that somebody wrote, which was left as it is."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict()


def publish_dictionary(
    source: str,
    repository: str,
    *,
    private: bool = False,
    revision: str = "main",
    message: str | None = None,
    licence: str | None = None,
    new_card: bool = False,
    dry_run: bool = False,
) -> PublishedDictionary:
    """Publish a dictionary on the Hugging Face Hub: weights, what is known about them, and a card, in one commit.

    What the Hub has is not sent again. The token comes from the environment (HF_TOKEN) or from `hf auth login`.

    Parameters
    ----------
    source
        As `trainers.load` takes it.
    repository, revision
        `user/name`, and a branch; both are made if need be.
    private, message
        Make the repository private, if it is made. Message of the commit.
    licence
        Of the dictionary, as an SPDX identifier or in words; None for the one that it has.
    new_card
        Replace a README.md that somebody else wrote.
    dry_run
        Send nothing, and say what would be sent.

    Raises
    ------
    CheckpointError
        If there is no dictionary, or its files are damaged.
    UsageError
        If the name of the repository is none.
    StoreError
        If the Hub refuses or cannot be reached.
    """
    for name, text in (("RUN", source), ("message (--message)", message), ("license (--license)", licence)):
        refuse_credentials(text or "", name=name)
    hub = HubRepository(repository, kind="model", revision=revision)
    dictionary = load(source)
    if licence is not None:
        facts = dictionary.facts.model_copy(update={"licence": licence})
        dictionary = TrainedDictionary(facts, dict(dictionary.named_buffers()))
    with scratch_folder("publish") as scratch:
        head = hub.head()
        report, missing = _plan(dictionary, hub, head, scratch / "dictionary", new_card=new_card)
        if dry_run:
            return report._replace(dry_run=True)
        parent = head or hub.create(private=private)
        message = message or f"{dictionary.facts.dictionary} on {', '.join(dictionary.sites)[:200]}"
        return report._replace(commit=hub.commit(missing, message=message, parent=parent) if missing else parent)


def _plan(
    dictionary: TrainedDictionary, hub: HubRepository, head: str | None, folder: Path, *, new_card: bool
) -> tuple[PublishedDictionary, dict[str, Path]]:
    """Write a folder for the repository; return the report, and the files that the Hub does not have."""
    write_folder(dictionary, folder)
    facts = read_folder(folder).facts
    (folder / CARD).write_text(model_card(facts, name=hub.name, uri=hub.uri))
    there = {} if head is None else hub.files(head)
    card_kept = CARD in there and not new_card and not _is_ours(hub, head)
    names = [WEIGHTS, FACTS, *([] if card_kept else [CARD])]
    missing = {name: folder / name for name in names if not _has(there, name, folder / name)}
    report = PublishedDictionary(
        repository=hub.name,
        revision=hub.revision,
        url=hub.url,
        uri=hub.uri,
        commit=None,
        tensors_sha256=facts.tensors_sha256 or "",
        dry_run=False,
        bytes_sent=sum(path.stat().st_size for path in missing.values()),
        sent=tuple(missing),
        card_kept=card_kept,
    )
    return report, missing


def _has(there: Mapping[str, RemoteFile], name: str, path: Path) -> bool:
    """Return whether the Hub has a file; those of which it says no SHA-256 are small, and are read."""
    found = there.get(name)
    if found is None or found.size != path.stat().st_size:
        return False
    return found.sha256 == file_sha256(path) if found.sha256 is not None else found.has(path.read_bytes())


def _is_ours(hub: HubRepository, head: str | None) -> bool:
    """Return whether the card of the repository is one that this command wrote."""
    found = hub.download(CARD, commit=head)
    if found is None:
        raise errors.StoreError(f"{hub.url}: {CARD} was listed, and is not there; try again")
    return CARD_WRITTEN in found.read_text(encoding="utf-8", errors="replace")
