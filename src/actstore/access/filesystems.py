"""Differences among the file systems behind fsspec: their exceptions, and how they report write times."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from actstore.redaction import without_secrets

__all__ = ["Answer", "answer_of", "backend_errors", "describe_error", "is_transient", "written_at"]

_NOT_OSERRORS: Final = (
    ("botocore.exceptions", ("BotoCoreError", "ClientError")),
    ("botocore.parsers", ("ResponseParserError",)),
    ("aiohttp", ("ClientError",)),
    ("urllib3.exceptions", ("HTTPError",)),
    ("httpx", ("HTTPError",)),
    ("httpx2", ("HTTPError",)),
    ("gcsfs.retry", ("HttpError",)),
    ("google.auth.exceptions", ("GoogleAuthError",)),
)
"""Modules of S3, GCS, HTTP and Hugging Face file systems, and the base classes of their exceptions."""

_WRITTEN: Final = ("LastModified", "mtime", "last_modified", "updated", "created")
"""Keys for the time of the last write in the listings of S3, GCS and others."""

_TRANSIENT_CODES: Final = frozenset(
    {
        "BadDigest",  # these four: the bytes were damaged or cut on the way
        "IncompleteBody",
        "RequestTimeout",
        "XAmzContentSHA256Mismatch",
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)
"""Codes of S3 servers for failures that may not happen at the next attempt, for any HTTP status."""
_TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRANSIENT_ERRNO: Final = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.ETIMEDOUT,
    }
)
_TRANSIENT_NAMES: Final = frozenset(
    {
        "ClientConnectionError",
        "ClientPayloadError",
        "ConnectionError",
        "FSTimeoutError",
        "HTTPClientError",
        "IncompleteRead",
        "IncompleteReadError",
        "ProtocolError",
        "ResponseParserError",
        "Timeout",
        "TransportError",
    }
)
"""Exceptions of botocore, aiohttp, urllib3, requests and httpx for failed, cut or invalid connections."""
_PERMANENT_NAMES: Final = frozenset({"OfflineModeIsEnabled"})
"""Exception of huggingface_hub in offline mode; it counts as a ConnectionError."""
_WRONG_REQUESTS: Final = (ssl.SSLCertVerificationError, ValueError, OverflowError, TypeError)
"""Exceptions that clients raise while they make a request, and wrap in their own errors."""
_MISSING_CREDENTIALS: Final = frozenset({"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"})


class Answer(NamedTuple):
    """Answer of a server to a request that it did not grant."""

    status: int
    """HTTP status."""
    code: str
    """Error code of S3; empty if the server gives none."""


def backend_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean "the storage failed": OSError, and those of the loaded back ends.

    A back end that is not loaded cannot have raised anything, so no back end is imported here.
    """
    found: list[type[Exception]] = [OSError]
    for module, names in _NOT_OSERRORS:
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    return tuple(found)


def describe_error(error: Exception, secrets: tuple[str, ...] = ()) -> str:
    """Return one line for a message, without credentials; with a remedy if the kind of error suggests one.

    Parameters
    ----------
    error
        The exception.
    secrets
        Secrets to hide, in addition to passwords in URLs and secrets in the environment.
    """
    text = " ".join(str(error).split())
    answer = next(filter(None, map(answer_of, _causes(error))), None)
    if text in {"", "None"}:  # some servers send a code without text
        text = type(error).__name__ if answer is None or not answer.code else answer.code
    if answer is not None and answer.code not in text:
        text = f"{text} ({answer.code})"
    if type(error).__name__ in _MISSING_CREDENTIALS:
        text += "; set them in the environment or a profile, or read anonymously with --storage-option anon=true"
    return without_secrets(text, secrets)


def answer_of(error: BaseException) -> Answer | None:
    """Return the answer of a server, if an exception of botocore, aiohttp, gcsfs, requests or httpx has one."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = response.get("Error", {}).get("Code")
    else:
        # In this order, and only until one is there: aiohttp warns whoever looks at `code`.
        places = ((response, "status_code"), (error, "status"), (error, "code"))
        found = (getattr(place, name, None) for place, name in places)
        status = next((one for one in found if isinstance(one, int)), None)
        code = None
    if not isinstance(status, int):
        return None
    return Answer(status, code if isinstance(code, str) and not code.isdecimal() else "")


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed later: the connection failed, or the server could not answer.

    A refused request, and a wrong host, certificate or request, fail again.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return cause.errno == socket.EAI_AGAIN
        if isinstance(cause, _WRONG_REQUESTS) or type(cause).__name__ in _PERMANENT_NAMES:
            return False
    for cause in causes:
        # In this order: aiohttp reports a cut body as a bad request, with the cut as the cause.
        if _is_broken_connection(cause):
            return True
        if (answer := answer_of(cause)) is not None:
            return answer.status in _TRANSIENT_STATUS or answer.code in _TRANSIENT_CODES
    return False


def written_at(entry: Mapping[str, Any]) -> float | None:
    """Return when an object was written, in seconds since 1970, from its entry in a listing; None if unknown."""
    said = next((entry[word] for word in _WRITTEN if entry.get(word) is not None), None)
    if isinstance(said, str):
        said = datetime.fromisoformat(said)
    if isinstance(said, datetime):
        said = said if said.tzinfo is not None else said.replace(tzinfo=UTC)
        return said.timestamp()
    return None if said is None else float(said)


def _is_broken_connection(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO:
        return True
    return any(kind.__name__ in _TRANSIENT_NAMES for kind in type(error).__mro__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes; botocore keeps the cause as an argument."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        arguments = getattr(one, "kwargs", None)
        context = None if one.__suppress_context__ else one.__context__
        waiting += [one.__cause__ or context, getattr(one, "os_error", None)]
        waiting += [arguments.get("error")] if isinstance(arguments, Mapping) else []
