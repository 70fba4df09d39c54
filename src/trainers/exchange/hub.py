"""A dictionary from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote

from actstore import HubRepository, errors
from trainers.exchange.folder import FACTS, WEIGHTS

__all__ = ["HUB", "download_folder"]

HUB: Final = "hf://"


def download_folder(uri: str) -> Path:
    """Return a folder on this machine with the files of a dictionary on the Hub, all of one commit.

    Files that are in the cache of huggingface_hub are not downloaded again. They are compared with their digests when
    the folder is read.

    Parameters
    ----------
    uri
        ``hf://user/name``, or ``hf://user/name@revision`` for a branch, tag or commit.

    Raises
    ------
    UsageError
        If it is no such name.
    CheckpointError
        If the repository has no dictionary of ours.
    StoreError
        If there is no such repository, or the Hub refuses or cannot be reached.
    """
    name, _, revision = uri.removeprefix(HUB).partition("@")
    if name.startswith("datasets/"):
        raise errors.UsageError(f"{uri}: a data set; dictionaries are in model repositories: hf://user/name")
    repository = HubRepository(name, kind="model", revision=unquote(revision) or "main")
    commit = repository.head()
    found = [repository.download(file, commit=commit) for file in (FACTS, WEIGHTS)]
    if found[0] is None or found[1] is None:
        raise errors.CheckpointError(
            f"{uri}: no {FACTS} with {WEIGHTS}; this is no dictionary that 'trainer publish' wrote. Download a "
            "dictionary of another library and read it with 'trainer import'"
        )
    return found[0].parent
