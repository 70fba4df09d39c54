"""Dictionaries for the sites of real models, and hooks that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from actstore import weights_sha256
from tests.trainers.exchange.made import draw
from trainers.exchange.facts import Activation, DictionaryFacts, ModelFacts, SiteFacts
from trainers.exchange.trained import TrainedDictionary

FEATURES = 48


def dictionary_for(
    network: nn.Module,
    modules: Mapping[str, str],
    width: int,
    /,
    *,
    activation: Activation | None = None,
    **changes: Any,
) -> TrainedDictionary:
    """Return a random dictionary of the given sites, by name the path of the module, that knows the model."""
    sites, dtype = len(modules), str(next(network.parameters()).dtype).removeprefix("torch.")
    others: dict[str, Any] = {
        "subtracts_b_dec": sites == 1,
        "model": ModelFacts(name="a model", dtype=dtype, weights_sha256=weights_sha256(network)),
    }
    facts = DictionaryFacts(
        dictionary="topk-sae" if sites == 1 else "crosscoder-topk",
        sites=tuple(SiteFacts(name=name, module=path, width=width) for name, path in modules.items()),
        latents=FEATURES,
        activation=activation or Activation(name="topk", k=6),
        input_scale=(1.0,) * sites,
        origin="a test",
        **others | changes,
    )
    weights = {
        "W_enc": draw(sites, width, FEATURES, seed=1) / width**0.5,
        "b_enc": draw(FEATURES, seed=2),
        "W_dec": draw(FEATURES, sites, width, seed=3) / width**0.5,
        "b_dec": draw(sites, width, seed=4),
    }
    return TrainedDictionary(facts, weights)


def loaded(model_class: str, folder: Path, dtype: torch.dtype | str = torch.float32) -> Any:
    """Return a model of `transformers` in evaluation mode."""
    return getattr(transformers, model_class).from_pretrained(folder, dtype=dtype).eval()


def first(output: Any) -> Tensor:
    """Return the activations in the output of a module."""
    tensor: Tensor = output if isinstance(output, Tensor) else output[0]
    return tensor


@contextmanager
def hooked(changes: Mapping[nn.Module, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replace the activations of modules, as somebody would without this package."""

    def hook(module: nn.Module, _inputs: object, output: Any) -> Any:
        new = changes[module](first(output))
        return new if isinstance(output, Tensor) else (new, *output[1:])

    with ExitStack() as hooks:
        for module in changes:
            hooks.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def watched(*modules: nn.Module) -> Iterator[dict[nn.Module, Tensor]]:
    """Give the activations of modules in the passes of the block."""
    seen: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, _inputs: object, output: Any) -> None:
        seen[module] = first(output).clone()

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_hook(note).remove)
        yield seen


def hooks_of(model: nn.Module) -> int:
    """Return how many hooks there are on all modules of a model."""
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.modules())


def rowwise(dictionary_call: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Apply a function of rows [N, D] to activations [batch, tokens, D]."""
    return lambda values_BTD: dictionary_call(values_BTD.flatten(0, 1)).reshape(values_BTD.shape)
