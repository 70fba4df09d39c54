"""Cross-layer transcoders compute what their equations say, and find a planted circuit."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainers.dictionaries.shapes.test_transcoder import filled, rows
from tests.trainers.in_memory import plan_of, state_of, stream_of, train_on
from tests.trainers.planted import Planted, mean_max_cosine, plant
from trainers.dictionaries.codes.topk import topk_code, topk_pass
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.kinds.clt_topk import CltTopK
from trainers.dictionaries.kinds.transcoder_topk import TranscoderTopK
from trainers.fit.auxk import auxk_loss

EACH = 20
SAME = Shape(3, 6, 3 * EACH, 9)
OTHERS = Shape(6, 6, 3 * EACH, 9, reads=(4, 0, 2), writes=(1, 5, 3))


def naive(clt: CltTopK, values_BSD: Tensor) -> tuple[Tensor, Tensor]:
    """The equations, row by row and layer by layer."""
    shape, codes, outputs = clt.shape, [], []
    for row_SD in values_BSD:
        active = [
            torch.relu((row_SD[site] - clt.b_pre[layer]) @ clt.W_enc[layer] + clt.b_enc[layer])
            for layer, site in enumerate(shape.read)
        ]
        norms = [one.flatten(1).norm(dim=1) for one in clt.W_dec]
        rank_F = torch.cat([one * norm for one, norm in zip(active, norms, strict=True)])
        code_F = torch.where(rank_F >= rank_F.topk(clt.kept).values[-1], torch.cat(active), 0)
        layers = code_F.view(len(shape.read), -1)
        outputs.append(
            torch.stack(
                [
                    sum((layers[own] @ clt.W_dec[own][:, m - own] for own in range(m + 1)), clt.b_dec[m])
                    for m in range(len(shape.written))
                ]
            )
        )
        codes.append(code_F)
    return torch.stack(codes), torch.stack(outputs)


@pytest.mark.parametrize("shape", [SAME, OTHERS])
def test_a_pass_is_that_of_the_equations(shape: Shape) -> None:
    clt = filled(CltTopK(shape))
    values_BSD = rows(shape.sites)
    code_BF, output_BLD = naive(clt, values_BSD)
    output = clt(values_BSD)
    torch.testing.assert_close(clt.encode(values_BSD), code_BF)
    torch.testing.assert_close(output.reconstruction_BSD, output_BLD)
    torch.testing.assert_close(clt.decode(code_BF), output_BLD)
    assert output.fired_F.tolist() == (code_BF > 0).sum(dim=0).tolist()
    assert torch.equal(clt.targets(values_BSD), values_BSD[:, list(shape.written)])


def test_its_matrices_compute_the_same() -> None:
    clt = filled(CltTopK(SAME))
    code_BF = topk_code(clt.flat(), rows(), kept=9, score_F=clt.score_F())
    torch.testing.assert_close(code_BF, clt.encode(rows()))
    whole = topk_pass(clt.flat(), rows(), kept=9, score_F=clt.score_F())
    torch.testing.assert_close(whole.reconstruction_BX, clt(rows()).reconstruction_BSD.flatten(1))
    torch.testing.assert_close(clt.decoder_norm_FS(), clt.flat().decoder_FX.view(-1, 3, 6).norm(dim=2))


@pytest.mark.parametrize("silent", [None, 1])
def test_sparse_and_dense_arithmetic_have_the_same_gradients(silent: int | None) -> None:
    """Also if no latent of a layer is active in the whole batch."""
    clt = filled(CltTopK(OTHERS)).double()
    if silent is not None:
        with torch.no_grad():
            clt.b_enc[silent] = -1e6
    gradients = []
    for keep_code in (False, True):
        clt.keep_code = keep_code
        output = clt(rows(6).double())
        error = (output.reconstruction_BSD - clt.targets(rows(6).double())).square().sum()
        gradients.append(torch.autograd.grad(error, list(clt.parameters())))
        assert (output.code_BF is not None) == keep_code
    for sparse, dense in zip(*gradients, strict=True):
        torch.testing.assert_close(sparse, dense)


def test_gradients_are_those_of_finite_differences() -> None:
    clt = filled(CltTopK(OTHERS)).double()
    values_BSD, parameters = rows(6).double()[:4], dict(clt.named_parameters())

    def error(*tensors: Tensor) -> Tensor:
        named = dict(zip(parameters, tensors, strict=True))
        output = torch.func.functional_call(clt, named, (values_BSD,))
        error: Tensor = (output.reconstruction_BSD - clt.targets(values_BSD)).square().sum()
        return error

    assert torch.autograd.gradcheck(error, tuple(parameters.values()), fast_mode=True)


def test_the_ranking_does_not_depend_on_how_a_latent_is_scaled() -> None:
    clt = filled(CltTopK(SAME))
    before_BSD = clt(rows()).reconstruction_BSD
    scale_F = torch.linspace(0.1, 10, EACH)
    with torch.no_grad():
        for layer, decoder in enumerate(clt.W_dec):
            clt.W_enc[layer] *= scale_F
            clt.b_enc[layer] *= scale_F
            decoder.div_(scale_F[:, None, None])
    torch.testing.assert_close(clt(rows()).reconstruction_BSD, before_BSD, rtol=1e-4, atol=1e-4)


def test_of_one_layer_it_is_a_transcoder() -> None:
    shape = Shape(2, 6, EACH, 4, reads=(1,), writes=(0,))
    clt = filled(CltTopK(shape))
    transcoder = TranscoderTopK(shape)
    own = clt.state_dict()
    norm_F = own["W_dec.0"][:, 0].norm(dim=1)  # decoders of norm 1 rank by activation
    transcoder.load_state_dict(
        {
            "W_enc": own["W_enc"][0] * norm_F,
            "b_enc": own["b_enc"][0] * norm_F,
            "W_dec": own["W_dec.0"][:, 0] / norm_F[:, None],
            "b_dec": own["b_dec"][0],
            "b_pre": own["b_pre"][0],
        }
    )
    values_BSD = rows(2)
    torch.testing.assert_close(clt(values_BSD).reconstruction_BSD, transcoder(values_BSD).reconstruction_BSD)


def test_auxk_is_that_of_the_whole_matrices() -> None:
    clt = filled(CltTopK(OTHERS)).double()
    values_BSD = rows(6).double()
    dead_F = torch.tensor([0, 3, 19, 20, 44, 59])
    residual_BSD = clt.targets(values_BSD) - clt(values_BSD).reconstruction_BSD.detach()
    loss = auxk_loss(clt, values_BSD, residual_BSD, dead_F, most_latents=3, least=1e-9)
    flat = clt.flat()
    ranked_BF = torch.relu(flat.pre(clt.inputs(values_BSD).flatten(1))[:, dead_F])
    score_F = clt.score_F()[dead_F]
    index_BK = (ranked_BF * score_F).topk(3).indices
    code_BF = torch.zeros_like(ranked_BF).scatter(1, index_BK, ranked_BF.gather(1, index_BK))
    guess_BX, wanted_BX = code_BF @ flat.decoder_FX[dead_F], residual_BSD.flatten(1)
    multiple = ((guess_BX * wanted_BX).sum() / guess_BX.square().sum()).clamp(0.01, 1.0)
    wanted = (wanted_BX - multiple.detach() * guess_BX).square().sum() / wanted_BX.square().sum()
    torch.testing.assert_close(loss, wanted)
    gradients = torch.autograd.grad(loss, list(clt.W_dec))
    for have, want in zip(gradients, torch.autograd.grad(wanted, list(clt.W_dec)), strict=True):
        torch.testing.assert_close(have, want)


LAYERS, WIDTH, PLANTED = 3, 32, 24


def circuit(rows: int = 8192) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rows of the inputs and outputs of three layers, and the decoders of the latents of each layer.

    The input of each layer is a sparse code of its own. The output of a layer is a linear function of the codes of it
    and of the layers before.
    """
    rng = np.random.default_rng(3)
    codes = [plant(rows=rows, width=WIDTH, latents=PLANTED, active=2, seed=layer) for layer in range(LAYERS)]
    decoders = [rng.standard_normal((PLANTED, LAYERS - layer, WIDTH)) for layer in range(LAYERS)]
    decoders = [one / np.linalg.norm(one, axis=2, keepdims=True) for one in decoders]
    inputs = [each.values_NSD[:, 0] for each in codes]
    sparse = []
    for each, input_ND in zip(codes, inputs, strict=True):
        code_NF = np.linalg.lstsq(each.direction_FX.T, (input_ND - input_ND.mean(axis=0)).T, rcond=None)[0].T
        sparse.append(code_NF / 100)
    outputs = [sum(sparse[own] @ decoders[own][:, m - own] for own in range(m + 1)) for m in range(LAYERS)]
    return np.stack([*inputs, *outputs], axis=1).astype(np.float32), decoders


BETWEEN: dict[str, Any] = {
    "dictionary": "clt-topk",
    "sites": tuple(f"resid_post.{layer}" for layer in range(LAYERS)),
    "targets": tuple(f"resid_post.{LAYERS + layer}" for layer in range(LAYERS)),
}


def test_a_planted_linear_circuit_is_found() -> None:
    values_NSD, decoders = circuit()
    state, steps = train_on(stream_of(values_NSD, batch_rows=256), **BETWEEN, latents=32, k=2, steps=800)
    clt: Any = state.dictionary
    for truth, found in zip(decoders, clt.W_dec, strict=True):
        truth_FX = truth.reshape(PLANTED, -1) / np.linalg.norm(truth.reshape(PLANTED, -1), axis=1, keepdims=True)
        assert mean_max_cosine(truth_FX.astype(np.float32), found.detach().flatten(1).numpy()) > 0.95
    explained = steps[-1].report.batch_explained_variance
    assert explained is not None
    assert explained > 0.95
    assert tuple(steps[-1].report.batch_explained_variance_per_site) == BETWEEN["targets"]


@pytest.mark.parametrize("site", [1, 4])
def test_codes_do_not_depend_on_the_scale_of_a_site(site: int) -> None:
    values_NSD, _ = circuit(rows=1024)
    scaled_NSD = values_NSD.copy()
    scaled_NSD[:, site] *= 7
    codes = []
    for each_NSD in (values_NSD, scaled_NSD):
        state, _ = train_on(stream_of(each_NSD, batch_rows=256), **BETWEEN, latents=32, k=2, steps=20)
        codes.append(state.dictionary.encode(torch.as_tensor(each_NSD) * state.scale_S[:, None]).detach())
    assert float(((codes[0] - codes[1]).abs() > 1e-3).double().mean()) < 1e-3


def test_it_starts_with_decoders_of_norm_1_and_centred_rows(three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD)
    clt: Any = state_of(stream, plan_of(stream, dictionary="clt-topk", latents=EACH, k=4)).dictionary
    for decoder in clt.W_dec:
        torch.testing.assert_close(decoder.detach().flatten(1).norm(dim=1), torch.ones(EACH))
    torch.testing.assert_close(clt.W_enc.detach().norm(dim=1), torch.full((3, EACH), 0.75))
    assert torch.equal(clt.b_pre, clt.b_dec)


def test_latents_and_k_count_for_each_layer(three_sites: Planted) -> None:
    plan = plan_of(stream_of(three_sites.values_NSD), dictionary="clt-topk", latents=EACH, k=4)
    assert (plan.latents, plan.kept, plan.latents_each, plan.kept_each) == (60, 12, 20, 4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape(3, 6, 20, 4), "20 latents cannot be shared out over 3 layers"),
        (Shape(3, 6, 20, 4, reads=(0, 1), writes=(2,)), "2 layers writes 1 sites"),
    ],
)
def test_layers_that_do_not_fit_are_refused(shape: Shape, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CltTopK(shape)
