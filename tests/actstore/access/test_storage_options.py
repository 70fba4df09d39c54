"""Storage options of a user, as fsspec gets them."""

import socket

import pytest

from actstore.access.storage_options import address_problem, fsspec_options
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


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "-1", "0", "1e999", "9" * 400, float("nan"), -3, 0, True, None]
)
@pytest.mark.parametrize(
    "name", ["connect_timeout", "read_timeout", "max_pool_connections", "max_concurrency", "default_block_size"]
)
def test_numbers_that_nothing_can_be_done_with_are_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"storage option {name} = .*: not a (finite|whole) number") as caught:
        fsspec_options("s3://bucket/store", {name: value})
    assert repr(value) in str(caught.value)


def test_counts_are_whole() -> None:
    with pytest.raises(UsageError, match=r"storage option max_pool_connections = '1\.5': not a whole number"):
        fsspec_options("s3://bucket/store", {"max_pool_connections": "1.5"})
    options = fsspec_options("s3://bucket/store", {"max_concurrency": "4", "default_block_size": 1 << 20})
    assert (options["max_concurrency"], options["default_block_size"]) == (4, 1 << 20)


@pytest.mark.parametrize("seconds", ["1e-9", "1e9", "1e308"])
def test_any_patience_will_do_for_a_socket(seconds: str) -> None:
    config = fsspec_options("s3://bucket/store", {"read_timeout": seconds})["config_kwargs"]
    make = config["connector_args"]["socket_factory"]
    with make((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 0))) as made:
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) >= 1


def test_a_document_may_name_a_web_server_whose_bytes_arrive_unchanged() -> None:
    assert address_problem("HTTPS://host/store") is None
    assert "no store is shared by http" in (address_problem("http://host/store") or "")


@pytest.mark.parametrize("uri", ["https://host/do?what=", "https://host/#", "https://host/../secret"])
def test_a_document_names_only_a_folder_of_a_web_server(uri: str) -> None:
    assert "uri: a place" in (address_problem(uri) or "")


def test_an_endpoint_with_credentials_is_refused_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"http://\(hidden\)@host"):
        fsspec_options("s3://bucket/store", {"endpoint_url": "http://me:hush@host"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:hush@host")
    with pytest.raises(UsageError, match=r"http://\(hidden\)@host"):
        fsspec_options("s3://bucket/store", {})
    assert fsspec_options("gs://bucket/store", {}) == {}
