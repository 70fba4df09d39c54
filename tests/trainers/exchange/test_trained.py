"""A trained dictionary takes raw rows of any kind, and its arithmetic is that of its formula."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actstore import errors
from tests.trainers.exchange.made import LATENTS, WIDTH, draw, made, rows_of
from trainers.exchange.codes import SparseCode
from trainers.exchange.facts import Activation
from trainers.exchange.trained import TrainedDictionary

ACTIVATIONS = {
    "topk": Activation(name="topk", k=4),
    "relu": Activation(name="relu"),
    "jumprelu": Activation(name="jumprelu"),
}
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
every_width = pytest.mark.parametrize("sites", [1, 3])


def naive_code(dictionary: TrainedDictionary, values_BSD: Tensor) -> Tensor:
    """Return the code, row by row and latent by latent."""
    facts = dictionary.facts
    code_BF = torch.zeros(len(values_BSD), LATENTS)
    for row, values_SD in enumerate(values_BSD):
        given_SD = values_SD - dictionary.b_dec if facts.subtracts_b_dec else values_SD
        pre_F = torch.einsum("sd,sdf->f", given_SD, dictionary.W_enc) + dictionary.b_enc
        rank_F = torch.ones(LATENTS) if dictionary.rank is None else dictionary.rank
        if facts.activation.k is not None:
            kept = sorted(range(LATENTS), key=lambda f: -float(pre_F[f].relu() * rank_F[f]))[: facts.activation.k]
        elif dictionary.threshold is not None:
            kept = [f for f in range(LATENTS) if pre_F[f] * rank_F[f] > dictionary.threshold[f]]
        else:
            kept = list(range(LATENTS))
        code_BF[row, kept] = pre_F[kept].relu()
    return code_BF


@every_activation
@every_width
def test_the_code_is_that_of_the_formula(name: str, sites: int) -> None:
    dictionary, values_BSD = made(sites=sites, activation=ACTIVATIONS[name]), rows_of(sites)
    torch.testing.assert_close(dictionary.encode(values_BSD), naive_code(dictionary, values_BSD))


@every_activation
@every_width
def test_the_sparse_code_holds_the_dense_one_largest_first(name: str, sites: int) -> None:
    dictionary, values_BSD = made(sites=sites, activation=ACTIVATIONS[name]), rows_of(sites)
    index_BK, value_BK = dictionary.encode(values_BSD, sparse=True)
    dense_BF = dictionary.encode(values_BSD)
    torch.testing.assert_close(torch.zeros_like(dense_BF).scatter_add(1, index_BK, value_BK), dense_BF)
    assert bool((value_BK.diff(dim=1) <= 0).all())


@every_activation
@every_width
def test_every_way_to_the_reconstruction_gives_the_same(name: str, sites: int) -> None:
    dictionary, values_BSD = made(sites=sites, activation=ACTIVATIONS[name]), rows_of(sites)
    code_BF = dictionary.encode(values_BSD)
    wanted_BSD = torch.einsum("bf,fsd->bsd", code_BF, dictionary.decoder_FSD) + dictionary.b_dec
    decoded = dictionary.decode(code_BF)
    torch.testing.assert_close(decoded.reshape(wanted_BSD.shape), wanted_BSD)
    torch.testing.assert_close(dictionary.decode(dictionary.encode(values_BSD, sparse=True)), decoded)
    torch.testing.assert_close(dictionary(values_BSD), wanted_BSD)
    torch.testing.assert_close(dictionary.error(values_BSD), values_BSD - wanted_BSD)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numpy_rows_give_numpy_results(dtype: Any) -> None:
    dictionary, values_BD = made(), rows_of(1)[:, 0].numpy().astype(dtype)
    code_BF, back_BD = dictionary.encode(values_BD), dictionary.reconstruct(values_BD)
    assert isinstance(code_BF, np.ndarray)
    assert code_BF.dtype == back_BD.dtype == np.float32
    assert back_BD.shape == values_BD.shape
    np.testing.assert_array_equal(code_BF, dictionary.encode(torch.from_numpy(values_BD).float()).numpy())
    index_BK, value_BK = dictionary.encode(values_BD, sparse=True)
    np.testing.assert_allclose(dictionary.decode(SparseCode(index_BK, value_BK)), back_BD, rtol=1e-5)


def test_rows_of_bfloat16_and_a_dictionary_of_bfloat16() -> None:
    values_BD = rows_of(1)[:, 0].bfloat16()
    assert made().encode(values_BD).dtype == torch.float32
    assert made().to(torch.bfloat16).encode(values_BD).dtype == torch.bfloat16
    assert made().to(torch.bfloat16).encode(values_BD.float().numpy()).dtype == np.float32


def test_one_site_may_have_its_axis() -> None:
    dictionary, values_BSD = made(), rows_of(1)
    assert torch.equal(dictionary.encode(values_BSD), dictionary.encode(values_BSD[:, 0]))
    assert dictionary.reconstruct(values_BSD).shape == values_BSD.shape
    assert dictionary.reconstruct(values_BSD[:, 0]).shape == (11, WIDTH)
    assert dictionary.decode(dictionary.encode(values_BSD)).shape == (11, WIDTH)


@pytest.mark.parametrize("method", ["encode", "reconstruct", "error"])
@every_activation
def test_gradients_of_the_rows_are_those_of_finite_differences(name: str, method: str) -> None:
    dictionary = made(sites=2, activation=ACTIVATIONS[name]).double()
    values_BSD = rows_of(2, rows=4).double().requires_grad_()
    assert torch.autograd.gradcheck(getattr(dictionary, method), values_BSD)


@pytest.mark.parametrize("transform", ["row-zscore", "row-sqrt-d"])
def test_a_transform_of_rows_is_applied_and_undone(transform: Any) -> None:
    dictionary, plain, values_BD = made(row_transform=transform), made(), rows_of(1)[:, 0]
    if transform == "row-zscore":
        shift_B1, scale_B1 = values_BD.mean(1, keepdim=True), values_BD.std(1, keepdim=True) + 1e-5
    else:
        shift_B1, scale_B1 = torch.zeros(1), values_BD.norm(dim=1, keepdim=True) / WIDTH**0.5
    inside_BD = (values_BD - shift_B1) / scale_B1
    torch.testing.assert_close(dictionary.encode(values_BD), plain.encode(inside_BD))
    wanted_BD = plain.reconstruct(inside_BD) * scale_B1 + shift_B1
    torch.testing.assert_close(dictionary.reconstruct(values_BD), wanted_BD)
    torch.testing.assert_close(dictionary.decode(dictionary.encode(values_BD), rows=values_BD), wanted_BD)
    with pytest.raises(errors.UsageError, match=r"decode\(code, rows=values\)"):
        dictionary.decode(dictionary.encode(values_BD))
    for rows_BD in (values_BD[:1], values_BD[:7]):
        with pytest.raises(errors.UsageError, match="a code of 11 rows, and"):
            dictionary.decode(dictionary.encode(values_BD), rows=rows_BD)
    grad_BD = rows_of(1, rows=3)[:, 0].double().requires_grad_()
    assert torch.autograd.gradcheck(dictionary.double().reconstruct, grad_BD)


def test_codes_may_be_divided_by_a_scale_of_each_latent() -> None:
    plain, values_BD = made(), rows_of(1)[:, 0]
    scale_F = draw(LATENTS).abs() + 0.5
    scaled = TrainedDictionary(plain.facts, dict(plain.named_buffers()) | {"latent_scale": scale_F})
    torch.testing.assert_close(scaled.encode(values_BD), plain.encode(values_BD) / scale_F)
    torch.testing.assert_close(scaled.reconstruct(values_BD), plain.reconstruct(values_BD))
    torch.testing.assert_close(scaled.decode(scaled.encode(values_BD)), plain.reconstruct(values_BD))
    one_BF = torch.eye(LATENTS)
    torch.testing.assert_close(scaled.decode(one_BF) - scaled.b_dec, scaled.decoder_FSD[:, 0])


def test_decoder_norms_are_those_of_training() -> None:
    dictionary = made(sites=3)
    wanted_FS = dictionary.decoder_FSD.norm(dim=2) * torch.tensor([0.5, 1.5, 2.5])
    torch.testing.assert_close(dictionary.norm_FS, wanted_FS)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.zeros(5, WIDTH), "this dictionary reads [rows, 2, 6]: resid_post.0, resid_post.1"),
        (torch.zeros(5, 3, WIDTH), "rows of shape [5, 3, 6]"),
        (torch.zeros(5, 2, WIDTH, dtype=torch.int64), "floating-point numbers, not torch.int64"),
        (np.zeros((5, 2, WIDTH), dtype=np.int32), "floating-point numbers, not torch.int32"),
    ],
)
def test_other_rows_are_refused(values: Any, said: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        made(sites=2).encode(values)
    assert said in str(caught.value)


def test_rows_that_are_not_finite_are_refused() -> None:
    with pytest.raises(errors.NumericsError, match="NaN or Inf"):
        made().encode(torch.full((2, WIDTH), torch.nan))
    with pytest.raises(errors.NumericsError, match="float16"):
        made().half().encode(torch.full((2, WIDTH), 1e6))


@pytest.mark.parametrize(
    "code",
    [
        torch.zeros(3, LATENTS + 1),
        torch.zeros(LATENTS),
        SparseCode(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 1)),
        SparseCode(torch.full((3, 2), LATENTS), torch.zeros(3, 2)),
        SparseCode(torch.full((3, 2), -1), torch.zeros(3, 2)),
    ],
)
def test_other_codes_are_refused(code: Any) -> None:
    with pytest.raises(errors.UsageError):
        made().decode(code)


@every_activation
def test_no_rows_give_no_codes(name: str) -> None:
    dictionary = made(activation=ACTIVATIONS[name])
    assert dictionary.encode(torch.zeros(0, WIDTH)).shape == (0, LATENTS)
    assert dictionary.reconstruct(torch.zeros(0, WIDTH)).shape == (0, WIDTH)
    assert len(dictionary.encode(torch.zeros(0, WIDTH), sparse=True).index_BK) == 0


def test_its_text_says_what_it_is() -> None:
    assert "topk-sae, 20 latents, k 4, resid_post.0 x 6, memory" in repr(made())
