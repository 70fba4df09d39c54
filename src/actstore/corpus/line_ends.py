r"""Line ends of old Macs (`\r`) -> those of all other files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

__all__ = ["with_newlines"]

_ENOUGH: Final = 1 << 20
"""Bytes without a newline after which a file has none."""


def with_newlines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yield blocks of text; where a file has `\r` and no `\n`, each `\r` becomes a `\n`.

    Other files are not changed: `\r\n` stays, and a stray `\r` in a line does not end it. The first newline, or the
    first megabyte, decides.

    Examples
    --------
    >>> b"".join(with_newlines(iter([b">P1\rMK", b"V\r"])))
    b'>P1\nMKV\n'
    """
    head = b""
    for block in blocks:
        head += block
        # A `\r` at the end may be the half of a `\r\n`.
        if b"\n" in head or (len(head) >= _ENOUGH and (head.find(b"\r", 0, -1) >= 0 or not head.endswith(b"\r"))):
            break
    if b"\n" in head or b"\r" not in head:
        if head:
            yield head
        yield from blocks
        return
    held = b""
    for block in chain([head], blocks):
        text = held + block
        held = b"\r" if text.endswith(b"\r") else b""
        if text := text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n"):
            yield text
    if held:
        yield b"\n"
