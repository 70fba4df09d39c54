"""Residues -> one padded, masked forward pass -> the rows of the kept ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

from actstore.contracts.models import ResidueTokenizer, Site
from actstore.contracts.planes import Float32s
from actstore.errors import ModelError, SiteError, TokenizerError
from actstore.extract.capture import capture

__all__ = ["forward_rows", "padded"]

_of_thread = threading.local()


def forward_rows(
    network: transformers.PreTrainedModel,
    tokenizer: ResidueTokenizer,
    sites: Sequence[Site],
    residues: Sequence[str],
    kept: Sequence[NDArray[np.int32]],
    *,
    longest: int | None,
    stop_early: bool = True,
) -> dict[str, Float32s]:
    """Run one padded forward pass and return the rows of the kept residues.

    Rows are gathered on the device, in the number format of the network, before they become float32 on the host, so
    that padding and residues that nobody wants are never moved or converted.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    tokenizer
        The table of its tokenizer.
    sites
        What to capture; widths are not looked at.
    residues
        B strings, at least one.
    kept
        For each, the 0-based positions of the residues wanted.
    longest
        Most tokens that the network has positions for; None if there is no limit.
    stop_early
        Whether the pass ends after the last site.

    Returns
    -------
    dict
        For each site float32 [n, D], in the order of `residues`, then `kept`.

    Raises
    ------
    TokenizerError
        If a letter is outside the alphabet.
    ModelError
        If a sequence is too long for the network, or the batch for the memory of the device.
    SiteError
        If a module does not return one vector for each token.
    """
    tokens_BT, mask_BT = padded(residues, tokenizer)
    name, (batch, length) = network.name_or_path, tokens_BT.shape
    if longest is not None and length > longest:
        raise ModelError(
            f"{name} has positions for {longest} tokens, and {length} were asked for; "
            f"set 'corpus.window_residues' to {longest - tokenizer.special_tokens} or less"
        )
    device = network.device
    row_n = np.repeat(np.arange(batch), [len(each) for each in kept])
    token_n = row_n * length + np.concatenate(kept).astype(np.int64) + len(tokenizer.prefix)
    kept_n = torch.from_numpy(token_n).to(device)

    def gather(site: str, hidden: Tensor) -> Tensor:
        if hidden.ndim != 3 or hidden.shape[:2] != (batch, length):
            raise SiteError(
                f"{site}: its module returns shape {list(hidden.shape)} for {batch} sequences of {length} tokens, "
                "not one vector for each token; choose another"
            )
        return hidden.flatten(0, 1).index_select(0, kept_n)

    tokens, mask = torch.from_numpy(tokens_BT).to(device), torch.from_numpy(mask_BT).to(device)
    modules = {site.name: network.get_submodule(site.module) for site in sites}
    try:
        with torch.inference_mode(), _own_stream(device):
            rows = capture(
                modules,
                lambda: network(input_ids=tokens, attention_mask=mask),
                take=gather,
                stop_early=stop_early,
            )
            return _to_host(rows, device)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name}: {batch} sequences of {length} tokens do not fit the memory of {device}; "
            "lower 'model.tokens_per_batch'"
        ) from error
    except IndexError as error:
        raise ModelError(
            f"{name} cannot take {length} tokens at once ({error}); lower 'corpus.window_residues'"
        ) from error


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Give this thread a stream of its own, so that its copies go on while another thread computes."""
    if device.type != "cuda":
        yield
        return
    streams: dict[torch.device, torch.cuda.Stream] = _of_thread.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # The inputs were copied on the stream that is current outside.
    streams[device].wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(streams[device]):
        yield


def _to_host(rows: Mapping[str, Tensor], device: torch.device) -> dict[str, Float32s]:
    """Copy rows off the device as float32; through pinned memory, which the device writes by itself."""
    if device.type != "cuda":
        return {site: values.float().cpu().numpy() for site, values in rows.items()}
    there = {site: torch.empty(values.shape, dtype=torch.float32, pin_memory=True) for site, values in rows.items()}
    for site, values in rows.items():
        there[site].copy_(values.float(), non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return {site: values.numpy() for site, values in there.items()}


def padded(residues: Sequence[str], tokenizer: ResidueTokenizer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return tokens and attention mask, both int64 [B, T], padded on the right."""
    tokens = [tokenizer.tokens(each) for each in residues]
    for sequence, token_L in zip(residues, tokens, strict=True):
        foreign = np.flatnonzero(token_L < 0)
        if foreign.size:
            raise TokenizerError(
                f"residue {foreign[0] + 1} is {sequence[foreign[0]]!r}, which is not in the model's alphabet "
                f"({''.join(sorted(tokenizer.alphabet))})"
            )
    longest = max(map(len, tokens)) + tokenizer.special_tokens
    tokens_BT = np.full((len(tokens), longest), tokenizer.pad, dtype=np.int64)
    mask_BT = np.zeros_like(tokens_BT)
    for row, token_L in enumerate(tokens):
        first, last = len(tokenizer.prefix), len(tokenizer.prefix) + len(token_L)
        tokens_BT[row, :first] = tokenizer.prefix
        tokens_BT[row, first:last] = token_L
        tokens_BT[row, last : last + len(tokenizer.suffix)] = tokenizer.suffix
        mask_BT[row, : last + len(tokenizer.suffix)] = 1
    return tokens_BT, mask_BT
