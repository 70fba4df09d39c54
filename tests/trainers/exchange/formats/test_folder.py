"""Files of others are read within limits, as data."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from actstore import errors
from trainers.exchange.formats import folder as rooms
from trainers.exchange.formats.folder import ForeignFolder, named


class Harmful:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path("ran"),))


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"W_enc": torch.ones(2), "more": Harmful()}, tmp_path / "ae.pt")
    with pytest.raises(errors.SourceError, match="holds more than tensors and plain values"):
        ForeignFolder(tmp_path).tensors("ae.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(errors.SourceError):
        ForeignFolder(tmp_path).tensors("old.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.ones(2), "no dictionary of tensors"),
        ({"a": torch.ones(1).expand(1 << 40)}, "claims more numbers than there are"),
        ({"a": torch.ones(2, 2).to_sparse()}, "is no plain tensor"),
        ({"a": torch.full((2,), torch.inf)}, "holds NaN or Inf"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "weights are real numbers"),
    ],
)
def test_a_pt_file_holds_numbers_that_are_there(content: object, said: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "ae.pt")
    with pytest.raises((errors.SourceError, errors.CheckpointError)) as caught:
        ForeignFolder(tmp_path).tensors("ae.pt")
    assert said in str(caught.value)


def test_a_transposed_tensor_is_copied(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(6.0).reshape(2, 3).T, 3: torch.ones(1), "epoch": 7}, tmp_path / "ae.pt")
    found = ForeignFolder(tmp_path).tensors("ae.pt")
    assert torch.equal(found["a"], torch.arange(6.0).reshape(2, 3).T)
    assert list(found) == ["a"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": torch.ones(100)}, tmp_path / "a.safetensors")
    monkeypatch.setattr(rooms, "MOST_WEIGHTS_BYTES", 100)
    with pytest.raises(errors.CheckpointError, match="weights have at most 100"):
        ForeignFolder(tmp_path).tensors("a.safetensors")
    (tmp_path / "cfg.json").write_text(" " * (1 << 22) + "{}")
    with pytest.raises(errors.CheckpointError, match="this is no configuration"):
        ForeignFolder(tmp_path).json("cfg.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "no JSON object"),
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_document_that_is_none(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text(text)
    with pytest.raises(errors.CheckpointError) as caught:
        ForeignFolder(tmp_path).json("cfg.json")
    assert said in str(caught.value)


def test_what_json_does_not_know_is_text(tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text('{"a": NaN, "b": "\\ud800", "c": -Infinity}')
    assert ForeignFolder(tmp_path).json("cfg.json") == {"a": "NaN", "b": "?", "c": "-Infinity"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match="no such folder"):
        ForeignFolder(tmp_path / "none")
    with pytest.raises(errors.CheckpointError, match=r"ae\.pt: missing"):
        ForeignFolder(tmp_path).tensors("ae.pt")
    with pytest.raises(errors.CheckpointError, match="cannot be read"):
        ForeignFolder(tmp_path).json("cfg.json")


def test_digests_are_kept_of_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text("{}")
    folder = ForeignFolder(tmp_path / "cfg.json")
    assert (folder.chosen, folder.path) == ("cfg.json", tmp_path)
    folder.json("cfg.json")
    assert folder.digests == {"cfg.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}


@pytest.mark.parametrize("value", ["", 3, None, "a\x1b[0m", "a" * 401, ["a"]])
def test_what_is_no_name(value: object) -> None:
    assert named(value) is None
