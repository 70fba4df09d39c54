"""Checkpoints of strangers: sizes that nothing bears out, headers that lie, numbers that are none."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actstore import Cursor
from actstore.errors import ActstoreError, CheckpointError
from tests.hostile.bounded import run_bounded
from tests.hostile.mutations import MORE, damaged_bytes, mutated
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.initialise import build_optimizer
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.save.checkpoint import load_dictionary, read_checkpoint, write_checkpoint
from trainers.save.record import Origin, SiteRecord

LOAD = "from trainers.save.checkpoint import load_dictionary"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = TrainPlan(
        dictionary="topk-sae", sites=("embed",), width=4, latents=8, kept=2, sparsity=None, lr=0.1, steps=3,
        batch_rows=2, rows=6, seed=0, order="windows", split="train", normalisation="unit", warmup_rows=0,
        decay_rows=0, sparsity_warmup_rows=0, gradient_clip=1.0, auxk_weight=0.0, auxk_latents=1, dead_after_rows=1,
    )  # fmt: skip
    origin = Origin(
        manifest_sha256="0" * 64,
        encoding="int8",
        model="m",
        model_revision=None,
        model_dtype="float32",
        weights_sha256="0" * 64,
        sites=(SiteRecord(name="embed", module="e", width=4),),
    )
    dictionary = DICTIONARIES["topk-sae"](Shape(1, 4, 8, 2))
    state = TrainState(
        dictionary=dictionary,
        optimizer=build_optimizer(dictionary, plan, variance=1.0),
        scale_S=torch.ones(1),
        variance=1.0,
        idle_rows_F=torch.zeros(8, dtype=torch.int64),
        step=0,
        rows=0,
    )
    root = tmp_path_factory.mktemp("sound")
    return write_checkpoint(root, state, plan=plan, origin=origin, cursor=Cursor(0, 0, 0, 1, "s"))


def copy_of(sound: Path, folder: Path, *, record: bytes | None = None, weights: bytes | None = None) -> Path:
    """A checkpoint whose maker has seen to it that the digests are right."""
    folder.mkdir(exist_ok=True)
    for file in sound.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    if weights is not None:
        (folder / "dictionary.safetensors").write_bytes(weights)
        document = json.loads((folder / "checkpoint.json").read_bytes())
        document["files"]["dictionary.safetensors"] = hashlib.sha256(weights).hexdigest()
        record = json.dumps(document).encode()
    if record is not None:
        (folder / "checkpoint.json").write_bytes(record)
    return folder


def refused_or_loaded(folder: Path) -> str:
    try:
        load_dictionary(folder)
    except ActstoreError as error:
        message = str(error)
    else:
        message = ""
    assert message.isprintable()
    assert len(message) < 2_000
    return message


def header_of(document: Any, body: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_what_we_write_is_read(sound: Path, tmp_path: Path) -> None:
    assert refused_or_loaded(copy_of(sound, tmp_path / "c")) == ""


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"\x00" * 8,
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", (1 << 64) - 1) + b"{}",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        header_of([]),
        header_of({"W_enc": 1}),
        header_of({"W_enc": tensor("F32", [4, 8], 0, 128)}),
        header_of({"W_enc": tensor("F32", [1 << 62, 1 << 62], 0, 128)}, bytes(128)),
        header_of({"W_enc": tensor("F32", [-1], 0, 4)}, bytes(4)),
        header_of({"W_enc": tensor("F32", [4], 1 << 60, (1 << 60) + 16)}, bytes(16)),
        header_of({"W_enc": tensor("F32", [4], 16, 0)}, bytes(16)),
        header_of({"W_enc": tensor("OBJECT", [4], 0, 16)}, bytes(16)),
        header_of({"W_enc": tensor("C64", [2], 0, 16)}, bytes(16)),
        header_of({"W_enc": tensor("F8_E8M0", [16], 0, 16)}, bytes(16)),
        header_of({"W_enc": tensor("F4", [32], 0, 16)}, bytes(16)),
        header_of({"W_enc": tensor("F6_E2M3", [16], 0, 12)}, bytes(12)),
        header_of({"a": tensor("F32", [4], 0, 16), "b": tensor("F32", [4], 0, 16)}, bytes(16)),
        header_of({"\u001b[2J" * 1000: tensor("F32", [4], 0, 16)}, bytes(16)),
        header_of({"__metadata__": {"a": 1}}),
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01.",
    ],
    ids=range(21),
)
def test_a_file_of_weights_that_lies_is_refused(sound: Path, weights: bytes, tmp_path: Path) -> None:
    assert "dictionary.safetensors" in refused_or_loaded(copy_of(sound, tmp_path / "c", weights=weights))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latents": 10**12}, "less than or equal to 268435456"),
        ({"latents": 1 << 28, "width": 1 << 20}, "W_dec is torch.float32"),
        ({"latents": -8}, "greater than or equal to 1"),
        ({"latents": True}, "valid integer"),
        ({"kept": 100}, "100 of 8 latents cannot be kept"),
        ({"lr": float("nan")}, "finite"),
        ({"sites": ["a", "b"]}, "2 sites in the plan, 1 in the origin"),
        ({"dictionary": "os.system"}, "dictionary"),
    ],
    ids=range(8),
)
def test_what_a_record_claims_is_borne_out_before_memory_is_set_aside(
    sound: Path, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    document = json.loads((sound / "checkpoint.json").read_bytes())
    document["plan"] |= changes
    folder = copy_of(sound, tmp_path / "c", record=json.dumps(document).encode())
    assert message in refused_or_loaded(folder).replace("W_enc is", "W_dec is")


def test_a_dictionary_of_petabytes_takes_no_memory(sound: Path, tmp_path: Path) -> None:
    document = json.loads((sound / "checkpoint.json").read_bytes())
    document["plan"] |= {"latents": 1 << 28, "width": 1 << 20}
    folder = copy_of(sound, tmp_path / "c", record=json.dumps(document).encode())
    outcome = run_bounded(LOAD, "load_dictionary(argument)", folder, memory_bytes=8 << 30)
    assert outcome.error == "CheckpointError"
    assert outcome.grown_bytes < 64 << 20


def test_a_record_of_a_terabyte_is_not_read(sound: Path, tmp_path: Path) -> None:
    folder = copy_of(sound, tmp_path / "c")
    with (folder / "checkpoint.json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="more than 16,777,216 bytes"):
        read_checkpoint(folder)


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "x")


@given(data=st.data())
@settings(max_examples=80 * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_in_place_of_any_part_of_a_record(sound: Path, tmp_path: Path, data: st.DataObject) -> None:
    document = json.loads((sound / "checkpoint.json").read_bytes())
    refused_or_loaded(copy_of(sound, tmp_path / "c", record=data.draw(mutated(document))))


@given(data=st.data())
@settings(max_examples=80 * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_weights_or_are_refused(sound: Path, tmp_path: Path, data: st.DataObject) -> None:
    weights = data.draw(damaged_bytes((sound / "dictionary.safetensors").read_bytes()))
    refused_or_loaded(copy_of(sound, tmp_path / "c", weights=weights))


@given(
    document=st.dictionaries(
        st.sampled_from(["epoch", "start", "batch", "world_size", "stream"]),
        st.integers() | st.text() | st.none() | st.booleans(),
    )
)
def test_any_cursor_is_one_or_is_refused(document: dict[str, Any]) -> None:
    try:
        cursor = Cursor.from_json(document)
    except ActstoreError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert cursor.to_json() == document
