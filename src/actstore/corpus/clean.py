"""Raw record -> upper-case residues within the alphabet, or a fault."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from actstore.contracts.sequences import RawRecord

__all__ = ["Fault", "FaultReason", "clean_record"]

FaultReason = Literal["no id", "unprintable id", "empty", "foreign letters", "duplicate id"]

_SHOWN_LETTERS: Final = 5


class Fault(NamedTuple):
    """Why a record cannot be used."""

    reason: FaultReason
    """Reason under which the record is counted."""
    detail: str
    """The same for an error message, with letters and positions."""


def clean_record(record: RawRecord, alphabet: frozenset[str]) -> str | Fault:
    """Return the residues of a record: upper-case, without white space and trailing `*`.

    Parameters
    ----------
    record
        As a reader yields it.
    alphabet
        Upper-case ASCII letters that may occur.

    Returns
    -------
    str or Fault
        The residues, all of them in `alphabet`; or the first fault found.

    Examples
    --------
    >>> clean_record(RawRecord("P1", "mk v*", "a.fasta", 1, 1), frozenset("MKV"))
    'MKV'
    >>> clean_record(RawRecord("P1", "MKJV", "a.fasta", 1, 1), frozenset("MKV")).reason
    'foreign letters'
    """
    if not record.id:
        return Fault("no id", "the record has no id")
    if not record.id.isprintable():
        return Fault("unprintable id", f"the id {record.id[:40]!r} holds characters that cannot be printed")
    text = "".join(record.sequence.split()).rstrip("*")
    if not text:
        return Fault("empty", f"the sequence of {record.id[:80]!r} is empty")
    # Only ASCII may be upper-cased: 'ß'.upper() is 'SS', which would add a serine.
    if text.isascii():
        text = text.upper()
        if not text.encode("ascii").translate(None, _codes(alphabet)):
            return text
    return Fault("foreign letters", f"the sequence of {record.id[:80]!r} has {_describe_foreign(text, alphabet)}")


@lru_cache(maxsize=8)
def _codes(alphabet: frozenset[str]) -> bytes:
    return "".join(sorted(alphabet)).encode("ascii")


def _describe_foreign(text: str, alphabet: frozenset[str]) -> str:
    first_residue: dict[str, int] = {}
    for residue, letter in enumerate(text, start=1):
        if not (letter.isascii() and letter.upper() in alphabet):
            first_residue.setdefault(letter, residue)
    shown = [f"{letter!r} at residue {residue:,}" for letter, residue in list(first_residue.items())[:_SHOWN_LETTERS]]
    more = len(first_residue) - len(shown)
    return (
        f"letters outside the model's alphabet: {', '.join(shown)}"
        f"{f' and {more} other letters' if more else ''}; the alphabet is {''.join(sorted(alphabet))}"
    )
