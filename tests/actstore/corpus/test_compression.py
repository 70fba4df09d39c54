import bz2
import gzip
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from actstore.corpus.compression import decompressed
from actstore.errors import CorpusFormatError

ODD = Path(__file__).parents[2] / "data" / "odd"
BLOCK_BYTES = 1 << 16
LETTERS = "".join(random.Random(0).choices("ACDEFGHIKLMNPQRSTVWY", k=300_000))
CONTENT = f">P1\n{LETTERS}\n".encode()


def zstd(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(content)
    return bytes(buffer.getvalue())


PACKERS = pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstd], ids=lambda one: one.__name__
)


def unpack(content: bytes, *, pieces: int = 1 << 20) -> bytes:
    blocks = (content[at : at + pieces] for at in range(0, len(content), pieces))
    return b"".join(decompressed(blocks, "some.fasta", block_bytes=BLOCK_BYTES))


def test_a_file_of_xz_is_read() -> None:
    assert unpack((ODD / "n5.fasta.xz").read_bytes()) == (ODD / "n5.fasta").read_bytes()


@PACKERS
@pytest.mark.parametrize("pieces", [1, 7, 1 << 20])
def test_all_streams_of_a_file_are_read_wherever_blocks_end(pack: Callable[[bytes], bytes], pieces: int) -> None:
    content = CONTENT[:5000]
    assert unpack(pack(content) + pack(content[:70]) + pack(b""), pieces=pieces) == content + content[:70]


@PACKERS
def test_blocks_are_bounded_however_well_the_file_is_compressed(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"A" * (20 * BLOCK_BYTES + 1))
    sizes = [len(block) for block in decompressed(iter([packed]), "dense", block_bytes=BLOCK_BYTES)]
    assert max(sizes) <= BLOCK_BYTES
    assert sum(sizes) == 20 * BLOCK_BYTES + 1


@PACKERS
@pytest.mark.parametrize("lost", [1, 9, 100_000])
def test_a_truncated_stream_is_an_error_that_names_the_compression(pack: Callable[[bytes], bytes], lost: int) -> None:
    with pytest.raises(
        CorpusFormatError, match=r"^some\.fasta: the (gzip|bzip2|xz|zstd) stream is truncated .* fetch the file again$"
    ):
        unpack(pack(CONTENT)[:-lost])


@PACKERS
def test_what_follows_the_last_stream_is_not_left_out_silently(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CorpusFormatError, match="stream is corrupt"):
        unpack(pack(CONTENT) + b">P2\nMKVLAAGIVG\n")


def test_an_error_of_the_storage_stays_that_error() -> None:
    def failing() -> Iterator[bytes]:
        yield zstd(CONTENT)[:1000]
        raise CorpusFormatError("some.fasta: reading failed: connection reset")

    with pytest.raises(CorpusFormatError, match="reading failed: connection reset"):
        list(decompressed(failing(), "some.fasta", block_bytes=BLOCK_BYTES))


@pytest.mark.parametrize("content", [b"", b">", b">P1\nMKV\n"])
def test_plain_content_is_yielded_as_it_is(content: bytes) -> None:
    assert unpack(content) == content
    assert unpack(content, pieces=1) == content
