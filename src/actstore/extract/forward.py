"""Residues -> one masked forward pass -> the rows of the kept ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

from actstore.contracts.models import ResidueTokenizer, Site
from actstore.contracts.planes import Float32s
from actstore.errors import ModelError, SiteError
from actstore.extract.capture import capture
from actstore.extract.inputs import Inputs, packed, padded

__all__ = ["forward_rows", "forward_rows_into", "run_inputs"]

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
    pack_tokens: int | None = None,
) -> dict[str, Float32s]:
    """Run one forward pass and return the rows of the kept residues.

    Rows are gathered on the device, in the number format of the network, before they become float32 on the host. So
    padding and residues that are not kept are never moved or converted.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    tokenizer
        The table of its tokenizer.
    sites
        Sites to capture; widths are not used.
    residues
        B strings, at least one.
    kept
        For each string, the 0-based positions of the kept residues.
    longest
        Most tokens that the network has positions for; None if there is no limit.
    stop_early
        Whether the pass ends after the last site.
    pack_tokens
        Tokens of rows that several sequences share; None for one row per sequence.

    Returns
    -------
    dict
        For each site float32 [n, D], in the order of `residues`, then `kept`.

    Raises
    ------
    TokenizerError
        If a letter is outside the alphabet.
    ModelError
        If a sequence is too long for the network, or the batch too large for the memory of the device.
    SiteError
        If a module does not return one vector for each token.
    """
    inputs = _inputs(network, tokenizer, residues, longest=longest, pack_tokens=pack_tokens)
    with _own_stream(network.device):
        rows = _captured(network, sites, inputs, kept, take=lambda _site, rows_nD: rows_nD, stop_early=stop_early)
        return _to_host(rows, network.device)


def forward_rows_into(
    network: transformers.PreTrainedModel,
    tokenizer: ResidueTokenizer,
    sites: Sequence[Site],
    residues: Sequence[str],
    kept: Sequence[NDArray[np.int32]],
    *,
    longest: int | None,
    pack_tokens: int | None,
    into: Mapping[str, Tensor],
    place_n: NDArray[np.int64],
) -> None:
    """Run one forward pass and write the rows of the kept residues to memory of the device; see `forward_rows`.

    Parameters
    ----------
    into
        For each site float32 [N, D].
    place_n
        Row of `into` for each kept residue.
    """
    inputs = _inputs(network, tokenizer, residues, longest=longest, pack_tokens=pack_tokens)
    device = network.device
    with _own_stream(device):
        place = torch.from_numpy(place_n).to(device)
        _captured(
            network, sites, inputs, kept, take=lambda site, rows_nD: into[site].index_copy_(0, place, rows_nD.float())
        )
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()


def _inputs(
    network: transformers.PreTrainedModel,
    tokenizer: ResidueTokenizer,
    residues: Sequence[str],
    *,
    longest: int | None,
    pack_tokens: int | None,
) -> Inputs:
    length = max(map(len, residues)) + tokenizer.special_tokens
    if longest is not None and length > longest:
        raise ModelError(
            f"{network.name_or_path} has positions for {longest} tokens; {length} were requested; "
            f"set 'corpus.window_residues' to {longest - tokenizer.special_tokens} or less"
        )
    return padded(residues, tokenizer) if pack_tokens is None else packed(residues, tokenizer, row_tokens=pack_tokens)


def _captured(
    network: transformers.PreTrainedModel,
    sites: Sequence[Site],
    inputs: Inputs,
    kept: Sequence[NDArray[np.int32]],
    *,
    take: Callable[[str, Tensor], Tensor],
    stop_early: bool = True,
) -> dict[str, Tensor]:
    """Return `take` of the rows of the kept residues at each site, [n, D] on the device."""
    device, (rows, length) = network.device, inputs.tokens_RT.shape
    first_n = np.repeat(inputs.first_B, [len(each) for each in kept])
    kept_n = torch.from_numpy(first_n + np.concatenate(kept)).to(device)

    def gather(site: str, hidden: Tensor) -> Tensor:
        if hidden.ndim != 3 or hidden.shape[:2] != (rows, length):
            raise SiteError(
                f"{site}: its module returns shape {list(hidden.shape)} for {rows} rows of {length} tokens, "
                "not one vector for each token; choose another"
            )
        return take(site, hidden.flatten(0, 1).index_select(0, kept_n))

    modules = {site.name: network.get_submodule(site.module) for site in sites}
    try:
        with torch.inference_mode():
            return capture(modules, lambda: run_inputs(network, inputs), take=gather, stop_early=stop_early)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{network.name_or_path}: {rows} rows of {length} tokens do not fit into the memory of {device}; "
            "lower 'model.tokens_per_batch'"
        ) from error
    except IndexError as error:
        raise ModelError(
            f"{network.name_or_path} cannot process {length} tokens at once ({error}); lower 'corpus.window_residues'"
        ) from error


def run_inputs(network: transformers.PreTrainedModel, inputs: Inputs) -> None:
    """Run a network on its device over inputs of the host; hooks of the caller capture its states."""
    device = network.device
    tokens, present = (torch.from_numpy(each).to(device) for each in (inputs.tokens_RT, inputs.present_RT))
    if inputs.sequence_RT is None or inputs.position_RT is None:
        network(input_ids=tokens, attention_mask=present)
        return
    positions, sequence = (torch.from_numpy(each).to(device) for each in (inputs.position_RT, inputs.sequence_RT))
    apart = sequence[:, None, :, None] != sequence[:, None, None, :]
    # A mask of floats: eager attention would add a mask of booleans to its scores.
    mask = torch.zeros(apart.shape, dtype=network.dtype, device=device)
    mask.masked_fill_(apart, torch.finfo(network.dtype).min)
    # The embedding needs a mask of the padding; the mask of attention has another shape.
    embedded = network.get_submodule("embeddings")(input_ids=tokens, attention_mask=present, position_ids=positions)
    network(inputs_embeds=embedded, attention_mask=mask, position_ids=positions)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Give this thread its own stream, so that its copies run while another thread computes."""
    if device.type != "cuda":
        yield
        return
    streams: dict[torch.device, torch.cuda.Stream] = _of_thread.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    # The inputs were copied on the stream of the caller.
    streams[device].wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(streams[device]):
        yield


def _to_host(rows: Mapping[str, Tensor], device: torch.device) -> dict[str, Float32s]:
    """Copy rows off the device as float32; through pinned memory, which the device writes without the CPU."""
    if device.type != "cuda":
        return {site: values.float().cpu().numpy() for site, values in rows.items()}
    there = {site: torch.empty(values.shape, dtype=torch.float32, pin_memory=True) for site, values in rows.items()}
    for site, values in rows.items():
        there[site].copy_(values.float(), non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return {site: values.numpy() for site, values in there.items()}
