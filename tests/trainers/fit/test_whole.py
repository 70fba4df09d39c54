"""A batch that is shared by ranks, or trained on in parts, is the same batch."""

import json
from typing import Any

import pytest
import torch

from tests.trainers.in_memory import plan_of, state_of, stream_of
from tests.trainers.planted import plant
from tests.trainers.ranked import on_ranks
from trainers.fit.loop import Trained, train
from trainers.fit.state import TrainState

STEPS = 16
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "topk-sae": (1, {"k": 3}),
    "relu-sae": (1, {}),
    "crosscoder-topk": (2, {"k": 3}),
    "crosscoder-l1": (2, {}),
    "gated-sae": (1, {}),
    "clt-topk": (2, {"k": 3}),
}
ONE_PASS: dict[str, tuple[int, dict[str, Any]]] = {
    "batch-topk-sae": (1, {"k": 3}),
    "matryoshka-sae": (1, {"k": 3, "group_draw": "random"}),
    "jumprelu-sae": (1, {"l0_target": 3.0}),
    "p-annealing-sae": (1, {"p_anneal_from": 0.0}),
}
"""Their code or penalty is about a batch: ranks share one, and several passes are not the same."""
OPTIONS = {"latents": 96, "steps": STEPS, "dead_after_rows": 600, "auxk_latents": 8}
ROWS, BATCH_ROWS = 2501, 256  # the last batch of an epoch has 197 rows: ranks and parts get different numbers of them


def one_process(name: str, *, parts: int = 1, **more: Any) -> tuple[TrainState, list[Trained]]:
    sites, own = (CASES | ONE_PASS)[name]
    stream = stream_of(plant(rows=ROWS, sites=sites).values_NSD, batch_rows=BATCH_ROWS)
    plan = plan_of(stream, dictionary=name, **OPTIONS | own | more)
    state = state_of(stream, plan)
    return state, list(train(state, stream, plan, parts=parts))


def losses(steps: list[Trained]) -> list[float]:
    return [step.report.loss for step in steps]


def assert_same(state: TrainState, steps: list[Trained], said: dict[str, Any]) -> None:
    want = [step.report for step in steps]
    assert said["rows"] == [report.rows for report in want]
    assert said["batch_rows"] == [step.batch_rows for step in steps]
    assert said["dead"] == [report.dead for report in want]
    assert said["loss"] == pytest.approx([report.loss for report in want], rel=2e-5)
    assert said["auxk"] == pytest.approx([report.terms.get("auxk", 0.0) for report in want], rel=1e-4)
    assert said["explained"] == pytest.approx([report.batch_explained_variance for report in want], rel=1e-4)
    assert said["l0"] == pytest.approx([report.batch_l0 for report in want])
    assert said["idle_rows"] == state.idle_rows_F.tolist()
    for weight, other in zip(state.dictionary.parameters(), said["weights"], strict=True):
        torch.testing.assert_close(torch.tensor(other), weight.detach(), rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks reports, by case and number of parts."""
    program = f"""
from tests.trainers.in_memory import plan_of, state_of
from tests.trainers.planted import plant
from trainers.fit.loop import train
said = {{}}
for name, (sites, own) in {CASES | ONE_PASS!r}.items():
    for parts in (1, 2) if name in {[*CASES]!r} else (1,):
        values_NSD = plant(rows={ROWS}, sites=sites).values_NSD
        stream = Shared(values_NSD, tuple(f"resid_post.{{s}}" for s in range(sites)), batch_rows={BATCH_ROWS})
        plan = plan_of(stream, dictionary=name, **{OPTIONS!r} | own)
        state = state_of(stream, plan)
        steps = list(train(state, stream, plan, parts=parts))
        reports = [step.report for step in steps]
        said[f"{{name}} {{parts}}"] = {{
            "rows": [report.rows for report in reports],
            "batch_rows": [step.batch_rows for step in steps],
            "dead": [report.dead for report in reports],
            "loss": [report.loss for report in reports],
            "auxk": [report.terms.get("auxk", 0.0) for report in reports],
            "explained": [report.batch_explained_variance for report in reports],
            "l0": [report.batch_l0 for report in reports],
            "idle_rows": state.idle_rows_F.tolist(),
            "weights": [weight.tolist() for weight in state.dictionary.parameters()],
            "buffers": {{name: buffer.tolist() for name, buffer in state.dictionary.named_buffers()}},
        }}
say(said)
"""
    return on_ranks(program, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_two_ranks_train_as_one_process_with_their_rows(name: str, parts: int, two_ranks: list[dict[str, Any]]) -> None:
    state, steps = one_process(name)
    if "k" in CASES[name][1]:
        assert sum(step.report.terms["auxk"] > 0 for step in steps) > STEPS // 3, "AuxK is at work"
    for said in two_ranks:
        assert_same(state, steps, said[f"{name} {parts}"])


@pytest.mark.parametrize("name", ONE_PASS)
def test_what_is_about_a_batch_is_about_that_of_all_ranks(name: str, two_ranks: list[dict[str, Any]]) -> None:
    state, steps = one_process(name)
    for said in two_ranks:
        assert_same(state, steps, said[f"{name} 1"])
    for name_, buffer in state.dictionary.named_buffers():
        values = [torch.tensor(said[f"{name} 1"]["buffers"][name_]) for said in two_ranks]
        assert torch.equal(*values)
        torch.testing.assert_close(values[0], buffer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_all_ranks_hold_the_same_bits(name: str, two_ranks: list[dict[str, Any]]) -> None:
    first, second = (json.dumps(said[f"{name} 2"]) for said in two_ranks)
    assert first == second


@pytest.mark.parametrize("parts", [2, 3, 1000])
@pytest.mark.parametrize("name", CASES)
def test_several_passes_make_the_update_of_one(name: str, parts: int) -> None:
    whole, in_parts = one_process(name), one_process(name, parts=parts)
    assert losses(in_parts[1]) == pytest.approx(losses(whole[1]), rel=2e-5)
    assert torch.equal(in_parts[0].idle_rows_F, whole[0].idle_rows_F)


def test_several_passes_in_bf16_train_on() -> None:
    """Sums of the parts are rounded elsewhere than those of the whole, so only roughly the same."""
    whole, in_parts = (one_process("topk-sae", parts=parts, precision="bf16") for parts in (1, 2))
    assert losses(in_parts[1]) == pytest.approx(losses(whole[1]), rel=0.05)
