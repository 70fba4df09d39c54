"""Shared latents and latents of one site: held exactly while a crosscoder trains, and in what becomes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trainers
from actstore import errors
from tests.trainers.in_memory import origin_of, plan_of, state_of, stream_of, train_on
from tests.trainers.planted import Planted, plant_parts
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.kinds.crosscoder_l1 import CrosscoderL1
from trainers.dictionaries.shapes.crosscoder import Crosscoder
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.loop import train
from trainers.fit.state import TrainState
from trainers.save.checkpoint import read_checkpoint, resume_state, write_checkpoint

CROSSCODERS = [name for name, kind in DICTIONARIES.items() if issubclass(kind, Crosscoder)]
SHARED, EXCLUSIVE, LATENTS = 9, 7, 64
PARTS: dict[str, Any] = {"shared_latents": SHARED, "exclusive_latents": EXCLUSIVE, "latents": LATENTS}


def options_of(name: str, **more: Any) -> dict[str, Any]:
    """A short run in which latents die, so that AuxK takes part where there is one."""
    kept = {"k": 2} if DICTIONARIES[name].keeps_k else {}
    return {"dictionary": name, "steps": 12, "dead_after_rows": 256, **PARTS, **kept, **more}


def assert_held(encoder_SDF: Tensor, decoder_FSD: Tensor) -> None:
    sites = decoder_FSD.shape[1]
    for site in range(sites):
        assert torch.equal(decoder_FSD[:SHARED, site], decoder_FSD[:SHARED, 0])
        own = slice(SHARED + site * EXCLUSIVE, SHARED + (site + 1) * EXCLUSIVE)
        assert bool((decoder_FSD[own, site] != 0).all())
        for other in {*range(sites)} - {site}:
            assert not decoder_FSD[own, other].any()
            assert not encoder_SDF[other, :, own].any()


@pytest.mark.parametrize("name", CROSSCODERS)
def test_every_step_holds_the_partition_to_the_bit(name: str, three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD[:2000], batch_rows=128)
    plan = plan_of(stream, **options_of(name))
    state = state_of(stream, plan)
    first_FSD = state.dictionary.W_dec.detach().clone()
    assert_held(state.dictionary.W_enc, state.dictionary.W_dec)
    torch.testing.assert_close(first_FSD.flatten(1).norm(dim=1), torch.ones(LATENTS))
    taught = 0.0
    for step in train(state, stream, plan):
        assert_held(state.dictionary.W_enc, state.dictionary.W_dec)
        taught += step.report.terms.get("auxk", 0.0)
    assert (taught > 0) == DICTIONARIES[name].keeps_k
    moments = state.optimizer.state[state.dictionary.W_dec]
    assert torch.equal(moments["exp_avg"][:SHARED, 1], moments["exp_avg"][:SHARED, 0])
    assert not moments["exp_avg_sq"][SHARED : SHARED + EXCLUSIVE, 1:].any()
    moved_F = (state.dictionary.W_dec.detach() - first_FSD).flatten(1).norm(dim=1)
    assert float(moved_F[: SHARED + 3 * EXCLUSIVE].min()) > 0


@pytest.mark.parametrize("name", CROSSCODERS)
def test_an_interrupted_run_goes_on_to_the_bit_and_its_dictionary_has_the_partition(
    name: str, three_sites: Planted, tmp_path: Path
) -> None:
    def stopped(at: int) -> tuple[TrainState, Path]:
        stream = stream_of(three_sites.values_NSD[:2000], batch_rows=128)
        plan = plan_of(stream, **options_of(name))
        state = state_of(stream, plan)
        for _ in train(state, stream, plan):
            if state.step == at:
                break
        path = write_checkpoint(tmp_path / str(at), state, plan=plan, origin=origin_of(stream), cursor=stream.cursor)
        return state, path

    (whole, at_the_end), (_, halfway) = stopped(12), stopped(5)
    checkpoint = read_checkpoint(halfway)
    plan = checkpoint.record.plan
    assert plan.options["shared_latents"] == SHARED
    stream = stream_of(three_sites.values_NSD[:2000], batch_rows=128)
    stream.seek(checkpoint.cursor)
    resumed = resume_state(checkpoint, plan=plan, origin=origin_of(stream), device=torch.device("cpu"))
    for _ in train(resumed, stream, plan):
        pass
    for have, want in zip(resumed.dictionary.parameters(), whole.dictionary.parameters(), strict=True):
        assert torch.equal(have, want)

    trainers.export_dictionary(trainers.load(at_the_end), tmp_path / "exported")
    exported = trainers.load(tmp_path / "exported")
    if exported.facts.activation.name == "relu":
        trainers.export_dictionary(exported, tmp_path / "theirs", to="crosscoder")
        again = trainers.import_dictionary(tmp_path / "theirs")
        torch.testing.assert_close(again.relative_norm_FS, exported.relative_norm_FS)
    share_FS = exported.relative_norm_FS
    torch.testing.assert_close(share_FS[:SHARED], torch.full((SHARED, 3), 1 / 3))
    for site in range(3):
        own = slice(SHARED + site * EXCLUSIVE, SHARED + (site + 1) * EXCLUSIVE)
        torch.testing.assert_close(share_FS[own], torch.eye(3)[site].expand(EXCLUSIVE, -1))
        assert not exported.W_enc[[s for s in range(3) if s != site]][:, :, own].any()


def test_shared_latents_pay_a_part_of_the_price() -> None:
    crosscoder = CrosscoderL1(Shape(2, 6, 20), shared_latents=5, shared_sparsity=0.25)
    torch.nn.init.normal_(crosscoder.W_dec, generator=torch.Generator().manual_seed(0))
    full_F = crosscoder.W_dec.norm(dim=2).sum(dim=1)
    torch.testing.assert_close(crosscoder.price_F(), torch.cat([0.25 * full_F[:5], full_F[5:]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dictionary": "topk-sae", "shared_latents": 3}, "topk-sae has no --shared-latents"),
        ({"dictionary": "crosscoder-topk", "shared_sparsity": 0.5}, "crosscoder-topk has no --shared-sparsity"),
        ({"dictionary": "crosscoder-l1", "exclusive_latents": 0.6, "latents": 10}, r"are 18, of only 10; lower"),
        ({"dictionary": "crosscoder-l2", "shared_latents": 2.5}, "shared latents 2.5: give a whole number"),
    ],
)
def test_what_is_refused_before_training(options: dict[str, Any], message: str, three_sites: Planted) -> None:
    sites = 1 if options["dictionary"] == "topk-sae" else 3
    stream = stream_of(three_sites.values_NSD[:100, :sites])
    with pytest.raises(errors.UsageError, match=message):
        plan_of(stream, **options)


def test_a_crosscoder_of_one_site_has_nothing_to_compare(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD[:100])
    with pytest.raises(errors.UsageError, match="shared and exclusive latents compare sites, and there is only one"):
        plan_of(stream, dictionary="crosscoder-l1", shared_latents=0.1)


def parts_found(state: TrainState, planted: Planted) -> tuple[Tensor, Tensor]:
    """Return the latent nearest to each planted direction, and to which part it belongs: 0 for both sites, 1 or 2."""
    decoder_FX = torch.nn.functional.normalize(state.dictionary.flat().decoder_FX.detach(), dim=1)
    cosine, nearest_F = (torch.from_numpy(planted.direction_FX) @ decoder_FX.T).max(dim=1)
    assert float(cosine.mean()) > 0.9
    norm_FS = state.dictionary.decoder_norm_FS().detach()[nearest_F]
    share_F = norm_FS[:, 0] / norm_FS.sum(dim=1)
    return nearest_F, torch.where(share_F > 0.8, 1, torch.where(share_F < 0.2, 2, 0))


def sparsity_of(name: str) -> dict[str, float]:
    """Three directions make each row."""
    if "l0_target" in DICTIONARIES[name].options:
        return {"l0_target": 3}
    return {"k": 3} if DICTIONARIES[name].keeps_k else {"sparsity": 0.1}


@pytest.mark.parametrize("name", CROSSCODERS)
def test_it_finds_out_which_planted_directions_belong_to_which_site(name: str) -> None:
    planted = plant_parts(rows=8192)
    stream = stream_of(planted.values_NSD, batch_rows=512)
    state, steps = train_on(stream, dictionary=name, latents=96, steps=400, **sparsity_of(name))
    _, part_F = parts_found(state, planted)
    right = int((part_F.numpy() == np.repeat([0, 1, 2], 16)).sum())
    assert right == 48 or (right >= 45 and name == "crosscoder-jumprelu")
    assert steps[-1].report.batch_l0 < 8


@pytest.mark.parametrize("name", ["crosscoder-topk", "crosscoder-l1"])
def test_designated_latents_take_what_belongs_to_them(name: str) -> None:
    """With no free latents, directions of one site have no other place than its exclusive latents."""
    planted = plant_parts(rows=8192)
    kept = {"k": 3} if DICTIONARIES[name].keeps_k else {"sparsity": 0.1, "shared_sparsity": 0.5}
    stream = stream_of(planted.values_NSD, batch_rows=512)
    parts = {"shared_latents": 32, "exclusive_latents": 32}
    state, _ = train_on(stream, dictionary=name, latents=96, steps=400, **parts, **kept)
    nearest_F, part_F = parts_found(state, planted)
    assert part_F.tolist() == np.repeat([0, 1, 2], 16).tolist()
    assert torch.equal(torch.div(nearest_F, 32, rounding_mode="floor"), part_F)
