"""Keep credentials out of stored addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actstore.errors import UsageError
from actstore.redaction import HIDDEN, address_holds_secrets, without_secrets

__all__ = ["fields_with_credentials", "refuse_credentials"]


def refuse_credentials(address: str, *, name: str | None = None) -> None:
    """Refuse an address that holds a user name, a password or a signature.

    Addresses are written into recipes, manifests and messages.

    Parameters
    ----------
    address
        Anything that may be an address: a URL, a path, the name of a model.
    name
        The option or field that it comes from, for the message.

    Raises
    ------
    UsageError
        Its message shows the address without them.
    """
    if not address_holds_secrets(address):
        return
    # What follows a secret may belong to it, so nothing of the query is shown.
    place, separator, _ = without_secrets(address).replace("#", "?").partition("?")
    shown = f"{place}?{HIDDEN}" if separator else place
    what = shown if name is None else f"{name} = {shown}"
    raise UsageError(
        f"{what}: an address with credentials would end up in manifests and messages; give them with "
        "--storage-option, in the environment or in a profile"
    )


def fields_with_credentials(document: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON has no type
    """Yield the dotted names of the texts in a document that hold credentials.

    Examples
    --------
    >>> list(fields_with_credentials({"corpus": {"sequences": ["a.fasta", "https://TOKEN@host/b.fasta"]}}))
    ['corpus.sequences.1']
    """
    if isinstance(document, str):
        if address_holds_secrets(document):
            yield place
    elif isinstance(document, dict):
        for name, value in document.items():
            yield from fields_with_credentials(str(name), place or "a name")
            yield from fields_with_credentials(value, f"{place}.{name}".lstrip("."))
    elif isinstance(document, list | tuple):
        for number, value in enumerate(document):
            yield from fields_with_credentials(value, f"{place}.{number}".lstrip("."))
