from __future__ import annotations

import errno
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.http_exceptions import ContentLengthError
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)
from huggingface_hub.errors import OfflineModeIsEnabled
from s3fs.errors import translate_boto_error

from actstore.access.filesystems import answer_of, backend_errors, describe_error, is_transient, written_at


def refusal(status: int, code: str, message: str | None = None) -> ClientError:
    """What botocore raises for an answer."""
    parsed = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(parsed, "PutObject")


def caused_by(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        ConnectionResetError(),
        TimeoutError(),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        EndpointConnectionError(endpoint_url="http://host", error=ConnectionRefusedError()),
        ReadTimeoutError(endpoint_url="http://host"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        HTTPClientError(error=OSError("closed")),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("cut"),
        caused_by(aiohttp.ClientPayloadError("cut"), ContentLengthError("not enough data")),
        refusal(503, "SlowDown"),
        refusal(503, "503"),
        refusal(500, "InternalError"),
        refusal(429, "TooManyRequests"),
        refusal(400, "RequestTimeout"),
        refusal(400, "XAmzContentSHA256Mismatch"),
        refusal(409, "ConditionalRequestConflict"),
        translate_boto_error(refusal(503, "SlowDown")),
        translate_boto_error(refusal(500, "500")),
        caused_by(OSError("cannot connect"), socket.gaierror(socket.EAI_AGAIN, "try again")),
    ],
    ids=repr,
)
def test_what_may_pass(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(),
        PermissionError(),
        OSError(errno.ENOSPC, "No space left on device"),
        KeyError("a defect"),
        ValueError("a defect"),
        NoCredentialsError(),
        refusal(403, "AccessDenied"),
        refusal(404, "NoSuchKey"),
        refusal(404, "NoSuchBucket"),
        refusal(412, "PreconditionFailed"),
        refusal(416, "InvalidRange"),
        refusal(501, "NotImplemented"),
        translate_boto_error(refusal(403, "SignatureDoesNotMatch")),
        HTTPClientError(error=ValueError("no URL")),
        HTTPClientError(error=OverflowError("timeout is too large")),
        HTTPClientError(error=TypeError("not a number")),
        caused_by(aiohttp.ClientConnectionError("cannot connect"), OverflowError("port must be 0-65535")),
        OfflineModeIsEnabled("HF_HUB_OFFLINE is set"),
        caused_by(OSError("cannot list"), OfflineModeIsEnabled("HF_HUB_OFFLINE is set")),
        EndpointConnectionError(
            endpoint_url="http://no-such-host", error=socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        ),
        caused_by(ConnectionError("handshake"), ssl.SSLCertVerificationError("self-signed")),
    ],
    ids=repr,
)
def test_what_will_be_the_same_the_next_time(error: Exception) -> None:
    assert not is_transient(error)


def test_a_server_without_words_is_quoted_with_its_code() -> None:
    assert describe_error(translate_boto_error(refusal(403, "AccessDenied"))) == "AccessDenied"
    assert describe_error(refusal(403, "AccessDenied", "no entry")).endswith("no entry")
    assert describe_error(translate_boto_error(refusal(403, "AccessDenied", "no entry"))) == "no entry (AccessDenied)"


def test_answers_are_told_from_connections_that_failed() -> None:
    assert answer_of(refusal(404, "404")) == (404, "")
    assert answer_of(refusal(404, "NoSuchKey")) == (404, "NoSuchKey")
    assert answer_of(ConnectionResetError()) is None


def test_a_message_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    error = OSError("http://me:hush@host: from-the-environment and given-as-an-option")
    assert describe_error(error, ("given-as-an-option",)) == "http://(hidden)@host: (hidden) and (hidden)"


@pytest.mark.parametrize(
    "entry",
    [
        {"LastModified": datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)},
        {"created": datetime(2026, 5, 4, 3, 2, 1), "mtime": None},  # noqa: DTZ001 - fsspec has both kinds
        {"updated": "2026-05-04T03:02:01Z"},
        {"mtime": 1777863721},
    ],
)
def test_the_time_of_a_write_is_understood_as_each_says_it(entry: dict[str, object]) -> None:
    assert written_at(entry) == 1777863721.0


def test_the_time_of_a_write_may_be_unknown() -> None:
    assert written_at({"size": 3}) is None


def test_failures_of_a_loaded_back_end_are_among_them() -> None:
    with pytest.raises(backend_errors()):
        raise NoCredentialsError


def test_a_defect_is_not_among_them() -> None:
    assert not issubclass(KeyError, backend_errors())


def test_no_back_end_is_imported_to_know_its_failures() -> None:
    code = (
        "import sys; from actstore.access.filesystems import backend_errors; backend_errors(); "
        "assert not {'botocore', 'aiohttp'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_message_is_one_line() -> None:
    assert describe_error(OSError("one\n two")) == "one two"
    assert describe_error(OSError()) == "OSError"


def test_missing_credentials_come_with_the_way_out() -> None:
    assert "--storage-option anon=true" in describe_error(NoCredentialsError())
