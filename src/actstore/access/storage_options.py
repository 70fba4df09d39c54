"""Storage options: their meaning, and the defaults for s3fs."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final, cast

from fsspec.utils import get_protocol

from actstore.access.credentials import refuse_credentials
from actstore.access.printable import is_plain
from actstore.errors import StoreError, UsageError
from actstore.redaction import keep_secret, shown_value

__all__ = ["OWN_OPTIONS", "address_problem", "fsspec_options", "is_path", "is_s3", "is_web"]

_CONNECT_TIMEOUT_S: Final = 5.0
_READ_TIMEOUT_S: Final = 20.0
"""Seconds without a byte sent or received. Servers that prepare a listing or flush an upload are silent for seconds."""
_POOL_CONNECTIONS: Final = 48
"""At least the requests in flight of a stream, of `verify` and of the assembly of a manifest together."""

OWN_OPTIONS: Final = frozenset({"attempts"})
"""Options of actstore itself, for every storage."""
_SHARED_BY: Final = ("s3", "gs", "az", "abfs", "hf", "https", "s3a", "gcs", "abfss", "adl", "file", "memory")
_WEB: Final = frozenset({"http", "https"})
_WEB_OPTIONS: Final = frozenset({"connect_timeout", "read_timeout", "headers"})
_QUERY: Final = frozenset("?#")
_LONGEST_ADDRESS: Final = 2048
_SECONDS: Final = frozenset({"connect_timeout", "read_timeout"})
_S3_COUNTS: Final = frozenset({"default_block_size", "max_concurrency", "max_pool_connections"})
_LONGEST_SOCKET_TIMEOUT_MS: Final = (1 << 31) - 1
_S3_BOOLEANS: Final = frozenset({"anon", "use_ssl", "requester_pays"})
_TRUTH: Final[Mapping[str, bool]] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_S3_ENDPOINTS: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def address_problem(uri: str) -> str | None:
    """Return why an address in a document cannot be the place of a store; None if it can.

    Documents are untrusted. An address may be a folder, or a place on storage that holds plain objects. It may not use
    file systems of fsspec that run programs, unpack archives, log in elsewhere or chain to another one (`::`).

    Examples
    --------
    >>> address_problem("s3://bucket/store"), address_problem("/data/store")
    (None, None)
    >>> address_problem("reference://evil.json")
    'uri: no store is shared by reference://; a folder, or one of s3, gs, az, abfs, hf, https, ...'
    """
    if not is_plain(uri, most=_LONGEST_ADDRESS) or ("::" in uri and not is_path(uri)):
        return f"uri: not a path or a URL of one place in at most {_LONGEST_ADDRESS:,} printable letters"
    scheme, separator, place = uri.partition("://")
    if separator and scheme.lower() not in _SHARED_BY:
        return f"uri: no store is shared by {scheme[:20]}://; a folder, or one of {', '.join(_SHARED_BY[:6])}, ..."
    if scheme.lower() in _WEB and _QUERY & set(place):
        return "uri: a place on a web server with a query"
    if ".." in PurePosixPath(place or uri).parts:
        return "uri: a place that is given by way of '..'; give its whole path"
    return None


def is_path(address: str) -> bool:
    """Return whether an address is a path of this machine: it has no scheme, although it may hold `::`.

    Examples
    --------
    >>> is_path("/data/run::2"), is_path("s3://bucket/store"), is_path("simplecache::s3://bucket/store")
    (True, False, False)
    """
    return "://" not in address


def is_web(url: str) -> bool:
    """Return whether a URL is the place of a store on a web server.

    Raises
    ------
    UsageError
        If it is a chain of URLs (`::`), or has a query: names of objects are added to it.

    Examples
    --------
    >>> is_web("https://host/store"), is_web("s3://bucket/store")
    (True, False)
    """
    if is_path(url) or not any(one.partition("://")[0].lower() in _WEB for one in url.split("::") if "://" in one):
        return False
    if "::" in url or _QUERY & set(url):
        raise UsageError(f"{url}: a store on a web server is given by a plain URL, without '::', '?' and '#'")
    return True


def is_s3(url: str) -> bool:
    """Return whether s3fs opens a URL."""
    return not is_path(url) and get_protocol(url) in {"s3", "s3a"}


def fsspec_options(url: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options to pass to fsspec for a URL, from those of the user.

    `attempts` is not passed on (`actstore.access.open.open_objects` takes it). For S3 there are `connect_timeout`,
    `read_timeout` (seconds) and `max_pool_connections` in addition to those of s3fs. A web server has the first two,
    and `headers`. Numbers and booleans may be text, because a command line has only text. Seconds are finite and more
    than 0; counts are whole and at least 1.

    Raises
    ------
    StoreError
        If a web server has no such option.
    UsageError
        If a value is not such a number or boolean, or the URL or endpoint holds credentials.
    """
    refuse_credentials(url)
    chosen = {name: value for name, value in (options or {}).items() if name not in OWN_OPTIONS}
    keep_secret(options)
    _check_endpoint(chosen.get("endpoint_url"), "storage option endpoint_url")
    if is_web(url):
        if others := chosen.keys() - _WEB_OPTIONS:
            known = ", ".join(sorted(_WEB_OPTIONS))
            raise StoreError(f"{url}: storage option {', '.join(sorted(others))}: a web server takes {known}")
        timeouts = {"connect_timeout": _CONNECT_TIMEOUT_S, "read_timeout": _READ_TIMEOUT_S}
        return timeouts | {name: _value(name, value) for name, value in chosen.items()}
    if not is_s3(url):
        return chosen
    for name in _S3_ENDPOINTS:
        _check_endpoint(os.environ.get(name), name)
    chosen = {name: _value(name, value) for name, value in chosen.items()}
    read_timeout_s = chosen.pop("read_timeout", _READ_TIMEOUT_S)
    config = {
        "connect_timeout": chosen.pop("connect_timeout", _CONNECT_TIMEOUT_S),
        "read_timeout": read_timeout_s,
        "max_pool_connections": chosen.pop("max_pool_connections", _POOL_CONNECTIONS),
        "connector_args": {"socket_factory": _impatient_sockets(read_timeout_s)},
    }
    return chosen | {"config_kwargs": config | chosen.get("config_kwargs", {})}


@cache
def _impatient_sockets(idle_s: float) -> Callable[[Any], socket.socket]:
    """Return a factory of sockets that fail if sent data is not acknowledged; HTTP timeouts cover only answers."""

    def make(address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            idle_ms = max(int(min(idle_s * 1000, _LONGEST_SOCKET_TIMEOUT_MS)), 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, idle_ms)
        return made

    return make


def _check_endpoint(endpoint: object, name: str) -> None:
    """Refuse an endpoint that is no URL of a server, which may be a secret in the wrong place, or holds credentials."""
    if endpoint is None:
        return
    if not isinstance(endpoint, str) or not endpoint.lower().startswith(("http://", "https://")):
        raise UsageError(f"{name}: not a URL that begins with http:// or https://")
    refuse_credentials(endpoint, name=name)


def _value(name: str, value: object) -> object:
    if name in _SECONDS | _S3_COUNTS:
        return _number(name, value)
    if not isinstance(value, str) or name not in _S3_BOOLEANS:
        return value
    if value.lower() not in _TRUTH:
        raise UsageError(f"storage option {name} = {shown_value(value)}: not true or false")
    return _TRUTH[value.lower()]


def _number(name: str, value: object) -> float:
    """Return seconds or a count; other values would mean to wait for ever, or not at all."""
    try:
        number = math.nan if isinstance(value, bool) else float(cast("str | float", value))
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if name in _SECONDS:
        if math.isfinite(number) and number > 0:
            return number
        raise UsageError(f"storage option {name} = {shown_value(value)}: not a finite number of seconds, more than 0")
    if number.is_integer() and number >= 1:
        return int(number)
    raise UsageError(f"storage option {name} = {shown_value(value)}: not a whole number of at least 1")
