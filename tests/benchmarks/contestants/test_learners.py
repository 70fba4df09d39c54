"""Every library learns the same planted rows, through the same calls."""

import pytest
import torch

from benchmarks.contestants.learners import KINDS, LEARNERS, Kind, Ours, Sizes, learners_of
from benchmarks.peers import planted
from tests.conftest import need
from tests.services.peers import obstacle, python_of_peers

DATA = planted(rows=4000, width=16, directions=24, active=2)
SIZES = Sizes(sites=1, width=16, latents=24, k=2, batch_rows=256, steps=60)


def check_learner(name: str, kind: Kind) -> None:
    """Raise unless a learner explains more after some steps."""
    learner = learners_of(kind)[name](SIZES, DATA.train_NX, 0)
    before = error_of(learner.forward(DATA.held_out_NX)[0])
    for step in range(SIZES.steps):
        learner.step(DATA.train_NX[torch.randperm(3600, generator=torch.Generator().manual_seed(step))[:256]])
    back_BX, active_BF = learner.forward(DATA.held_out_NX)
    assert error_of(back_BX) < before
    assert kind != "topk" or int(active_BF.sum(dim=1).max()) <= SIZES.k
    assert 0 < float(active_BF.float().mean()) < 1
    assert learner.decoder_FX().shape == (24, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_ours_explains_more_after_some_steps(kind: Kind) -> None:
    check_learner("actstore", kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_so_do_the_others(kind: Kind) -> None:
    need(obstacle(), "learners of other libraries")
    others = sorted(learners_of(kind).keys() - {"actstore"})
    check = "from tests.benchmarks.contestants.test_learners import check_learner"
    assert len(others) == (3 if kind == "topk" else 2)
    python_of_peers(f"{check}\nfor name in {others}: check_learner(name, {kind!r})")


def test_all_learners_have_topk() -> None:
    assert learners_of("topk").keys() == LEARNERS.keys()


def error_of(back_BX: torch.Tensor) -> float:
    return float((DATA.held_out_NX - back_BX).square().sum())


def test_six_sites_are_one_crosscoder_of_ours() -> None:
    sizes = Sizes(sites=6, width=8, latents=32, k=4, batch_rows=64, steps=4)
    rows_NX = torch.randn(256, 48, generator=torch.Generator().manual_seed(0))
    learner = Ours(sizes, rows_NX, 0)
    learner.step(rows_NX[:64])
    assert learner.forward(rows_NX)[0].shape == rows_NX.shape
    assert learner.dead_after_rows >= 1


@pytest.mark.parametrize(("normalisation", "size"), [("unit", 1.0), ("sqrt_d", 8.0), ("none", None)])
def test_our_rows_are_scaled_as_the_normalisation_says(normalisation: str, size: float | None) -> None:
    sizes = Sizes(sites=1, width=8, latents=32, k=4, batch_rows=64, steps=4)
    rows_NX = 5 + torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
    learner = Ours(sizes, rows_NX, 0, normalisation=normalisation)
    scaled_NX = rows_NX * learner.scale_S
    if size is None:
        assert torch.equal(scaled_NX, rows_NX)
    else:
        assert float(scaled_NX.square().sum(dim=1).mean()) == pytest.approx(size, rel=0.02)
