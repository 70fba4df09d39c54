import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.corpus.line_ends import with_newlines


def converted(content: bytes, *, pieces: int) -> bytes:
    return b"".join(with_newlines(content[at : at + pieces] for at in range(0, len(content), pieces)))


@given(lines=st.lists(st.text("MKV>", max_size=4), min_size=1, max_size=6), pieces=st.integers(1, 30))
def test_old_line_ends_become_newlines_wherever_blocks_end(lines: list[str], pieces: int) -> None:
    assert converted("\r".join(lines).encode(), pieces=pieces) == "\n".join(lines).encode()


@pytest.mark.parametrize("pieces", [1, 3, 100])
@pytest.mark.parametrize("content", [b">P1\r\nMK\r\nV\r\n", b">P1\nMKV\n", b">P1 a\rb\nMKV\n", b">P1", b""])
def test_files_with_newlines_are_not_changed(content: bytes, pieces: int) -> None:
    assert converted(content, pieces=pieces) == content


def test_windows_line_ends_far_into_an_old_file_are_one_line_end() -> None:
    old = b">P1\r" + b"MKV\r" * 500_000
    assert converted(old + b"\r\nMKV\r\n", pieces=1 << 16).endswith(b"MKV\n\nMKV\n")
