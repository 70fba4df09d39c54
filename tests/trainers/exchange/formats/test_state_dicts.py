"""State dicts of dictionary_learning and InterPLM: formulas, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from actstore import errors
from tests.trainers.exchange.formats.written import Tensors, kept, linear, matrices
from tests.trainers.exchange.made import LATENTS, WIDTH, draw
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.state_dicts import Architecture, of_state_dict

STATES: dict[Architecture, Callable[[], Tensors]] = {
    "relu": linear,
    "relu-no-bias": lambda: linear("decoder.bias"),
    "topk": lambda: linear("b_dec") | kept(),
    "batch-topk": lambda: linear("b_dec") | kept(threshold=0.5),
    "matryoshka": lambda: matrices() | kept(threshold=0.5) | {"group_sizes": torch.tensor([4, 16])},
    "jumprelu": lambda: matrices() | {"threshold": draw(LATENTS, seed=6)},
    "jumprelu-linear": lambda: linear("decoder.bias") | {"threshold": draw(LATENTS, seed=6)},
}


@pytest.mark.parametrize("architecture", STATES)
def test_weights_have_our_names_and_shapes(architecture: Architecture, tmp_path: Path) -> None:
    found = of_state_dict(ForeignFolder(tmp_path), STATES[architecture](), architecture)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.weights.items() if name != "threshold"}
    assert shapes == {
        "W_enc": (1, WIDTH, LATENTS),
        "b_enc": (LATENTS,),
        "W_dec": (LATENTS, 1, WIDTH),
        "b_dec": (1, WIDTH),
    }
    wanted = "topk" if architecture == "topk" else "relu" if architecture.startswith("relu") else "jumprelu"
    assert found.activation.name == wanted
    assert ("threshold" in found.weights) == (wanted == "jumprelu")
    assert found.subtracts_b_dec == (architecture in {"relu", "topk", "batch-topk", "matryoshka"})


@pytest.mark.parametrize("architecture", ["batch-topk", "matryoshka"])
def test_the_threshold_of_training_is_that_of_every_latent_and_recorded(
    architecture: Architecture, tmp_path: Path
) -> None:
    found = of_state_dict(ForeignFolder(tmp_path), STATES[architecture](), architecture)
    assert torch.equal(found.weights["threshold"], torch.full((LATENTS,), 0.5))
    assert "k = 4" in found.notes["threshold"]


def changed(**changes: Tensor | None) -> Tensors:
    state = linear("b_dec") | kept(threshold=0.5) | changes
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (changed(threshold=torch.tensor(-1.0)), "this BatchTopK dictionary has no threshold (-1)"),
        (changed(threshold=torch.tensor(0.0)), "has no threshold (0)"),
        (changed(threshold=torch.ones(3)), "threshold is [3]"),
        (changed(k=torch.tensor(0)), "k is 0, of 20 latents"),
        (changed(k=torch.tensor(21)), "k is 21, of 20 latents"),
        (changed(k=torch.tensor([4])), "k is [1]"),
        (changed(b_dec=None), "expected b_dec"),
        (changed(b_dec=torch.ones(3)), "b_dec is [3]; expected [6]"),
        (changed(more=torch.ones(3)), "holds b_dec, decoder.weight"),
        ({"encoder.weight": torch.ones(3)}, "no matrix encoder.weight"),
        ({}, "no matrix encoder.weight"),
    ],
)
def test_what_is_refused(state: Tensors, said: str, tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError) as caught:
        of_state_dict(ForeignFolder(tmp_path), state, "batch-topk")
    assert said in str(caught.value)
