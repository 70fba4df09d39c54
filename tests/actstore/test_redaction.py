"""What counts as a secret, and what is left of a text without."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.errors import ActstoreError
from actstore.redaction import HIDDEN, address_holds_secrets, keep_secret, secrets_among, without_secrets

MARKER = "swordfish-4711"

ADDRESSES = [
    f"s3://me:{MARKER}@bucket/store",
    f"s3://{MARKER}@bucket",
    f"http://{MARKER}@host/p.fasta",
    f"HTTP://{MARKER}@HOST/p.fasta",
    f"s3://AKIA:a/b+{MARKER}@bucket/store",
    f"https://me:two words {MARKER}@host/p.fasta",
    f"https://me:?#{MARKER}@host/p.fasta",
    f"https://1234:{MARKER}@host:443/p.fasta",
    f"https:/{MARKER}@host/p.fasta",
    f"https:{MARKER}@host/p.fasta",
    f"https:\\\\{MARKER}@host\\p.fasta",
    f"//{MARKER}@host/p.fasta",
    f"me:{MARKER}@host:/p.fasta",
    f"sftp://{MARKER}@host/store",
    f"https://{MARKER}%40host/p.fasta",
    f"abfs://{MARKER}@host/store",
    f"abfs://me:{MARKER}@account.dfs.core.windows.net/store",
    f"simplecache::https://{MARKER}@host/proteins.fasta",
    f"filecache::s3://a/b::https://me:{MARKER}@host/proteins.fasta",
    f"https://host/proteins.fasta#access_token={MARKER}",
    f"https://host/proteins.fasta;jsessionid={MARKER}",
    f"https://host/proteins.fasta?url=https%3A%2F%2Fhost%3Fsig%3D{MARKER}",
    f"https://host/proteins.fasta?url=https%3A%2F%2F{MARKER}%40host",
    *(
        f"https://host/proteins.fasta?v=1&{name}={MARKER}&w=2"
        for name in (
            "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "X-Goog-Signature", "sig", "token", "pwd",
            "key", "AWSAccessKeyId", "apiKey", "api_key", "password", "pass", "secret", "access_token",
            "X%2DAmz%2DSignature", "%73ig", "auth", "client_secret", "sas", "jwt",
        )
    ),
]  # fmt: skip

PLAIN = [
    "",
    "store",
    "/scratch/a:b@c/store",
    "s3://bucket/store/with@sign",
    "https://host/proteins.fasta?download=1",
    "https://rest.uniprot.org/uniprotkb/stream?query=keyword:KW-0002&format=fasta&size=500",
    "hf://datasets/owner/name@main/proteins.fasta",
    "abfs://container@account.dfs.core.windows.net/store",
    "tcp://127.0.0.1:8786",
    "http://[::1]:9000/bucket",
    "data/split_key=3/part.parquet",
    "store.tokens_per_batch=8192",
    "--storage-option takes KEY=VALUE",
    "tcp://10.0.0.1:8786: no scheduler answers, ask root@host",
    "s3://bucket: object sites/a@b is missing",
    "facebook/esm2_t6_8M_UR50D",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("message", ["{}", "error: {}: cannot be read", "source='{}'", '{{"uri": "{}"}}', "see ({})."])
def test_a_secret_of_an_address_is_not_shown(address: str, message: str) -> None:
    assert address_holds_secrets(address)
    shown = without_secrets(message.format(address))
    assert MARKER not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text
    assert not address_holds_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{{'key': 'name', 'secret': '{MARKER}', 'anon': False}}",
        f"unexpected extra argument (secret={MARKER})",
        f'[s3]\npassword = "{MARKER}"',
        f"Authorization: Bearer {MARKER}",
        f"{{'Authorization': 'Basic {MARKER}'}}",
        f"export AWS_SECRET_ACCESS_KEY={MARKER}",
        f"client_kwargs={{'aws_session_token': '{MARKER}'}}",
    ],
)
def test_a_secret_with_a_name_is_not_shown(text: str) -> None:
    assert MARKER not in without_secrets(text)


def test_secrets_are_found_in_options_and_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "in-the-environment")
    monkeypatch.setenv("HF_TOKEN", "hugging-face")
    monkeypatch.setenv("PWD", "/a/folder")
    options = {
        "key": "name-of-key",
        "secret": MARKER,
        "endpoint_url": "http://localhost",
        "anon": "not-a-boolean",
        "requester_pays": "true",
        "client_kwargs": {"aws_session_token": "inside-of-options", "region_name": "somewhere"},
        "token": "short",
        "block_size": "1048576000",
    }
    assert set(secrets_among(options)) == {"name-of-key", MARKER, "inside-of-options", "not-a-boolean"}
    assert without_secrets("hugging-face and in-the-environment in /a/folder") == f"{HIDDEN} and {HIDDEN} in /a/folder"


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    secrets = secrets_among({"secret": "abcdefgh", "token": "abcdefgh-and-more"})
    assert without_secrets("abcdefgh-and-more, then abcdefgh.", secrets) == f"{HIDDEN}, then {HIDDEN}."


def test_storage_options_are_hidden_in_every_message_from_then_on() -> None:
    keep_secret({"colour": "Zaunkönig/4711"})
    for spelling in ("Zaunkönig/4711", "Zaunk%C3%B6nig%2F4711"):
        assert str(ActstoreError(f"the server says {spelling}")) == f"the server says {HIDDEN}"


def test_an_error_never_holds_a_secret() -> None:
    error = ActstoreError(f"http://{MARKER}@host", 3)
    error.add_note(f"tried http://{MARKER}@host")
    assert error.args == (f"http://{HIDDEN}@host", 3)
    assert MARKER not in f"{error} {error!r} {error.__notes__}"


@given(st.text(alphabet=st.sampled_from("ab:/@?=&'\"(){},; key.%#-1\n"), max_size=60))
def test_to_hide_twice_changes_nothing(text: str) -> None:
    once = without_secrets(text)
    assert without_secrets(once) == once


SECRETS = st.text(alphabet="abcXYZ019-_.~+!*", min_size=12, max_size=40)


@given(SECRETS, st.sampled_from(["http", "https", "s3", "gs", "ftp", "tls"]), st.sampled_from(["", "me:", ":", "%41:"]))
def test_no_user_name_or_password_is_shown(secret: str, scheme: str, user: str) -> None:
    assert secret not in without_secrets(f"{scheme}://{user}{secret}@host/path: refused")


@pytest.mark.parametrize(
    "unit", ["a", "a=", "://", "://a:b", 'a="', "?a=", "a.b", "x:y", "%40", "key='", "@", "//", "a:b@"]
)
def test_text_of_a_stranger_costs_no_more_than_it_should(unit: str) -> None:
    began_s = time.process_time()
    without_secrets(unit * (20_000 // len(unit)))
    assert time.process_time() - began_s < 5


def test_nothing_but_the_secret_is_lost() -> None:
    text = "s3://me:hush@bucket/a?x=1&sig=2#top: denied (403); try 'aws configure'"
    assert without_secrets(text) == re.sub("me:hush|2(?=#)", HIDDEN, text)
