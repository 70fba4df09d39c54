"""Storage options of a user, as fsspec gets them."""

import pytest

from actstore.contracts.storage_options import fsspec_options
from actstore.errors import UsageError


def test_other_storage_gets_what_the_user_gave_but_for_our_own() -> None:
    given = {"attempts": 3, "token": "x", "read_timeout": "5"}
    assert fsspec_options("gs://bucket/store", given) == {"token": "x", "read_timeout": "5"}
    assert fsspec_options("/scratch/store", None) == {}


def test_text_will_do_for_numbers_and_booleans_of_s3() -> None:
    given = {"anon": "True", "use_ssl": "false", "connect_timeout": "2", "read_timeout": "7.5", "key": "true"}
    options = fsspec_options("s3://bucket/store", {**given, "max_pool_connections": "64", "attempts": "2"})
    config = options.pop("config_kwargs")
    assert options == {"anon": True, "use_ssl": False, "key": "true"}
    assert (config["connect_timeout"], config["read_timeout"], config["max_pool_connections"]) == (2.0, 7.5, 64)


def test_there_are_timeouts_unless_the_user_says_otherwise() -> None:
    config = fsspec_options("s3://bucket/store", {"config_kwargs": {"read_timeout": 300}})["config_kwargs"]
    assert config["read_timeout"] == 300
    assert 0 < config["connect_timeout"] <= 10


def test_the_same_options_give_the_same_file_system() -> None:
    """Stores that are opened with the same options share their connections."""
    assert fsspec_options("s3://bucket/store", {"key": "a"}) == fsspec_options("s3://bucket/store", {"key": "a"})


@pytest.mark.parametrize("given", [{"anon": "maybe"}, {"read_timeout": "soon"}, {"max_pool_connections": ""}])
def test_other_text_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"storage option {next(iter(given))} = "):
        fsspec_options("s3://bucket/store", given)


def test_an_endpoint_with_credentials_is_refused_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"http://\(hidden\)@host"):
        fsspec_options("s3://bucket/store", {"endpoint_url": "http://me:hush@host"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hush@host")
    with pytest.raises(UsageError, match=r"http://\(hidden\)@host"):
        fsspec_options("s3://bucket/store", {})
    assert fsspec_options("gs://bucket/store", {}) == {}
