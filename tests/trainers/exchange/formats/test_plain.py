"""What a library has no word for goes into the weights where that is exact, and is refused where it is not."""

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.made import LATENTS, draw, made, rows_of
from trainers.exchange.facts import Activation
from trainers.exchange.formats.plain import plain_sae, plain_weights
from trainers.exchange.trained import TrainedDictionary

ALL = ("topk", "relu", "jumprelu")


def with_weights(dictionary: TrainedDictionary, *names: str) -> TrainedDictionary:
    more = {name: draw(LATENTS, seed=20 + number).abs() + 0.5 for number, name in enumerate(names)}
    return TrainedDictionary(dictionary.facts, dict(dictionary.named_buffers()) | more)


@pytest.mark.parametrize("name", ["relu", "jumprelu"])
def test_scale_and_rank_of_latents_go_into_the_weights(name: str) -> None:
    activation = Activation.model_validate({"name": name})
    dictionary = with_weights(made(sites=2, activation=activation), "latent_scale", "rank")
    plain = plain_weights(dictionary, to="any", activations=ALL)
    weights = {"W_enc": plain.W_enc_SDF, "b_enc": plain.b_enc_F, "W_dec": plain.W_dec_FSD, "b_dec": plain.b_dec_SD}
    if plain.threshold_F is not None:
        weights["threshold"] = plain.threshold_F
    again = TrainedDictionary(dictionary.facts, weights)
    torch.testing.assert_close(again.encode(rows_of(2)), dictionary.encode(rows_of(2)))
    torch.testing.assert_close(again.reconstruct(rows_of(2)), dictionary.reconstruct(rows_of(2)))


@pytest.mark.parametrize("subtracts", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_subtraction_of_b_dec_goes_into_b_enc(subtracts: bool, wanted: bool) -> None:
    dictionary = made(subtracts_b_dec=subtracts, activation=Activation(name="relu"))
    sae = plain_sae(dictionary, to="any", activations=ALL, subtracts_b_dec=wanted)
    values_BD = rows_of(1)[:, 0]
    given_BD = values_BD - sae.b_dec_D if wanted else values_BD
    torch.testing.assert_close(torch.relu(given_BD @ sae.W_enc_DF + sae.b_enc_F), dictionary.encode(values_BD))


@pytest.mark.parametrize(
    ("dictionary", "said"),
    [
        (made(sites=2), "one site, and this one has 2 (resid_post.0, resid_post.1); export it to 'crosscoder'"),
        (with_weights(made(), "rank"), "this dictionary has `rank`"),
        (with_weights(made(), "latent_scale"), "this dictionary has `latent_scale`"),
        (made(row_transform="row-zscore"), "cannot transform each row (row-zscore)"),
    ],
)
def test_what_no_weights_can_hold_is_refused_with_the_way_out(dictionary: TrainedDictionary, said: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        plain_sae(dictionary, to="a library", activations=ALL)
    assert said in str(caught.value)
    assert "safetensors" in str(caught.value) or "saelens" in str(caught.value)


def test_an_activation_that_a_library_lacks_is_refused() -> None:
    with pytest.raises(
        errors.UsageError, match="a library has no relu dictionaries, only topk; export it to 'safetensors'"
    ):
        plain_sae(made(activation=Activation(name="relu")), to="a library", activations=("topk",))
