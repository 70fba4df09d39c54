"""fair-esm itself (Lin et al., 2023), with the weights of a model of `transformers`, and the loop of its `extract.py`.

The loop: batches of at most 4,096 tokens, sorted by length; the states of every layer; a file for each protein with
its residues alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from esm.data import Alphabet, FastaBatchedDataset
from esm.model.esm2 import ESM2
from torch import Tensor
from transformers import EsmModel

from benchmarks.contestants.loops import LOOP_TOKENS
from benchmarks.data.proteins import MOST_RESIDUES

__all__ = ["as_fair_esm", "representations", "run_extract_loop"]

_NAMES: Final = (
    (r"^embeddings\.word_embeddings\.", "embed_tokens."),
    (r"^encoder\.emb_layer_norm_after\.", "emb_layer_norm_after."),
    (r"^encoder\.layer\.", "layers."),
    (r"\.attention\.self\.(query|key|value)\.", lambda match: f".self_attn.{match[1][0]}_proj."),
    (r"\.attention\.output\.dense\.", ".self_attn.out_proj."),
    (r"\.attention\.LayerNorm\.", ".self_attn_layer_norm."),
    (r"\.intermediate\.dense\.", ".fc1."),
    (r"\.output\.dense\.", ".fc2."),
    (r"\.LayerNorm\.", ".final_layer_norm."),
)
"""What a parameter is called in `transformers`, and in fair-esm; applied in this order."""
_NOT_IN_TRANSFORMERS: Final = ("lm_head.", "contact_head.", "rot_emb.")
"""The heads are not of the encoder, and the rotary frequencies no parameters."""


def as_fair_esm(network: EsmModel) -> ESM2:
    """Return fair-esm's network with the same weights.

    Raises
    ------
    ValueError
        If a weight has no place, or a place no weight.
    """
    config = network.config
    theirs = ESM2(config.num_hidden_layers, config.hidden_size, config.num_attention_heads, alphabet="ESM-1b")
    weights = {_renamed(name): value for name, value in network.state_dict().items() if "inv_freq" not in name}
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    if lost := [*unexpected, *(name for name in missing if not _is_left_out(name))]:
        raise ValueError(f"weights without a counterpart: {lost}")
    # Files in float16 hold rounded frequencies, which transformers takes as they are.
    frequencies = next(buffer for name, buffer in network.named_buffers() if name.endswith("inv_freq"))
    for layer in theirs.layers:
        layer.self_attn.rot_emb.inv_freq.copy_(frequencies)
    theirs.eval()
    return theirs


def _renamed(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _is_left_out(name: str) -> bool:
    return any(part in name for part in _NOT_IN_TRANSFORMERS)


def representations(network: ESM2, proteins: Sequence[tuple[str, str]]) -> Mapping[int, Tensor]:
    """Return the states of every layer, [B, T, D]; the last ones have passed the final norm."""
    _, _, tokens = Alphabet.from_architecture("ESM-1b").get_batch_converter(MOST_RESIDUES)(list(proteins))
    with torch.no_grad():
        out: dict[str, Any] = network(tokens, repr_layers=range(network.num_layers + 1), return_contacts=False)
    states: Mapping[int, Tensor] = out["representations"]
    return states


def run_extract_loop(network: ESM2, proteins: Sequence[tuple[str, str]], folder: Path) -> float:
    """Write a file for each protein; return the seconds that took."""
    names, residues = zip(*proteins, strict=True)
    began = time.perf_counter()
    dataset = FastaBatchedDataset(names, residues)
    for batch in dataset.get_batch_indices(LOOP_TOKENS, extra_toks_per_seq=1):
        chosen = [dataset[index] for index in batch]
        states = representations(network, chosen)
        for row, (name, text) in enumerate(chosen):
            kept = {layer: state[row, 1 : len(text) + 1].clone() for layer, state in states.items()}
            torch.save({"label": name, "representations": kept}, folder / f"{name}.pt")
    return time.perf_counter() - began
