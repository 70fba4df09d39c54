import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.corpus.spool import FlatTexts
from actstore.errors import CorpusError


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=5)))
def test_texts_come_back_by_index(batches: list[list[str]]) -> None:
    with FlatTexts(None) as texts:
        for batch in batches:
            texts.extend(batch)
        expected = [text for batch in batches for text in batch]
        assert [texts[index] for index in range(len(texts))] == expected


def test_texts_are_readable_between_appends(tmp_path: Path) -> None:
    with FlatTexts(tmp_path) as texts:
        texts.extend(["MKV", "A"])
        assert texts[1] == "A"
        texts.extend(["ACD"])
        assert [texts[0], texts[2]] == ["MKV", "ACD"]


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_nothing_beyond_the_ends(tmp_path: Path, index: int) -> None:
    with FlatTexts(tmp_path) as texts:
        texts.extend(["MKV", "A"])
        with pytest.raises(IndexError, match=f"sequence {index} of a corpus of 2"):
            texts[index]


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    with FlatTexts(folder) as texts:
        texts.extend(["MKV"])
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(CorpusError, match=r"file: cannot hold the sequences .* choose a local directory"):
        FlatTexts(blocked)


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with FlatTexts(tmp_path) as texts, pytest.raises(CorpusError, match=f"{tmp_path.name}: cannot hold the seq"):
            texts.extend(["A" * (1 << 20)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
