"""Models of random weights: speed does not depend on what they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import torch
from transformers import EsmConfig, EsmModel, T5Config, T5EncoderModel, T5Tokenizer

__all__ = ["TINY", "save_esm", "save_t5"]

TINY: Final = Path("examples/esm2-tiny")


def save_esm(folder: Path, *, layers: int, width: int, heads: int, dtype: str = "float32") -> Path:
    """Save an ESM-2 that loads as a real one does, with the tokenizer of ours, in a new folder."""
    shutil.copytree(TINY, folder)
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
    }
    config = EsmConfig(**{**EsmConfig.from_pretrained(TINY).to_dict(), **sizes})
    _save(EsmModel, config, folder, dtype, add_pooling_layer=False)
    return folder


def save_t5(folder: Path, *, layers: int, width: int, heads: int, dtype: str = "float32") -> Path:
    """Save the encoder of a ProtT5 that loads as the real one does, in a new folder."""
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(f"▁{letter}", -2.0) for letter in "ALGVSREDTIPKFQNYMHWCXBOUZ"]
    folder.mkdir()
    T5Tokenizer(vocab=specials + letters, extra_ids=0).save_pretrained(folder)
    config = T5Config(
        vocab_size=128,
        d_model=width,
        d_kv=128,
        d_ff=16 * width,
        num_layers=layers,
        num_heads=heads,
        feed_forward_proj="relu",
    )
    _save(T5EncoderModel, config, folder, dtype)
    return folder


def _save(kind: Any, config: Any, folder: Path, dtype: str, **options: object) -> None:  # noqa: ANN401 - not typed
    was = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    torch.manual_seed(0)
    try:
        kind(config, **options).save_pretrained(folder)
    finally:
        torch.set_default_dtype(was)
