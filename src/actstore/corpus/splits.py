"""Sequence ids (or their clusters) -> splits, each sequence independent of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, UInt64s, derive_key, hash_text, uniform
from actstore.contracts.recipe import SplitsRecipe
from actstore.contracts.sequences import SequenceCollection, SequenceTable
from actstore.corpus.line_ends import with_newlines
from actstore.corpus.sources import Source, expand_sources, read_blocks
from actstore.errors import CorpusError, CorpusFormatError

__all__ = ["assign_splits", "read_clusters", "split_corpus"]

_MAX_LINE_BYTES: Final = 1 << 20
_WANTED: Final = "wanted representative<TAB>member on each line, the cluster table of MMseqs2"


def assign_splits(
    id_hash_N: UInt64s,
    fractions: Mapping[str, float],
    *,
    seed: int,
    cluster_hash_N: UInt64s | None = None,
) -> NDArray[np.int8]:
    """Return the split of each sequence as an index into `fractions`: int8 [N].

    The fractions divide [0, 1) into intervals, in their order. A sequence goes to the split whose interval contains the
    draw of its hash. No sequence depends on any other.

    Parameters
    ----------
    id_hash_N
        `hash_text` of each id.
    fractions
        Share of each split; they add up to 1.
    seed
        Seed of the recipe.
    cluster_hash_N
        From `read_clusters`; used in place of the ids, so that a cluster stays together.

    Examples
    --------
    >>> hashes = np.array([hash_text(name) for name in ("P1", "P2", "P3")], dtype=np.uint64)
    >>> assign_splits(hashes, {"train": 0.5, "test": 0.5}, seed=0).dtype
    dtype('int8')
    """
    stop_S = np.cumsum(list(fractions.values()))
    # The sum may be 1 - 1e-16; draws above it must not go to a later split of fraction 0.
    stop_S[stop_S >= stop_S[-1]] = 1.0
    draw_N = uniform(derive_key(seed, Purpose.SPLIT), id_hash_N if cluster_hash_N is None else cluster_hash_N)
    return np.searchsorted(stop_S, draw_N, side="right").astype(np.int8)


def read_clusters(
    url: str,
    id_hash_N: UInt64s,
    *,
    sequence_id: Callable[[int], str],
    storage_options: Mapping[str, Any] | None = None,
) -> UInt64s:
    """Return the cluster of each sequence as the hash of its representative's id: uint64 [N].

    Members that are not in the corpus are ignored, so the clusters of a larger database can be used.
    Memory is about 40 bytes for each sequence, for any size of file.

    Parameters
    ----------
    url
        Path or `fsspec` URL of an MMseqs2 cluster table, ``representative<TAB>member`` on each line, plain or
        compressed.
    id_hash_N
        `hash_text` of each id of the corpus.
    sequence_id
        Id of a sequence, for messages.
    storage_options
        Passed to the file system.

    Raises
    ------
    CorpusFormatError
        If a line does not have two fields, or a member is in two clusters.
    CorpusError
        If a sequence is in no cluster, or the file cannot be opened.
    """
    sources = expand_sources([url], storage_options=storage_options)
    known_U, position_N = np.unique(id_hash_N, return_inverse=True)
    cluster_U = np.zeros(len(known_U), dtype=np.uint64)
    is_found_U = np.zeros(len(known_U), dtype=np.bool_)
    for batch in chain.from_iterable(_read_batches(source) for source in sources):
        slot_B = np.minimum(np.searchsorted(known_U, batch.member_hash_B), len(known_U) - 1)
        is_ours_B = known_U[slot_B] == batch.member_hash_B
        slot_B, cluster_B, line_B = slot_B[is_ours_B], batch.cluster_hash_B[is_ours_B], batch.line_B[is_ours_B]
        is_first_B = ~is_found_U[slot_B]
        # Backwards, so that of several lines in this batch the first one stays.
        cluster_U[slot_B[is_first_B][::-1]] = cluster_B[is_first_B][::-1]
        is_found_U[slot_B] = True
        conflict_B = np.flatnonzero(cluster_U[slot_B] != cluster_B)
        if len(conflict_B):
            member = sequence_id(int(np.flatnonzero(position_N == slot_B[conflict_B[0]])[0]))
            raise CorpusFormatError(
                f"{batch.source}, line {line_B[conflict_B[0]]}: {member!r} is in a second cluster; wanted every member "
                "in exactly one, as `mmseqs createtsv` writes them"
            )
    _require_all(is_found_U[position_N], url, sequence_id)
    return cluster_U[position_N]


def _require_all(is_found_N: NDArray[np.bool_], name: str, sequence_id: Callable[[int], str]) -> None:
    missing_M = np.flatnonzero(~is_found_N)
    if not len(missing_M):
        return
    missing_id = sequence_id(int(missing_M[0]))
    hint = "cluster all sequences of the corpus"
    if missing_id.count("|") >= 2:
        hint += "; MMseqs2 shortens ids such as sp|P62258|1433E_HUMAN to P62258, so give both files the short ids"
    raise CorpusError(
        f"{name}: {len(missing_M):,} of {len(is_found_N):,} sequences are in no cluster, such as {missing_id!r}; {hint}"
    )


def split_corpus(
    corpus: SequenceCollection, splits: SplitsRecipe, *, seed: int, storage_options: Mapping[str, Any] | None = None
) -> SequenceTable:
    """Return lengths, hashed ids, splits and clusters of a corpus, in its order; raises as `read_clusters`."""
    cluster_hash_N = None
    if splits.clusters is not None:
        cluster_hash_N = read_clusters(
            splits.clusters, corpus.id_hash_N, sequence_id=corpus.sequence_id, storage_options=storage_options
        )
    split_N = assign_splits(corpus.id_hash_N, splits.fractions, seed=seed, cluster_hash_N=cluster_hash_N)
    return SequenceTable(corpus.id_hash_N, corpus.length_N, split_N, tuple(splits.fractions), cluster_hash_N)


class _Lines(NamedTuple):
    source: str
    cluster_hash_B: UInt64s
    member_hash_B: UInt64s
    line_B: NDArray[np.int64]


def _read_batches(source: Source) -> Iterator[_Lines]:
    """Yield the lines of one block after the other, as hashes."""
    line = 1
    for text in _whole_lines(source):
        clusters: list[int] = []
        members: list[int] = []
        last_representative, cluster = "", 0
        rows = text.split("\n")
        for index, row in enumerate(rows):
            representative, _, member = row.removesuffix("\r").partition("\t")
            if not representative or not member or "\t" in member:
                raise CorpusFormatError(f"{source.name}, line {line + index}: found {row[:80]!r}; {_WANTED}")
            if representative != last_representative:
                last_representative, cluster = representative, hash_text(representative)
            clusters.append(cluster)
            members.append(hash_text(member))
        yield _Lines(
            source.name,
            np.array(clusters, dtype=np.uint64),
            np.array(members, dtype=np.uint64),
            np.arange(line, line + len(rows), dtype=np.int64),
        )
        line += len(rows)


def _whole_lines(source: Source) -> Iterator[str]:
    """Yield the text of a file in pieces that end with a line."""
    pending = b""
    for block in with_newlines(read_blocks(source)):
        pending += block
        complete, newline, pending = pending.rpartition(b"\n")
        if newline:
            yield _decode(complete, source.name)
        if len(pending) > _MAX_LINE_BYTES:
            raise CorpusFormatError(f"{source.name}: a line of more than {_MAX_LINE_BYTES:,} bytes; {_WANTED}")
    if pending:
        yield _decode(pending, source.name)


def _decode(text: bytes, name: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"{name}: not text (byte 0x{text[error.start]:02x}); {_WANTED}") from error
