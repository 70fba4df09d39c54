"""The errors of the project.

::

    ActstoreError                     exit code 1
    ├── UsageError                    exit code 2: the request itself is wrong
    │   ├── RecipeError               a recipe that does not parse or contradicts itself
    │   └── SiteError                 a site or module path that the model or the store does not have
    ├── CorpusError                   a sequence file that cannot be used
    │   ├── CorpusFormatError         not FASTA, not Parquet, truncated, unreadable
    │   └── BadRecordError            one record of it: empty, duplicate, letters outside the alphabet
    ├── SourceError                   files with activations that cannot be imported
    ├── ModelError                    weights, tokenizer or forward pass
    │   └── TokenizerError            residues do not map to tokens one to one
    ├── NumericsError                 NaN, Inf or an overflow in activations
    ├── StoreError                    a store that cannot be read or written
    │   ├── StoreNotFoundError        there is no store at that place
    │   ├── RecipeChangedError        a store exists there, made with another recipe
    │   ├── IncompleteStoreError      the extraction has not finished
    │   ├── MissingObjectError        an object that a commit names is not there
    │   ├── CorruptObjectError        bytes differ from what a commit or the manifest says
    │   ├── StorageUnavailableError   the storage failed at every attempt
    │   └── ManifestError             a manifest that is malformed or belongs to another store
    ├── WorkerError                   workers or a scheduler that cannot be used, or are gone
    ├── StreamError                   a stream that cannot deliver what was asked
    │   ├── CursorError               a cursor from another stream
    │   └── NoSplitError              a split that the store does not have (also a UsageError)
    └── TrainingError                 a training run that cannot go on
        └── CheckpointError           a checkpoint that does not fit this run

Messages name the object, the value found, the value expected, and a remedy. Secrets in them are hidden when the error
is made, whoever passes it on.
"""

from __future__ import annotations

from actstore.redaction import without_secrets

__all__ = [
    "ActstoreError",
    "BadRecordError",
    "CheckpointError",
    "CorpusError",
    "CorpusFormatError",
    "CorruptObjectError",
    "CursorError",
    "IncompleteStoreError",
    "ManifestError",
    "MissingObjectError",
    "ModelError",
    "NoSplitError",
    "NumericsError",
    "RecipeChangedError",
    "RecipeError",
    "SiteError",
    "SourceError",
    "StorageUnavailableError",
    "StoreError",
    "StoreNotFoundError",
    "StreamError",
    "TokenizerError",
    "TrainingError",
    "UsageError",
    "WorkerError",
]


class ActstoreError(Exception):
    """Root of the tree; the command line prints it without a traceback."""

    exit_code = 1

    def __init__(self, *args: object) -> None:
        super().__init__(*(without_secrets(one) if isinstance(one, str) else one for one in args))

    def add_note(self, note: str, /) -> None:
        """Add a line to the traceback, without secrets."""
        super().add_note(without_secrets(note))


class UsageError(ActstoreError):
    """The request itself is wrong; no work was started."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that does not parse or contradicts itself."""


class SiteError(UsageError):
    """A site or module path that the model or the store does not have."""


class CorpusError(ActstoreError):
    """A sequence file that cannot be used."""


class CorpusFormatError(CorpusError):
    """A file that is not what it claims to be, is truncated, or cannot be read."""


class BadRecordError(CorpusError):
    """One record that cannot be used, with its file, number and line."""


class SourceError(ActstoreError):
    """Files with activations that cannot be imported."""


class ModelError(ActstoreError):
    """A model whose weights or forward pass cannot be trusted."""


class TokenizerError(ModelError):
    """A tokenizer that does not map residues to tokens one to one."""


class NumericsError(ActstoreError):
    """NaN, Inf or an overflow, with sequence, position and site."""


class StoreError(ActstoreError):
    """A store that cannot be read or written."""


class StoreNotFoundError(StoreError):
    """There is no store at that place."""


class RecipeChangedError(StoreError):
    """A store exists at that place, made with another recipe."""


class IncompleteStoreError(StoreError):
    """The extraction of this store has not finished."""


class MissingObjectError(StoreError):
    """An object that should be in the store is not there."""


class CorruptObjectError(StoreError):
    """The bytes of an object differ from what its commit or the manifest says."""


class StorageUnavailableError(StoreError):
    """The storage failed at every attempt."""


class ManifestError(StoreError):
    """A manifest that is malformed or describes another store."""


class WorkerError(ActstoreError):
    """Workers or a scheduler that cannot be used, or are gone."""


class StreamError(ActstoreError):
    """A stream that cannot deliver what was asked."""


class CursorError(StreamError):
    """A cursor that was taken from another stream."""


class NoSplitError(StreamError, UsageError):
    """A split that the store does not have."""


class TrainingError(ActstoreError):
    """A training run that cannot go on."""


class CheckpointError(TrainingError):
    """A checkpoint that does not fit this run."""
