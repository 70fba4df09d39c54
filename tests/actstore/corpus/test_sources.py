import gzip
from pathlib import Path

import fsspec
import pytest

from actstore.corpus.sources import BLOCK_BYTES, expand_sources, read_blocks
from actstore.errors import CorpusError, CorpusFormatError


def content_of(url: str | Path) -> bytes:
    (source,) = expand_sources([str(url)])
    return b"".join(read_blocks(source))


def test_files_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    urls = [str(tmp_path / name) for name in ("b.fasta", "a.fasta")]
    assert [source.name for source in expand_sources(urls)] == urls


def test_matches_of_a_glob_are_sorted_and_stay_in_place(tmp_path: Path) -> None:
    for name in ("part-2.fasta", "part-1.fasta", "z.fasta"):
        (tmp_path / name).touch()
    sources = expand_sources([str(tmp_path / "z.fasta"), str(tmp_path / "part-*.fasta")])
    assert [Path(source.name).name for source in sources] == ["z.fasta", "part-1.fasta", "part-2.fasta"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "set[1].fasta"
    path.write_bytes(b">P1\n")
    assert content_of(path) == b">P1\n"


def test_a_path_may_hold_what_chains_urls(tmp_path: Path) -> None:
    """fsspec takes `zip::http://...` apart at the colons; a path has none to be taken apart."""
    path = tmp_path / "run::2" / "s3::a.fasta"
    path.parent.mkdir()
    path.write_bytes(b">P1\n")
    assert content_of(path) == b">P1\n"
    assert content_of(path.parent / "*.fasta") == b">P1\n"
    with pytest.raises(CorpusError, match=r"run::2/absent\.fasta: there is no such file"):
        content_of(path.parent / "absent.fasta")


def test_a_glob_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"missing-\*\.fasta: no file matches"):
        expand_sources([str(tmp_path / "missing-*.fasta")])


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"absent\.fasta: there is no such file"):
        content_of(tmp_path / "absent.fasta")


def test_a_folder_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=f"{tmp_path.name}: cannot be opened"):
        content_of(tmp_path)


def test_an_unknown_protocol_is_an_error_with_the_url() -> None:
    with pytest.raises(CorpusError, match=r"nowhere://a\.fasta: Protocol not known"):
        expand_sources(["nowhere://a.fasta"])


def test_urls_and_globs_on_other_file_systems() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/sources-test/a.fasta": b">P1\n", "/sources-test/b.fasta": b">P2\n"})
    try:
        assert content_of("memory://sources-test/a.fasta") == b">P1\n"
        sources = expand_sources(["memory://sources-test/*.fasta"])
        assert [source.name for source in sources] == [
            "memory:///sources-test/a.fasta",
            "memory:///sources-test/b.fasta",
        ]
    finally:
        memory.rm("/sources-test", recursive=True)


def test_storage_options_reach_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_bytes(b">P1\n")
    options = {"path": str(tmp_path), "target_protocol": "file"}
    (source,) = expand_sources(["dir://a.fasta"], storage_options=options)
    assert b"".join(read_blocks(source)) == b">P1\n"


def test_gzip_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "really-gzip.fasta").write_bytes(gzip.compress(b">P1\nMK\n"))
    (tmp_path / "really-plain.gz").write_bytes(b">P1\nMK\n")
    assert content_of(tmp_path / "really-gzip.fasta") == b">P1\nMK\n"
    assert content_of(tmp_path / "really-plain.gz") == b">P1\nMK\n"


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "members.gz"
    path.write_bytes(gzip.compress(b">P1\n") + b"\0" * 7 + gzip.compress(b"MK\n") + b"\0" * 512)
    assert content_of(path) == b">P1\nMK\n"


def test_blocks_are_bounded_however_well_the_file_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "dense.gz"
    path.write_bytes(gzip.compress(b"A" * (5 * BLOCK_BYTES)))
    (source,) = expand_sources([str(path)])
    sizes = [len(block) for block in read_blocks(source)]
    assert max(sizes) <= BLOCK_BYTES
    assert sum(sizes) == 5 * BLOCK_BYTES


@pytest.mark.parametrize("kept_bytes", [3, 12, 25, -8, -1])
def test_truncated_gzip_is_an_error_wherever_it_is_cut(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b">P1\nMKVLAAGIVGLCAKWYRE\n")[:kept_bytes])
    with pytest.raises(CorpusFormatError, match=r"cut\.gz: the gzip stream is truncated .* fetch the file again"):
        content_of(path)


def test_corrupt_gzip_is_an_error(tmp_path: Path) -> None:
    damaged = bytearray(gzip.compress(b">P1\nMKVLAAGIVGLCAKWYRE\n"))
    damaged[-6] ^= 0xFF  # a byte of the checksum
    path = tmp_path / "corrupt.gz"
    path.write_bytes(damaged)
    with pytest.raises(CorpusFormatError, match=r"corrupt\.gz: the gzip stream is corrupt"):
        content_of(path)
