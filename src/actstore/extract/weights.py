"""Load the weights of a model, and check that they are all that it needs and nothing that its states would lack."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import torch
import transformers
from torch import nn

from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.model_files import MERGE, reading_model_files, refuse_adapter, weights_problem
from actstore.errors import ModelError
from actstore.extract.families import Architecture

__all__ = ["load_network"]

COMPUTED: Final = ("inv_freq", "position_ids", "token_type_ids", "masked_bias", "cos_cached", "sin_cached")
"""Buffers that follow from the configuration; some files hold them, others do not."""
HEADS: Final = frozenset(
    {
        "classification_head",
        "classifier",
        "cls",
        "contact_head",
        "embed_out",
        "lm_head",
        "multiple_choice_head",
        "pooler",
        "qa_outputs",
        "score",
    }
)
"""Modules that take the last states and give none back, by their names in `transformers`."""
_ADAPTED: Final = re.compile(
    r"(^|[._])(lora|ia3|adapters?|base_layer|base_model|vera|boft|oft|modules_to_save|prompt_encoder)([._]|$)"
)
_MOST_NAMED: Final = 5


class _Loaded(NamedTuple):
    """What `transformers` says about the weights that it read."""

    network: transformers.PreTrainedModel
    missing: list[str]
    unused: list[str]
    mismatched: list[tuple[str, Sequence[int], Sequence[int]]]
    """Name, shape in the files, shape of the model."""


def load_network(
    recipe: ModelRecipe,
    pinned: ModelRecipe,
    config: transformers.PretrainedConfig,
    architecture: Architecture,
) -> transformers.PreTrainedModel:
    """Read the weights into a network in evaluation mode, without gradients.

    The files may hold more than the network uses only if that cannot change a state: heads (`HEADS`), the parts of the
    published model after the class that is run (`Architecture.leaves_out`: the decoder of an encoder), buffers that
    follow from the configuration (`COMPUTED`), and what `recipe.unused_weights` names.

    Raises
    ------
    ModelError
        If files or weights are missing, of another shape, unused or pickled, if they have another number of blocks, if
        there is an adapter beside them, or they come out in another number format.
    """
    refuse_adapter(pinned)
    if problem := weights_problem(pinned):
        raise ModelError(f"weights of {recipe.name}: {problem}")
    loaded = _load(recipe, pinned, config, architecture)
    if problem := (
        _blocks_problem(loaded, architecture)
        or _shape_problem(loaded.mismatched)
        or _missing_problem(loaded)
        or _unused_problem(loaded)
    ):
        raise ModelError(f"weights of {recipe.name}: {problem}")
    network, wanted = loaded.network, getattr(torch, recipe.dtype)
    others = [name for name, each in network.named_parameters() if each.is_floating_point() and each.dtype != wanted]
    if others:
        found = str(network.get_parameter(others[0]).dtype).removeprefix("torch.")
        raise ModelError(
            f"{recipe.name} keeps {_some(others)} in {found} although dtype is {recipe.dtype!r}, so its states would "
            "differ from what the store records; use dtype 'bfloat16' or 'float32'"
        )
    network.config.use_cache = False
    network.eval().requires_grad_(requires_grad=False)  # type: ignore[no-untyped-call]
    return network


def _load(
    recipe: ModelRecipe, pinned: ModelRecipe, config: transformers.PretrainedConfig, architecture: Architecture
) -> _Loaded:
    options: dict[str, Any] = {"add_pooling_layer": False} if architecture.pooler_option else {}
    with reading_model_files(recipe, "weights"):
        network, loading = getattr(transformers, architecture.model_class).from_pretrained(
            pinned.name,
            config=config,
            revision=pinned.revision or "main",
            dtype=getattr(torch, recipe.dtype),
            use_safetensors=None if recipe.pickle_weights else True,
            trust_remote_code=recipe.remote_code,
            ignore_mismatched_sizes=True,  # they are refused here, by name
            output_loading_info=True,
            **options,
        )
    if getattr(network, "_hf_peft_config_loaded", False):
        raise ModelError(f"{recipe.name} was loaded with an adapter; {MERGE}")
    harmless = HEADS | architecture.leaves_out
    return _Loaded(
        network,
        missing=sorted(name for name in loading["missing_keys"] if not name.endswith(COMPUTED)),
        unused=sorted(
            name
            for name in loading["unexpected_keys"]
            if name.removeprefix(f"{network.base_model_prefix}.").split(".")[0] not in harmless
            and not name.endswith(COMPUTED)
            and not any(fnmatchcase(name, pattern) for pattern in recipe.unused_weights)
        ),
        mismatched=sorted((name, tuple(there), tuple(here)) for name, there, here in loading["mismatched_keys"]),
    )


def _shape_problem(mismatched: Sequence[tuple[str, Sequence[int], Sequence[int]]]) -> str | None:
    if not mismatched:
        return None
    name, there, here = mismatched[0]
    more = f"; {len(mismatched) - 1} more differ too" if len(mismatched) > 1 else ""
    return (
        f"{name} is {_shape(there)} in the files, and {_shape(here)} by config.json{more}; "
        "get both from the same source"
    )


def _blocks_problem(loaded: _Loaded, architecture: Architecture) -> str | None:
    """Compare the number of blocks of the files with that of the network, which is the one of `config.json`."""
    network, path = loaded.network, architecture.blocks or ""
    blocks = dict(network.named_modules()).get(path)
    if not isinstance(blocks, nn.ModuleList):
        return None
    in_files = max((number + 1 for number in _block_numbers(loaded.unused, path)), default=0)
    if in_files <= len(blocks):
        in_files = len(blocks)
        while in_files and _lacks(loaded, blocks[in_files - 1], f"{path}.{in_files - 1}"):
            in_files -= 1
    if in_files in {0, len(blocks)}:
        return None
    field = getattr(network.config, "attribute_map", {}).get("num_hidden_layers", "num_hidden_layers")
    return (
        f"config.json says {len(blocks)} blocks ({field}), and the files have {in_files} ({path}.0 to "
        f"{path}.{in_files - 1}); get both from the same source"
    )


def _missing_problem(loaded: _Loaded) -> str | None:
    if not loaded.missing:
        return None
    instead = f"; the files hold {_some(loaded.unused)} instead" if loaded.unused else ""
    way_out = MERGE if _are_adapted(loaded.unused) else f"get the complete weights of {type(loaded.network).__name__}"
    return f"{_some(loaded.missing)} missing from the files, so they would be random numbers{instead}; {way_out}"


def _unused_problem(loaded: _Loaded) -> str | None:
    if not loaded.unused:
        return None
    way_out = (
        MERGE
        if _are_adapted(loaded.unused)
        else "get weights that belong to config.json, or list what does no harm in 'model.unused_weights'"
    )
    return (
        f"the files hold {_some(loaded.unused)}, which {type(loaded.network).__name__} would leave out, so its rows "
        f"may not be those of this model; {way_out}"
    )


def _block_numbers(names: Collection[str], path: str) -> set[int]:
    found = re.compile(rf"(?:^|\.){re.escape(path)}\.(\d{{1,9}})\.")
    return {int(match[1]) for name in names if (match := found.search(name))}


def _lacks(loaded: _Loaded, block: nn.Module, path: str) -> bool:
    names = {f"{path}.{name}" for name, _ in block.named_parameters()}
    return bool(names) and names <= set(loaded.missing)


def _are_adapted(names: Collection[str]) -> bool:
    return any(_ADAPTED.search(name) for name in names)


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes)) or "a number"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
