from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import pre_tokenizers
from transformers import BertTokenizer, GPT2Tokenizer, T5Tokenizer
from transformers.utils import logging as transformers_logging

ESM2_TINY = Path(__file__).parents[3] / "examples" / "esm2-tiny"
STANDARD = "ACDEFGHIKLMNPQRSTVWY"
BLOCKS = 4

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
CONFIGS: dict[str, Callable[[], Any]] = {
    "esm": lambda: transformers.EsmConfig(
        vocab_size=33,
        **SMALL,
        pad_token_id=1,
        mask_token_id=32,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        max_position_embeddings=1026,
    ),
    "t5": lambda: transformers.T5Config(
        vocab_size=28, d_model=32, d_kv=8, d_ff=48, num_layers=BLOCKS, num_heads=4, feed_forward_proj="relu"
    ),
    "bert": lambda: transformers.BertConfig(vocab_size=30, **SMALL, max_position_embeddings=64),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=257, n_embd=32, n_layer=BLOCKS, n_head=4, n_inner=48, n_positions=64
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(vocab_size=257, **SMALL),
    "llama": lambda: transformers.LlamaConfig(vocab_size=257, **SMALL, num_key_value_heads=2),
}
# What is saved is what is published: ESM-2 as a masked language model, ProtT5 as a complete encoder-decoder.
SAVED_CLASSES = {
    "esm": "EsmForMaskedLM",
    "t5": "T5ForConditionalGeneration",
    "bert": "BertForMaskedLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
}


def save_tokenizer(family: str, folder: Path) -> None:
    tokenizer: Any
    if family == "esm":
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(ESM2_TINY / name, folder)
        return
    if family == "t5":
        specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
        tokenizer = T5Tokenizer(vocab=specials + [(f"▁{letter}", -2.0) for letter in STANDARD + "XBOUZ"], extra_ids=0)
    elif family == "bert":
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *STANDARD, "X", "B", "O", "U", "Z"]
        tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)}, do_lower_case=False)
    else:
        vocabulary = {token: index for index, token in enumerate([*BYTES, "<|endoftext|>"])}
        tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.save_pretrained(folder)


def save_random_model(family: str, folder: Path, *, saved_class: str | None = None) -> Path:
    """Save a tiny model of a family with weights that are all random: norms, biases and the padding token too."""
    torch.manual_seed(0)
    network = getattr(transformers, saved_class or SAVED_CLASSES[family])(CONFIGS[family]())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    network.save_pretrained(folder)
    save_tokenizer(family, folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def quiet_transformers() -> None:
    """Keep the fixtures' own saving and loading quiet."""
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny random model by family; each is made once. Do not write into it."""
    folders: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in folders:
            folders[family] = save_random_model(family, tmp_path_factory.mktemp(family))
        return folders[family]

    return folder_of


@pytest.fixture
def own_folder(model_folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of a family's folder that the test may spoil."""

    def copy_of(family: str) -> Path:
        return shutil.copytree(model_folder(family), tmp_path / family)

    return copy_of
