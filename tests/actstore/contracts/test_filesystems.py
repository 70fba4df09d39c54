from __future__ import annotations

import subprocess
import sys

import pytest
from botocore.exceptions import NoCredentialsError

from actstore.contracts.filesystems import backend_errors, describe_error


def test_failures_of_a_loaded_back_end_are_among_them() -> None:
    with pytest.raises(backend_errors()):
        raise NoCredentialsError


def test_a_defect_is_not_among_them() -> None:
    assert not issubclass(KeyError, backend_errors())


def test_no_back_end_is_imported_to_know_its_failures() -> None:
    code = (
        "import sys; from actstore.contracts.filesystems import backend_errors; backend_errors(); "
        "assert not {'botocore', 'aiohttp'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_message_is_one_line() -> None:
    assert describe_error(OSError("one\n two")) == "one two"
    assert describe_error(OSError()) == "OSError"


def test_missing_credentials_come_with_the_way_out() -> None:
    assert "--storage-option anon=true" in describe_error(NoCredentialsError())
