"""A pinned and checked model of `transformers` that gives the rows of kept residues at named sites."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import nn

from actstore.contracts.models import ModelFacts, ResidueTokenizer, Site
from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.model_files import pin_revision, reading_model_files
from actstore.corpus.tokenizer import load_tokenizer
from actstore.errors import ModelError
from actstore.extract.compiled import compile_blocks, compiling
from actstore.extract.device import choose_device
from actstore.extract.device_rows import TorchRows
from actstore.extract.digest import parameters_sha256
from actstore.extract.families import Architecture, architecture_for
from actstore.extract.forward import ForwardPass
from actstore.extract.known_models import KNOWN_MODELS
from actstore.extract.sites import available_sites, resolve_sites
from actstore.extract.weights import load_network

__all__ = ["PACK_TOKENS", "TransformersModel", "can_pack", "load_model"]

PROBE: Final = ("ACDEFGHIK", "LMNP")
"""Two sequences, so that an output shared by the batch is not mistaken for an output of each sequence."""
_CPU_TOKENS: Final = 1024
"""The states of a layer then stay in the cache of a core, and there is less padding (docs/decisions/0012)."""
PACK_TOKENS: Final = 1024
"""Tokens of a row that sequences share on a GPU: the longest window of ESM-2 (docs/decisions/0013)."""
_PROBE_TOKENS: Final = 32
"""Room for all of `PROBE` in one row."""
_PACKED_DIFFERS: Final = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.05}
"""Largest error of the median channel if sequences share a row, divided by its deviation. On esm2-tiny rounding
gives 0.003 in bfloat16; sequences that attend to each other give 0.3 and more."""
_DEVICE_PASSES: Final = 2
"""One computes while the rows of the other are copied off the device."""


@dataclass(frozen=True, slots=True, eq=False)
class TransformersModel:
    """The `ActivationModel` that runs a network of `transformers`. Made by `load_model`."""

    facts: ModelFacts
    tokenizer: ResidueTokenizer
    sites: tuple[Site, ...]
    network: transformers.PreTrainedModel
    """In evaluation mode, without gradients, on its device."""
    longest: int | None
    """Most tokens of one sequence, if the network has absolute positions."""
    passes: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Entered for each forward pass; limits how many hold the memory of a device."""
    pack_tokens: int | None = None
    """Tokens of the rows that several sequences share in a forward pass; None if each has a row of its own."""
    blocks: str | None = None
    """Path of the list of blocks in the network, if it is known."""
    keeps_rows: bool = False
    """Whether rows of tasks stay on the device until they are encoded."""

    def only(self, sites: Collection[str]) -> TransformersModel:
        """Return the same model with some of its sites, by name; a forward pass ends after the last of them."""
        return replace(self, sites=tuple(site for site in self.sites if site.name in sites))

    @property
    def most_tokens(self) -> int | None:
        """Number of tokens above which larger forward passes are no faster."""
        return _CPU_TOKENS if self.network.device.type == "cpu" else None

    @property
    def device_rows(self) -> TorchRows | None:
        """Where rows may stay until they are encoded."""
        return TorchRows(self._forward, self.facts.name) if self.keeps_rows else None

    @property
    def _forward(self) -> ForwardPass:
        return ForwardPass(self.network, self.tokenizer, self.sites, self.longest, self.pack_tokens, self.passes)

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        """Run one forward pass up to the last site and return the rows of the kept residues; see `ActivationModel`.

        Raises
        ------
        TokenizerError
            If a letter is outside the alphabet.
        ModelError
            If a sequence is too long for the network, or the batch for the memory of the device.
        """
        if not sum(len(each) for each in kept):
            return {site.name: np.empty((0, site.width), dtype=np.float32) for site in self.sites}
        return self._forward.rows(residues, kept)


def load_model(recipe: ModelRecipe, sites: Sequence[str], *, device: str = "cpu") -> TransformersModel:
    """Load a model, check that it is what the recipe says, and find the sites.

    Parameters
    ----------
    recipe
        Which model, its source, and its number format.
    sites
        Names, globs or module paths; see `resolve_sites`.
    device
        `auto`, `cpu`, `cuda` or `cuda:N`; see `choose_device`.

    Raises
    ------
    ModelError
        If files are missing or damaged, weights are pickled, unused or would be random (see `load_network`), the number
        format is not honoured, or a site's module runs more than once.
    SiteError
        If a site does not exist or has no vector for each token.
    UsageError
        If there is no such device.
    """
    target = torch.device(choose_device(device))
    pinned = pin_revision(recipe, offered=KNOWN_MODELS)
    with reading_model_files(recipe, "configuration"):
        config = transformers.AutoConfig.from_pretrained(
            pinned.name, revision=pinned.revision or "main", trust_remote_code=recipe.remote_code
        )
    # A repository's own code takes precedence: its model type may be in our table and its network another one.
    has_own_code = recipe.remote_code and bool(getattr(config, "auto_map", None))
    architecture = architecture_for("" if has_own_code else config.model_type, recipe)
    tokenizer = load_tokenizer(pinned)
    network = load_network(recipe, pinned, config, architecture)
    # Tied modules have several paths (transformers 4 ties T5's embeddings), and any of them works.
    modules = [path for path, _ in network.named_modules(remove_duplicate=False)]
    paths = resolve_sites(sites, available_sites(architecture, modules))
    facts = _facts(network, pinned)
    from actstore.extract.fused import fuse  # noqa: PLC0415 - imports the code of ESM, which takes a second

    fuse(network)
    if recipe.compile:
        compile_blocks(network, architecture.blocks, [path.module for path in paths])
    network.to(target)  # type: ignore[arg-type]  # transformers wraps it without its signature
    unmeasured = tuple(Site(path.name, path.module, width=0) for path in paths)
    is_cuda = target.type == "cuda"
    model = TransformersModel(
        facts=facts,
        tokenizer=tokenizer,
        sites=_measured(network, tokenizer, unmeasured, recipe),
        network=network,
        longest=_longest(network, architecture),
        passes=_passes(target, compiled=recipe.compile),
        blocks=architecture.blocks,
        keeps_rows=is_cuda,
    )
    if is_cuda and architecture.packs and can_pack(model):
        return replace(model, pack_tokens=PACK_TOKENS)
    return model


def can_pack(model: TransformersModel) -> bool:
    """Check whether sequences that share a row have the same activations as alone.

    Old releases of `transformers` refuse the mask that separates them.
    """
    kept = [np.arange(len(each), dtype=np.int32) for each in PROBE]
    alone = model.activations(PROBE, kept)
    try:
        together = replace(model, pack_tokens=_PROBE_TOKENS).activations(PROBE, kept)
    except (ValueError, TypeError, RuntimeError):
        return False
    except ModelError as error:
        if isinstance(error.__cause__, torch.OutOfMemoryError):
            raise
        return False
    allowed = _PACKED_DIFFERS[model.facts.dtype]
    return all(_off(together[name], rows_ND) <= allowed for name, rows_ND in alone.items())


def _off(found_ND: Float32s, wanted_ND: Float32s) -> float:
    """Return the error of the median channel, divided by its deviation: a few large channels have no influence."""
    error_D = np.linalg.norm(found_ND - wanted_ND, axis=0)
    deviation_D = np.linalg.norm(wanted_ND - wanted_ND.mean(axis=0), axis=0)
    varying_D = ~(deviation_D == 0)  # NaN counts as a difference
    return float(np.median(error_D[varying_D] / deviation_D[varying_D])) if varying_D.any() else 0.0


def _passes(device: torch.device, *, compiled: bool) -> AbstractContextManager[object]:
    """Return the limit on concurrent passes; only one compiles at a time, and a new shape may need to compile."""
    if compiled:
        return threading.Lock()
    return threading.BoundedSemaphore(_DEVICE_PASSES) if device.type == "cuda" else nullcontext()


def _facts(network: nn.Module, pinned: ModelRecipe) -> ModelFacts:
    return ModelFacts(
        name=pinned.name,
        revision=pinned.revision,
        architecture=type(network).__name__,
        weights_sha256=parameters_sha256(network.named_parameters()),
        dtype=pinned.dtype,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def _longest(network: nn.Module, architecture: Architecture) -> int | None:
    """Return the number of positions of the network; None if they are relative or rotary."""
    table = dict(network.named_modules()).get(architecture.positions or "")
    if not isinstance(table, nn.Embedding):
        return None
    # With a padding index, as in RoBERTa and ESM-1b, positions are counted from the one after it.
    return table.num_embeddings if table.padding_idx is None else table.num_embeddings - table.padding_idx - 1


def _measured(
    network: transformers.PreTrainedModel, tokenizer: ResidueTokenizer, sites: Sequence[Site], recipe: ModelRecipe
) -> tuple[Site, ...]:
    """Fill in the widths from a complete forward pass over a few residues, which also shows modules that run twice."""
    everything = [np.arange(len(each), dtype=np.int32) for each in PROBE]
    try:
        with compiling(recipe.name) if recipe.compile else nullcontext():
            forward = ForwardPass(network, tokenizer, sites, longest=None)
            rows = forward.rows(PROBE, everything, stop_early=False)
    except (ValueError, TypeError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{type(network).__name__} of {recipe.name} does not run on 'input_ids' and 'attention_mask' alone "
            f"({said}); only encoders and decoders that do can be used"
        ) from error
    return tuple(site._replace(width=rows[site.name].shape[1]) for site in sites)
