"""Sequences that can be read only once."""

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from actstore.contracts.recipe import CorpusRecipe
from actstore.corpus.scan import scan
from actstore.corpus.sources import expand_sources, read_blocks
from actstore.errors import CorpusError, UsageError

ODD = Path(__file__).parents[2] / "data" / "odd"
AMINO_ACIDS = frozenset("ACDEFGHIKLMNPQRSTVWYX")
SCAN = """
import sys
from actstore.contracts.recipe import CorpusRecipe
from actstore.corpus.scan import scan
with scan(CorpusRecipe(sequences=sys.argv[1:]), alphabet=frozenset("ACDEFGHIKLMNPQRSTVWYX"), spool=None) as corpus:
    print(len(corpus), corpus.total_residues, *corpus.recorded_sequences)
"""


@contextmanager
def named_pipe(path: Path, content: bytes) -> Iterator[Path]:
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError):  # the reader may leave early
            path.write_bytes(content)

    writer = threading.Thread(target=write)
    writer.start()
    yield path
    writer.join()


def recorded(content: bytes) -> str:
    return f"pipe:sha256={hashlib.sha256(content).hexdigest()}"


def scanned(*sequences: str, content: bytes) -> str:
    command = [sys.executable, "-c", SCAN, *sequences]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode().strip()


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
@pytest.mark.parametrize("file", ["n5.fasta", "n5.fasta.xz", "view.parquet"])
def test_standard_input_is_read_in_any_format_and_recorded_by_digest(name: str, file: str) -> None:
    content = (ODD / file).read_bytes()
    size = "20 1000" if file == "view.parquet" else "5 219"
    assert scanned(name, content=content) == f"{size} {recorded(content)}"


def test_a_file_as_standard_input_is_recorded_by_digest_too() -> None:
    with (ODD / "n5.fasta").open("rb") as file:
        done = subprocess.run([sys.executable, "-c", SCAN, "-"], stdin=file, capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"5 219 {recorded((ODD / 'n5.fasta').read_bytes())}"


def test_the_output_of_a_command_is_read_beside_files(tmp_path: Path) -> None:
    content, file = gzip.compress(b">P1\nMKV\n"), str(ODD / "n5.fasta")
    with named_pipe(tmp_path / "pipe", content) as pipe:
        recipe = CorpusRecipe(sequences=(str(pipe), file))
        with scan(recipe, alphabet=AMINO_ACIDS, spool=tmp_path) as corpus:
            assert (len(corpus), corpus.sequence_id(0), corpus.residues(0)) == (6, "P1", "MKV")
            assert corpus.recorded_sequences == (recorded(content), file)


def test_a_pipe_can_be_read_any_number_of_times(tmp_path: Path) -> None:
    with named_pipe(tmp_path / "pipe", b">P1\nMKV\n") as pipe:
        (source,) = expand_sources([str(pipe)])
    assert [b"".join(read_blocks(source)) for _ in range(2)] == [b">P1\nMKV\n"] * 2
    assert source.first_bytes(3) == b">P1"


def test_a_repeated_id_is_found_in_what_came_through_a_pipe(tmp_path: Path) -> None:
    with (
        named_pipe(tmp_path / "pipe", b">P1\nMKV\n>P1\nACD\n") as pipe,
        pytest.raises(CorpusError, match=r"record 2 .*'P1' is a duplicate: it was used before, by .*record 1"),
    ):
        scan(CorpusRecipe(sequences=(str(pipe),)), alphabet=AMINO_ACIDS, spool=None)


def test_the_recorded_name_of_a_pipe_says_that_its_bytes_are_gone() -> None:
    name = recorded(b">P1\nMKV\n")
    with pytest.raises(UsageError, match=r"came through a pipe and are no file.*Give them again with --sequences"):
        expand_sources([name])


def test_a_terminal_is_refused(tmp_path: Path) -> None:
    _, terminal = os.openpty()
    with pytest.raises(UsageError, match="that is a terminal; pipe the sequences in"):
        expand_sources([os.ttyname(terminal)])


def test_a_pipe_that_does_not_fit_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with (
        named_pipe(tmp_path / "pipe", b">P1\nMKV\n") as pipe,
        pytest.raises(CorpusError, match=r"gone: cannot hold the sequences from the pipe: .*set TMPDIR"),
    ):
        expand_sources([str(pipe)])
