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

    Files that are in the cache of huggingface_hub are not downloaded again, and are found there without a network. They
    are compared with their digests when the folder is read.

    Parameters
    ----------
    uri
        ``hf://user/name``, or ``hf://user/name@revision`` for a branch, tag or commit.

    Raises
    ------
    UsageError
        If it is no such name.
    CheckpointError
        If there is no such repository, or it has no dictionary of ours.
    StoreError
        If the Hub refuses or cannot be reached.
    """
    name, _, revision = uri.removeprefix(HUB).partition("@")
    if name.startswith("datasets/"):
        raise errors.UsageError(f"{uri}: a data set; dictionaries are in model repositories: hf://user/name")
    repository = HubRepository(name, kind="model", revision=unquote(revision) or "main")
    facts = repository.download(FACTS)
    # The name of its folder is the commit: both files are of the same, also if the branch moves meanwhile.
    if facts is None or repository.download(WEIGHTS, commit=facts.parent.name) is None:
        raise errors.CheckpointError(
            f"{uri}: no repository with {FACTS} and {WEIGHTS}, or you may not read it; check the name, and log in for "
            "a private one ('hf auth login', or HF_TOKEN). A dictionary of another library is downloaded by hand and "
            "read with 'trainer import'"
        )
    return facts.parent
