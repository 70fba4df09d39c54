"""Standard output and error that cannot be written, as on a full disk: an error for the one, nothing for the other."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from actstore.errors import ActstoreError

__all__ = ["checked_output"]


@contextmanager
def checked_output() -> Iterator[None]:
    """Turn output that cannot be written into one error; let log lines that cannot be written be lost.

    Without this, a report on a full disk is a traceback after the work is done, and a progress line on a full disk ends
    an extraction. A reader that leaves early (`| head`) ends the command with exit code 1 and no message.

    Raises
    ------
    ActstoreError
        If standard output cannot be written.
    """
    out, err = _Descriptor.of(sys.stdout), _Descriptor.of(sys.stderr, forgiving=True)
    with redirect_stdout(_text(out, sys.stdout)) as stdout, redirect_stderr(_text(err, sys.stderr)):
        try:
            yield
        except (OSError, SystemExit) as leaving:
            _check(stdout, out, leaving)
            raise
        _check(stdout, out, None)


class _Descriptor(io.RawIOBase):
    """Writes to the descriptor of a stream; remembers the first failure, and drops what comes after it.

    Parameters
    ----------
    descriptor
        Stays open.
    forgiving
        Whether the first failure is no error either.
    """

    def __init__(self, descriptor: int, *, forgiving: bool) -> None:
        self._descriptor, self._forgiving = descriptor, forgiving
        self.failure: OSError | None = None

    @classmethod
    def of(cls, stream: Any, *, forgiving: bool = False) -> _Descriptor | None:  # noqa: ANN401 - a text stream or None
        """Return the descriptor behind a stream; None if there is none."""
        with suppress(AttributeError, OSError):
            stream.flush()
            return cls(stream.fileno(), forgiving=forgiving)
        return None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:  # noqa: ANN401 - any bytes
        if self.failure is None:
            try:
                return os.write(self._descriptor, data)
            except OSError as error:
                self.failure = error
                if not self._forgiving:
                    raise
        return len(memoryview(data))


def _text(descriptor: _Descriptor | None, stream: Any) -> Any:  # noqa: ANN401 - a text stream or None
    if descriptor is None:
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(descriptor),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )


def _check(stdout: Any, descriptor: _Descriptor | None, leaving: BaseException | None) -> None:  # noqa: ANN401
    """Write what is still to be written; raise if that, or anything before it, failed."""
    if descriptor is None:
        return
    with suppress(OSError):
        stdout.flush()
    if descriptor.failure is None:
        return
    if descriptor.failure.errno == errno.EPIPE:
        raise SystemExit(1) from leaving
    raise ActstoreError(
        f"standard output cannot be written: {descriptor.failure.strerror}; what the command did is done, and only its "
        "output is lost"
    ) from leaving
