"""Residues -> one masked forward pass -> the rows of the kept residues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

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

__all__ = ["ForwardPass", "run_inputs"]

_of_thread = threading.local()


@dataclass(frozen=True, slots=True, eq=False)
class ForwardPass:
    """A network, the sites to capture, and how sequences become its inputs."""

    network: transformers.PreTrainedModel
    """In evaluation mode, on its device."""
    tokenizer: ResidueTokenizer
    """The table of its tokenizer."""
    sites: Sequence[Site]
    """Sites to capture; widths are not used."""
    longest: int | None
    """Most tokens that the network has positions for; None if there is no limit."""
    pack_tokens: int | None = None
    """Tokens of rows that several sequences share; None gives each a row of its own."""
    passes: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Entered for each forward pass; limits how many hold the memory of a device."""

    def rows(
        self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]], *, stop_early: bool = True
    ) -> dict[str, Float32s]:
        """Run one forward pass and return the rows of the kept residues.

        Rows are gathered on the device, in the number format of the network, before they become float32 on the host. So
        padding and residues that are not kept are never moved or converted.

        Parameters
        ----------
        residues
            B strings, at least one.
        kept
            For each string, the 0-based positions of the kept residues.
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
            If a sequence is too long for the network, or the batch too large for the memory of the device.
        SiteError
            If a module does not return one vector for each token.
        """
        with self.passes:
            inputs = self._inputs(residues)
            with _own_stream(self.network.device):
                rows = self._captured(inputs, kept, take=lambda _site, rows_nD: rows_nD, stop_early=stop_early)
                return _to_host(rows, self.network.device)

    def rows_into(
        self,
        residues: Sequence[str],
        kept: Sequence[NDArray[np.int32]],
        into: Mapping[str, Tensor],
        place_n: NDArray[np.int64],
    ) -> None:
        """Run one forward pass and write the rows of the kept residues to memory of the device; raises as `rows`.

        Parameters
        ----------
        residues, kept
            As in `rows`.
        into
            For each site float32 [N, D].
        place_n
            Row of `into` for each kept residue.
        """
        device = self.network.device
        with self.passes:
            inputs = self._inputs(residues)
            with _own_stream(device):
                place = torch.from_numpy(place_n).to(device)
                self._captured(
                    inputs, kept, take=lambda site, rows_nD: into[site].index_copy_(0, place, rows_nD.float())
                )
                if device.type == "cuda":
                    torch.cuda.current_stream(device).synchronize()

    def _inputs(self, residues: Sequence[str]) -> Inputs:
        tokenizer = self.tokenizer
        length = max(map(len, residues)) + tokenizer.special_tokens
        if self.longest is not None and length > self.longest:
            raise ModelError(
                f"{self.network.name_or_path} has positions for {self.longest} tokens; {length} were requested; "
                f"set 'corpus.window_residues' to {self.longest - tokenizer.special_tokens} or less"
            )
        if self.pack_tokens is None:
            return padded(residues, tokenizer)
        return packed(residues, tokenizer, row_tokens=self.pack_tokens)

    def _captured(
        self,
        inputs: Inputs,
        kept: Sequence[NDArray[np.int32]],
        *,
        take: Callable[[str, Tensor], Tensor],
        stop_early: bool = True,
    ) -> dict[str, Tensor]:
        """Return `take` of the rows of the kept residues at each site, [n, D] on the device."""
        network, device, (rows, length) = self.network, self.network.device, inputs.tokens_RT.shape
        first_n = np.repeat(inputs.first_B, [len(each) for each in kept])
        kept_n = torch.from_numpy(first_n + np.concatenate(kept)).to(device)

        def gather(site: str, hidden: Tensor) -> Tensor:
            if hidden.ndim != 3 or hidden.shape[:2] != (rows, length):
                raise SiteError(
                    f"{site}: its module returns shape {list(hidden.shape)} for {rows} rows of {length} tokens, "
                    "not one vector for each token; choose another"
                )
            return take(site, hidden.flatten(0, 1).index_select(0, kept_n))

        modules = {site.name: network.get_submodule(site.module) for site in self.sites}
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
                f"{network.name_or_path} cannot process {length} tokens ({error}); lower 'corpus.window_residues'"
            ) from error


def run_inputs(network: transformers.PreTrainedModel, inputs: Inputs) -> None:
    """Run a network on its device over inputs of the host; the caller captures its states."""
    device = network.device
    tokens, present = (torch.from_numpy(each).to(device) for each in (inputs.tokens_RT, inputs.present_RT))
    if inputs.sequence_RT is None or inputs.position_RT is None:
        network(input_ids=tokens, attention_mask=present)
        return
    positions, sequence = (torch.from_numpy(each).to(device) for each in (inputs.position_RT, inputs.sequence_RT))
    apart = sequence[:, None, :, None] != sequence[:, None, None, :]
    # Not a boolean mask: eager attention would add it to its scores.
    mask = torch.zeros(apart.shape, dtype=network.dtype, device=device)
    mask.masked_fill_(apart, torch.finfo(network.dtype).min)
    # The embedding needs to know the padding, and the attention mask has the wrong shape for that.
    embedded = network.get_submodule("embeddings")(input_ids=tokens, attention_mask=present, position_ids=positions)
    network(inputs_embeds=embedded, attention_mask=mask, position_ids=positions)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Give this thread a stream of its own, so that its copies go on while another thread computes."""
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
    """Copy rows off the device as float32, through pinned memory, which the device writes directly."""
    if device.type != "cuda":
        return {site: values.float().cpu().numpy() for site, values in rows.items()}
    there = {site: torch.empty(values.shape, dtype=torch.float32, pin_memory=True) for site, values in rows.items()}
    for site, values in rows.items():
        there[site].copy_(values.float(), non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return {site: values.numpy() for site, values in there.items()}
