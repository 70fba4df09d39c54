"""What counts as a credential, and what is left of a text without."""

import pytest

from actstore.access.credentials import refuse_credentials, secrets_among, without_secrets
from actstore.errors import UsageError

MARKER = "swordfish-4711"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://me:{MARKER}@bucket/store",
        f"https://me:{MARKER}@host/proteins.fasta",
        f"https://host/proteins.fasta?X-Amz-Signature={MARKER}",
        f"https://host/proteins.fasta?v=1&sig={MARKER}",
        f"https://host/proteins.fasta?access_token={MARKER}&v=1",
        f"simplecache::https://me:{MARKER}@host/proteins.fasta",
    ],
)
def test_a_url_with_credentials_is_refused_without_showing_them(url: str) -> None:
    with pytest.raises(UsageError, match="would end up in manifests and messages") as caught:
        refuse_credentials(url)
    assert MARKER not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/scratch/a:b@c/store",
        "store",
        "s3://bucket/store/with@sign",
        "sftp://me@host/store",
        "https://host/proteins.fasta?download=1",
        "hf://datasets/owner/name@main/proteins.fasta",
    ],
)
def test_other_places_are_not_refused(url: str) -> None:
    refuse_credentials(url)


def test_secrets_are_found_in_options_and_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "in-the-environment")
    monkeypatch.setenv("HF_TOKEN", "hugging-face")
    options = {
        "key": "name-of-key",
        "secret": MARKER,
        "endpoint_url": "http://localhost",
        "anon": False,
        "client_kwargs": {"aws_session_token": "inside-of-options", "region_name": "somewhere"},
        "token": "short",
    }
    found = secrets_among(options)
    assert {"in-the-environment", "hugging-face", MARKER, "inside-of-options", "name-of-key"} <= set(found)
    assert not {"http://localhost", "somewhere", "short"} & set(found)


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    secrets = secrets_among({"secret": "abcdefgh", "token": "abcdefgh-and-more"})
    assert without_secrets("token abcdefgh-and-more, secret abcdefgh.", secrets) == "token (hidden), secret (hidden)."
