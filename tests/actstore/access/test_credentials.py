"""Addresses that must not be kept."""

import pytest

from actstore.access.credentials import fields_with_credentials, refuse_credentials
from actstore.errors import UsageError
from tests.actstore.test_redaction import ADDRESSES, MARKER, PLAIN


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_with_credentials_is_refused_without_showing_them(address: str) -> None:
    with pytest.raises(UsageError, match="would end up in manifests and messages") as caught:
        refuse_credentials(address)
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize("address", PLAIN)
def test_other_places_are_not_refused(address: str) -> None:
    refuse_credentials(address)


def test_the_message_names_the_option() -> None:
    with pytest.raises(UsageError, match=r"^--html = https://\(hidden\)@host: "):
        refuse_credentials(f"https://{MARKER}@host", name="--html")


def test_fields_of_a_document_are_named() -> None:
    document = {"model": {"name": "esm", "revision": f"https://{MARKER}@host"}, "sites": ["a", f"s3://{MARKER}@b"]}
    assert list(fields_with_credentials(document)) == ["model.revision", "sites.1"]
