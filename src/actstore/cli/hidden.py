"""What a program says beside its own messages, without secrets: log records, warnings, tracebacks of defects."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from actstore.redaction import without_secrets

__all__ = ["print_defect", "without_secrets_in_logs"]


def print_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception as Python does, without secrets; for `sys.excepthook`."""
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


@contextmanager
def without_secrets_in_logs() -> Iterator[None]:
    """Hide secrets in log records and warnings of all packages, and in tracebacks of threads, inside the context."""
    make_record, format_warning, hook = logging.getLogRecordFactory(), warnings.formatwarning, threading.excepthook

    def make_hidden(*given: object, **named: object) -> logging.LogRecord:
        record = make_record(*given, **named)
        if record.args or isinstance(record.msg, str):
            record.msg, record.args = without_secrets(record.getMessage()), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = without_secrets("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return record

    def format_hidden(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        return without_secrets(format_warning(message, category, filename, lineno, line))

    def print_of_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None:
            print_defect(given.exc_type, given.exc_value, given.exc_traceback)

    logging.setLogRecordFactory(make_hidden)
    warnings.formatwarning = format_hidden
    threading.excepthook = print_of_thread
    try:
        yield
    finally:
        logging.setLogRecordFactory(make_record)
        warnings.formatwarning = format_warning
        threading.excepthook = hook
