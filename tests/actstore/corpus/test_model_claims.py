"""Model folders whose files claim more than a model can be; whole commands on them are in `tests/hostile`."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from actstore.corpus.model_claims import check_model_files, check_model_folder
from actstore.errors import ModelError


@pytest.fixture
def folder(esm2_tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(esm2_tiny, tmp_path / "model")


def change(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def test_the_files_of_a_model_are_accepted(folder: Path) -> None:
    check_model_files(folder, name="model")
    change(folder, n_inner=None, num_labels=0, head_dim=32, some_rates=[0.5, 1e-12])
    check_model_files(folder, name="model")


def test_what_is_no_local_folder_is_not_looked_at(tmp_path: Path) -> None:
    check_model_folder("facebook/esm2_t6_8M_UR50D")
    check_model_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_size", 100_000, "hidden_size = 100,000 need more than 10,000,000,000 weights, and its files have"),
        ("vocab_size", 1_000_000, "hidden_size = 128 and vocab_size = 1,000,000 need more than 128,000,000 weights"),
        ("intermediate_size", 100_000, "intermediate_size = 100,000 need more than"),
        ("num_hidden_layers", 10**9, "num_hidden_layers is 1,000,000,000; 1 to 4,096 can be used"),
        ("num_hidden_layers", -5, "num_hidden_layers is -5; 1 to"),
        ("num_hidden_layers", 0, "num_hidden_layers is 0; 1 to"),
        ("num_hidden_layers", 2.5, "num_hidden_layers is 2.5, and a whole number was expected"),
        ("num_hidden_layers", True, "num_hidden_layers is True, and a whole number was expected"),
        ("num_hidden_layers", {"a": 1}, "and a whole number was expected"),
        ("hidden_size", "128", "hidden_size is '128', and a whole number was expected"),
        ("hidden_size", 10**400, "hidden_size is beyond"),
        ("num_attention_heads", 0, "num_attention_heads is 0; 1 to"),
        ("max_position_embeddings", 10**11, "max_position_embeddings is 100,000,000,000; 1 to"),
        ("layer_norm_eps", float("nan"), "layer_norm_eps is nan, no finite number"),
        ("rope_theta", float("inf"), "rope_theta is inf, no finite number"),
        ("initializer_range", 1e308, "initializer_range is 1e+308, no finite number"),
        ("text_config", {"num_hidden_layers": 10**6}, "text_config.num_hidden_layers is 1,000,000; 1 to 4,096"),
    ],
)
def test_a_claim_that_no_model_fulfils_is_refused_by_its_field(
    folder: Path, field: str, value: object, said: str
) -> None:
    change(folder, **{field: value})
    with pytest.raises(ModelError, match=r"^model: config\.json: .*" + re.escape(said)):
        check_model_files(folder, name="model")


def test_claims_of_a_cache_that_is_not_complete_are_compared_with_limits_alone(folder: Path) -> None:
    change(folder, vocab_size=1_000_000)
    check_model_files(folder, name="model", is_complete=False)
    change(folder, vocab_size=10**10)
    with pytest.raises(ModelError, match="vocab_size is 10,000,000,000"):
        check_model_files(folder, name="model", is_complete=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "is not JSON: nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "is nested more than 32 levels deep"),
        (b"[]", "is not a JSON object"),
        (b"\xff", "is not JSON"),
        (b"", "is not JSON"),
    ],
)
def test_a_configuration_that_is_none_is_refused(folder: Path, content: bytes, said: str) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        check_model_files(folder, name="model")


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "added_tokens.json", "spiece.model"]
)
def test_a_file_of_a_hundred_megabytes_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.truncate(100_000_000)
    with pytest.raises(ModelError, match=rf"^model: {re.escape(name)} has 100,000,000 bytes, more than the"):
        check_model_files(folder, name="model")
