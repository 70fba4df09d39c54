"""What of a text may be shown or kept: all but the secrets in it. Every message goes through `without_secrets`.

Secrets are user names and passwords in addresses, values of parameters with telling names (`sig`, `token`, `pwd`,
`X-Amz-Signature`), bearer tokens, and values that the environment or a storage option names as secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_plus

__all__ = ["HIDDEN", "address_holds_secrets", "keep_secret", "secrets_among", "shown_value", "without_secrets"]

HIDDEN: Final = "(hidden)"

_NAMED: Final = re.compile(
    r"(?i)signature|token(?!s|i[sz])|credential|secret|passw|passphrase|pwd|(?:api|access|private)[-_]?key"
    r"|authori[sz]ation|connection_string|session_?id|bearer"
)
"""Names whose values are secret."""
_MAYBE_NAMED: Final = re.compile(
    r"(?i)(?:^|[^a-z])(?:key|sig|pass|auth|sas|jwt|cookie)$|tokens$|(?-i:(?<=[a-z])(?:Key|Sig|Auth)$)"
)
"""Names whose values are secret in an address or an option; in a sentence or a path they may be anything."""
_PATH_NAMED: Final = re.compile(r"(?i)^(?:old)?pwd$|_(?:file|path|dir|sock)$")
"""Variables of the environment that hold paths."""
_ALONE: Final = frozenset({"key", "sig", "pass", "auth"})
"""Names of the former that are secret everywhere if nothing stands before them."""
_PORT: Final = r"\d{1,5}(?![^\s/\\?#\"',;:)\]}>])"
_USERINFO: Final = re.compile(
    rf"""(?ix)
    (?: (?<=:)[/\\]{{2,}} | (?<![\w/\\])//
      | (?<![\w.+-])(?:https?|s?ftp|s3a?|gcs|gs|abfss?|az|tcp|tls|wss?):[/\\]?(?=[^\s/\\]) )
    (?P<user> [^\s/\\?\#"'<>]*(?:@|%40)
            | [^\s/\\?\#@:\["'<>]{{0,200}}:(?!\s|{_PORT})[^\n"'<>@]{{0,4096}}@ )
    """
)
_BARE_USERINFO: Final = re.compile(
    rf"""(?<![^\s"'(=\[,])(?P<user>[\w.%+~-]{{1,200}}:(?!{_PORT})[^\s/\\@"'<>]{{1,4096}}@)(?=[\w\[])"""
)
_AZURE: Final = re.compile(r"(?i)(?:abfss?|wasbs?|az)://$")
_AZURE_HOST: Final = re.compile(r"[a-z0-9]+\.(?:dfs|blob)\.core\.")
_AZURE_CONTAINER: Final = re.compile(r"[a-z0-9$-]{1,63}@")
_PARAMETER: Final = re.compile(
    r"""(?P<head>[?&;#](?P<name>[^\s=&;?#"'<>]{1,200})=)"""
    r"""(?P<value>[^\s&;#<>]*?)(?=$|[\s&;#<>]|["'](?:[\s,:;.)\]}]|$))"""
)
_ASSIGNMENT: Final = re.compile(
    r"""(?x)
    (?<![\w.-])(?P<head>(?P<open>["']?)(?P<name>[A-Za-z_][\w.-]{0,60})(?P=open)
      (?: \s{0,2}[=:]\s{0,2}(?P<quote>["']) | (?P<bare>=) ))
    (?!\(hidden\))
    (?P<value> (?(quote) .{0,4000}?(?=(?P=quote)) | (?!["']|VALUE\b)[^\s,;)\]}"'&<>]+ ))
    """
)
_BEARER: Final = re.compile(
    r"(?i)\b(?P<head>bearer\s+|authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:\w+\s+)?)[\w+/=.~-]{8,}"
)
_SHORTEST_NAMED: Final = 6
_SHORTEST_UNNAMED: Final = 8
"""Shorter values are not secrets, and would hide ordinary words in messages."""
_OPEN_OPTIONS: Final = frozenset(
    {
        "account_name", "addressing_style", "asynchronous", "bucket", "cache_type", "container", "default_block_size",
        "endpoint", "endpoint_url", "host", "hostname", "location", "max_concurrency", "profile", "project", "region",
        "region_name", "requester_pays", "s3_additional_kwargs", "signature_version", "user", "username",
    }
)  # fmt: skip
"""Storage options that cannot be secret unless their names or addresses say so."""
_PLAIN_VALUE: Final = re.compile(r"(?i)[+-]?[\d._e+-]*|true|false|none|null|auto|inf|nan")

_given: set[str] = set()
"""Secrets of storage options that this process was given."""


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text with `(hidden)` in place of everything that may neither be shown nor kept.

    Parameters
    ----------
    text
        A message, an address, a document: anything for people to see.
    secrets
        Further secrets, besides those that this process was given in storage options and in its environment.

    Examples
    --------
    >>> without_secrets("cannot connect to http://me:hush@localhost/x?X-Amz-Signature=1f2e")
    'cannot connect to http://(hidden)@localhost/x?X-Amz-Signature=(hidden)'
    >>> without_secrets("{'anon': False, 'secret': 'hush'}")
    "{'anon': False, 'secret': '(hidden)'}"
    """
    text = _without_secrets_of_addresses(text)
    text = _ASSIGNMENT.sub(_hide_assigned, text)
    text = _BEARER.sub(rf"\g<head>{HIDDEN}", text)
    for secret in sorted({*secrets, *_given, *secrets_among(os.environ, named_only=True)}, key=len, reverse=True):
        for spelling in {secret, quote(secret, safe=""), quote(secret)}:
            text = text.replace(spelling, HIDDEN)
    return text


def address_holds_secrets(address: str) -> bool:
    """Return whether an address may not be kept, because it holds a user name, a password or a signature.

    Examples
    --------
    >>> address_holds_secrets("https://TOKEN@host/p.fasta"), address_holds_secrets("s3://bucket/store")
    (True, False)
    """
    shown = _without_secrets_of_addresses(address)
    return shown != address or HIDDEN in shown or any(secret in address for secret in _given)


def secrets_among(options: Mapping[str, Any] | None, *, named_only: bool = False) -> tuple[str, ...]:
    """Return the values of options that must stay secret, longest first.

    Parameters
    ----------
    options
        Storage options, or the environment.
    named_only
        Count only values whose names say that they are secret. Without it, texts of options count too unless they
        are numbers, truth values, or belong to options that are known to be harmless.
    """
    found = {
        value
        for name, value in _texts(options or {})
        if (len(value) >= _SHORTEST_NAMED and _is_named(name)) or (not named_only and _is_unknown(name, value))
    }
    return tuple(sorted(found, key=len, reverse=True))


def keep_secret(options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Hide the secrets among storage options in all messages of this process from now on; return them."""
    secrets = secrets_among(options)
    _given.update(secrets)
    return secrets


def shown_value(value: object) -> str:
    """Return the value of a storage option for a message about it: a number or a short word, or else that it is hidden.

    Examples
    --------
    >>> shown_value("1.5"), shown_value("maybe"), shown_value("SECRET")
    ("'1.5'", "'maybe'", '(hidden)')
    """
    if not isinstance(value, str) or _PLAIN_VALUE.fullmatch(value) or len(value) < _SHORTEST_NAMED:
        return without_secrets(repr(value))
    return HIDDEN


def _without_secrets_of_addresses(text: str) -> str:
    text = _USERINFO.sub(_hide_user, text)
    text = _BARE_USERINFO.sub(f"{HIDDEN}@", text)
    return _PARAMETER.sub(_hide_parameter, text)


def _hide_user(found: re.Match[str]) -> str:
    lead = found[0][: found.start("user") - found.start()]
    before, after = found.string[: found.start("user")], found.string[found.end() :]
    if _AZURE.search(before[-8:]) and _AZURE_CONTAINER.fullmatch(found["user"]) and _AZURE_HOST.match(after):
        return found[0]  # the container of an account, which every address on Azure has
    return f"{lead}{HIDDEN}@"


def _hide_parameter(found: re.Match[str]) -> str:
    name, value = unquote_plus(found["name"]), unquote(found["value"])
    if not value or not (
        name.lower() == "pwd"
        or _is_named(name)
        or (value != found["value"] and _without_secrets_of_addresses(value) != value)
    ):
        return found[0]
    return f"{found['head']}{HIDDEN}"


def _hide_assigned(found: re.Match[str]) -> str:
    name = found["name"]
    is_secret = bool(found["value"]) and (_NAMED.search(name) or name.lower() in _ALONE)
    return f"{found['head']}{HIDDEN}" if is_secret else found[0]


def _is_named(name: str) -> bool:
    return bool(_NAMED.search(name) or _MAYBE_NAMED.search(name)) and not _PATH_NAMED.search(name)


def _is_unknown(name: str, value: str) -> bool:
    if len(value) < _SHORTEST_UNNAMED or _PLAIN_VALUE.fullmatch(value):
        return False
    return name not in _OPEN_OPTIONS and not ("://" in value and not address_holds_secrets(value))


def _texts(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of text options, also of nested ones."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, list | tuple):
            yield from ((str(name), one) for one in value if isinstance(one, str))
        elif isinstance(value, str):
            yield str(name), value
