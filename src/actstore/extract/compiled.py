"""`model.compile`: the blocks of a network through torch.compile."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from actstore.errors import ModelError, SiteError

__all__ = ["compile_blocks", "compiling"]


def compile_blocks(network: nn.Module, blocks: str | None, captured: Collection[str]) -> None:
    """Let each block of a network be compiled when it first runs; sizes of batches may vary.

    Blocks are compiled one by one, so that modules captured between them do not change. Blocks are alike, so the first
    one takes nearly all of the compile time.

    Parameters
    ----------
    network
        Changed in place.
    blocks
        Path of the list of blocks.
    captured
        Paths of the modules whose outputs are captured.

    Raises
    ------
    ModelError
        If the path of the blocks is not known.
    SiteError
        If a captured module is inside a block, where compiling would merge it with its neighbours.
    """
    if blocks is None:
        raise ModelError(
            "model.compile needs to know the blocks of this architecture: set 'model.blocks' to the path of their list"
        )
    if inside := sorted(
        path for path in captured if path.startswith(f"{blocks}.") and path.count(".") > blocks.count(".") + 1
    ):
        raise SiteError(f"{inside[0]} is inside a block that model.compile merges; remove the site or model.compile")
    for block in network.get_submodule(blocks).children():
        block.forward = torch.compile(block.forward, dynamic=True)


@contextmanager
def compiling(name: str) -> Iterator[None]:
    """Raise an error with a remedy if torch.compile fails on a model of this name.

    Raises
    ------
    ModelError
        If it does.
    """
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 - takes seconds, and is needed only here

    try:
        yield
    except TorchDynamoException as error:
        said = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{name}: torch.compile failed ({said}); it needs a C++ compiler (g++) and, on a GPU, Triton; "
            "or leave out 'model.compile'"
        ) from error
