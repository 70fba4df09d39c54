"""Transcoders compute what their equations say, and find a planted map."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actstore import errors
from tests.trainers.in_memory import plan_of, state_of, stream_of, train_on
from tests.trainers.planted import Planted, mean_max_cosine, plant
from trainers.dictionaries.dictionary import Dictionary, Shape
from trainers.dictionaries.kinds.topk_sae import TopKSae
from trainers.dictionaries.kinds.transcoder_topk import TranscoderTopK

TO_ANOTHER = Shape(3, 6, 20, 4, reads=(2,), writes=(0,))


def filled(dictionary: Dictionary, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in [*dictionary.parameters(), *dictionary.buffers()]:
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return dictionary


def rows(sites: int = 3, seed: int = 5) -> Tensor:
    return torch.randn(40, sites, 6, generator=torch.Generator().manual_seed(seed))


def naive(transcoder: TranscoderTopK, values_BSD: Tensor) -> tuple[Tensor, Tensor]:
    """The equations, row by row."""
    shape, codes, outputs = transcoder.shape, [], []
    for row_SD in values_BSD:
        centred_D = row_SD[shape.read[0]] - transcoder.b_pre
        active_F = torch.relu(centred_D @ transcoder.W_enc + transcoder.b_enc)
        code_F = torch.where(active_F >= active_F.topk(transcoder.kept).values[-1], active_F, 0)
        output_D = code_F @ transcoder.W_dec + transcoder.b_dec
        codes.append(code_F)
        outputs.append(output_D if transcoder.W_skip is None else output_D + centred_D @ transcoder.W_skip)
    return torch.stack(codes), torch.stack(outputs)


@pytest.mark.parametrize("skip", [False, True])
def test_a_pass_is_that_of_the_equations(skip: bool) -> None:
    transcoder = filled(TranscoderTopK(TO_ANOTHER, skip=skip))
    code_BF, output_BD = naive(transcoder, rows())
    output = transcoder(rows())
    torch.testing.assert_close(transcoder.encode(rows()), code_BF)
    torch.testing.assert_close(output.reconstruction_BSD[:, 0], output_BD)
    assert output.fired_F.tolist() == (code_BF > 0).sum(dim=0).tolist()
    assert torch.equal(transcoder.targets(rows())[:, 0], rows()[:, 0])


@pytest.mark.parametrize("skip", [False, True])
def test_gradients_are_those_of_finite_differences(skip: bool) -> None:
    transcoder = filled(TranscoderTopK(TO_ANOTHER, skip=skip)).double()
    values_BSD, parameters = rows().double()[:9], dict(transcoder.named_parameters())

    def error(*tensors: Tensor) -> Tensor:
        named = dict(zip(parameters, tensors, strict=True))
        output = torch.func.functional_call(transcoder, named, (values_BSD,))
        error: Tensor = (output.reconstruction_BSD - transcoder.targets(values_BSD)).square().sum()
        return error

    assert torch.autograd.gradcheck(error, tuple(parameters.values()))


def test_of_a_site_to_itself_it_is_the_sparse_autoencoder_to_the_bit() -> None:
    """Its b_pre has the place of the bias that a sparse autoencoder subtracts."""
    sae, transcoder = filled(TopKSae(Shape(1, 6, 20, 4))), TranscoderTopK(Shape(1, 6, 20, 4))
    transcoder.load_state_dict(sae.state_dict() | {"b_pre": sae.b_dec})
    results = [each(rows(1)) for each in (sae, transcoder)]
    assert torch.equal(results[0].reconstruction_BSD, results[1].reconstruction_BSD)
    for output in results:
        (output.reconstruction_BSD - rows(1)).square().sum().backward()
    for name in ("W_enc", "b_enc", "W_dec"):
        assert torch.equal(getattr(sae, name).grad, getattr(transcoder, name).grad)


def test_of_a_site_to_itself_it_starts_and_learns_as_a_sparse_autoencoder(one_site: Planted) -> None:
    options: dict[str, Any] = {"latents": 64, "k": 3, "steps": 300, "dead_after_rows": 5000}
    alike = {"sites": "resid_post.0", "targets": "resid_post.0"}
    sae, of_sae = train_on(stream_of(one_site.values_NSD), dictionary="topk-sae", **options)
    transcoder, of_transcoder = train_on(
        stream_of(one_site.values_NSD), dictionary="transcoder-topk", **alike, **options
    )
    assert of_transcoder[0].report.loss == of_sae[0].report.loss
    assert of_transcoder[-1].report.loss == pytest.approx(of_sae[-1].report.loss, abs=0.02)
    assert sae.variance == transcoder.variance


def planted_map(*, width: int = 32, latents: int = 48, rows: int = 8192) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two sites with one sparse code, and the directions of the second, which has another scale."""
    code = plant(rows=rows, sites=2, width=width, latents=latents)
    values_NSD = code.values_NSD.copy()
    values_NSD[:, 1] *= 0.07
    return values_NSD, code.direction_FX.reshape(latents, 2, width)[:, 1]


def test_a_planted_map_is_found() -> None:
    values_NSD, truth_FD = planted_map()
    state, steps = train_on(
        stream_of(values_NSD, batch_rows=256),
        dictionary="transcoder-topk", sites="resid_post.0", targets="resid_post.1", latents=64, k=3, steps=600,
    )  # fmt: skip
    truth_FD = truth_FD / np.linalg.norm(truth_FD, axis=1, keepdims=True)
    assert mean_max_cosine(truth_FD, state.dictionary.W_dec.detach().numpy()) > 0.97
    explained = steps[-1].report.batch_explained_variance
    assert explained is not None
    assert explained > 0.95
    assert steps[-1].report.batch_explained_variance_per_site.keys() == {"resid_post.1"}


def test_a_skip_learns_what_is_linear() -> None:
    values_NSD, _ = planted_map()
    map_DD = np.random.default_rng(1).standard_normal((32, 32)).astype(np.float32) / 32**0.5
    values_NSD[:, 1] = values_NSD[:, 0] @ map_DD
    explained = []
    for skip in (False, True):
        _, steps = train_on(
            stream_of(values_NSD, batch_rows=256),
            dictionary="transcoder-topk", sites="resid_post.0", targets="resid_post.1", latents=32, k=1, steps=300,
            skip=skip,
        )  # fmt: skip
        explained.append(steps[-1].report.batch_explained_variance or 0.0)
    assert explained[1] > 0.99 > explained[0]


@pytest.mark.parametrize("site", [0, 1])
def test_codes_do_not_depend_on_the_scale_of_a_site(site: int) -> None:
    values_NSD, _ = planted_map(rows=1024)
    scaled_NSD = values_NSD.copy()
    scaled_NSD[:, site] *= 7
    options: dict[str, Any] = {
        "dictionary": "transcoder-topk", "sites": "resid_post.0", "targets": "resid_post.1", "latents": 64, "k": 3,
        "steps": 40, "skip": True,
    }  # fmt: skip
    codes = []
    for each_NSD in (values_NSD, scaled_NSD):
        state, _ = train_on(stream_of(each_NSD, batch_rows=256), **options)
        codes.append(state.dictionary.encode(torch.as_tensor(each_NSD) * state.scale_S[:, None]).detach())
    torch.testing.assert_close(codes[0], codes[1], rtol=1e-2, atol=1e-3)


def test_the_objective_is_of_the_written_site(three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD)
    plan = plan_of(stream, dictionary="transcoder-topk", sites="resid_post.2", targets="resid_post.0")
    state = state_of(stream, plan)
    scaled_ND = torch.as_tensor(three_sites.values_NSD)[:, 0].double() * float(state.scale_S[0])
    assert state.variance == pytest.approx(float(scaled_ND.var(dim=0, correction=0).sum()), rel=1e-4)
    torch.testing.assert_close(state.dictionary.b_dec.double(), scaled_ND.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_several_sites_are_refused() -> None:
    with pytest.raises(ValueError, match="one site and writes one, not 3 and 3"):
        TranscoderTopK(Shape(3, 6, 20, 4))


def test_a_skip_is_for_transcoders(one_site: Planted) -> None:
    with pytest.raises(errors.UsageError, match="topk-sae has no --skip"):
        plan_of(stream_of(one_site.values_NSD), dictionary="topk-sae", skip=True)
