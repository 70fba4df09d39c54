"""A network in memory -> the digest of its weights, as stores record it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import torch
import transformers
from torch import Tensor, nn

from actstore.errors import ModelError, UsageError
from actstore.extract.families import ARCHITECTURES
from actstore.extract.weights import HEADS

__all__ = ["parameters_sha256", "weights_sha256"]

_FORMATS: Final = ("float64", "float32", "bfloat16", "float16")


class _Seen(NamedTuple):
    """One parameter at the time of a digest: any change of a value is a change of these."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    address: int
    version: int
    """Number of changes in place that torch counted; it does not count those through `.data`."""
    bits: int
    """Sum of the values as 64-bit integers, which any change of one value changes."""


_digests: WeakKeyDictionary[nn.Module, tuple[list[_Seen], dict[str | None, str]]] = WeakKeyDictionary()


def weights_sha256(model: nn.Module, *, dtype: str | None = None) -> str:
    """Digest the weights that extraction would run, as `model.weights_sha256` of a manifest.

    Of a model with a head, only the base model counts; of a model whose type is known (docs/how-to/extract.md), only
    what extraction loads of it: no pooling layer, no decoder beside an encoder. Of any other module, all parameters
    count. The digest of a module is kept until a weight changes; to see a change, the values are summed, which takes a
    tenth of the time or less.

    Parameters
    ----------
    model
        A model of `transformers`, with or without a head, or any other module.
    dtype
        Number format of the digest, such as ``float32``: weights are converted to it, as they would be if the model was
        loaded in it. None for that of each weight. A model in a narrower format than that of a store has lost what the
        digest of the store depends on; it has to be loaded in the format of the store.

    Raises
    ------
    ModelError
        If weights are not in memory.
    UsageError
        If there is no such number format.

    Examples
    --------
    ::

        model = transformers.EsmForMaskedLM.from_pretrained("facebook/esm2_t6_8M_UR50D", dtype=torch.float32)
        with actstore.open_store("store") as store:
            facts = store.manifest.model
        assert actstore.weights_sha256(model, dtype=facts.dtype) == facts.weights_sha256
    """
    if dtype is not None and dtype not in _FORMATS:
        raise UsageError(f"no number format {dtype!r}; there are {', '.join(_FORMATS)}")
    network = model.base_model if isinstance(model, transformers.PreTrainedModel) else model
    left_out = _left_out(network)
    parameters = [(name, each) for name, each in network.named_parameters() if name.split(".")[0] not in left_out]
    if absent := [name for name, each in parameters if each.is_meta]:
        raise ModelError(f"{absent[0]} is not in memory, so its digest is not known; load the model as a whole")
    seen = _seen(parameters)
    known, digests = _digests.get(network, ([], {}))
    if known != seen:
        digests = {}
        _digests[network] = (seen, digests)
    if dtype not in digests:
        digests[dtype] = parameters_sha256(parameters, dtype=dtype)
    return digests[dtype]


def parameters_sha256(parameters: Iterable[tuple[str, Tensor]], *, dtype: str | None = None) -> str:
    """Digest names, dtypes, shapes and bytes of parameters, sorted by name.

    Buffers are left out: they follow from the configuration, and which of them are saved changes between releases of
    `transformers`.

    Parameters
    ----------
    parameters
        As `named_parameters` gives them.
    dtype
        Number format to which floating-point numbers are converted first; None for their own.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(parameters, key=lambda each: each[0]):
        tensor = parameter.detach()
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(getattr(torch, dtype))
        said = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name} {said} {list(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _left_out(network: nn.Module) -> frozenset[str]:
    """Return the modules that extraction does not load, by the first part of their paths."""
    row = ARCHITECTURES.get(getattr(getattr(network, "config", None), "model_type", ""))
    if row is None:
        return frozenset()
    heads = frozenset[str]() if isinstance(network, getattr(transformers, row.model_class)) else HEADS
    return row.leaves_out | heads | (frozenset({"pooler"}) if row.pooler_option else frozenset())


def _seen(parameters: Iterable[tuple[str, Tensor]]) -> list[_Seen]:
    return [
        _Seen(
            name,
            tensor.dtype,
            tuple(tensor.shape),
            tensor.data_ptr(),
            0 if tensor.is_inference() else tensor._version,  # noqa: SLF001 - torch offers no other counter
            _bits(tensor.detach()),
        )
        for name, tensor in parameters
    ]


def _bits(tensor: Tensor) -> int:
    """Return the sum of the values as 64-bit integers, or of the bytes if they do not fill these."""
    whole = tensor.numel() * tensor.element_size() % 8 == 0
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return int((flat.view(torch.int64) if whole else flat).sum())
