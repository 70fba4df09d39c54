import pytest
import torch

from trainers.dictionaries.shapes.partition import Partition


def test_latents_are_in_order_shared_then_of_each_site_then_free() -> None:
    partition = Partition.of(sites=3, latents=50, shared=5, exclusive=4)
    assert partition.held == 5 + 3 * 4
    assert [(part.start, part.stop) for part in map(partition.of_site, range(3))] == [(5, 9), (9, 13), (13, 17)]


def test_numbers_below_one_are_shares() -> None:
    assert Partition.of(sites=2, latents=30, shared=0.1, exclusive=0.2) == Partition(3, 6, 2)
    assert Partition.of(sites=1, latents=30) == Partition(0, 0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": 1.5}, "shared latents 1.5: give a whole number, or a share below 1"),
        ({"exclusive": -3}, "exclusive latents -3: give a whole number"),
        ({"shared": 10, "exclusive": 11}, "10 shared latents and 11 for each of 2 sites are 32, of only 30"),
        ({"shared": 2, "sites": 1}, "there is only one; take two or more"),
    ],
)
def test_what_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Partition.of(**{"sites": 2, "latents": 30, **options})  # type: ignore[arg-type]


def test_the_nearest_weights_that_it_allows() -> None:
    partition = Partition.of(sites=3, latents=20, shared=2, exclusive=4)
    given_FSD = torch.randn(20, 3, 5, generator=torch.Generator().manual_seed(0))
    decoder_FSD, encoder_FSD = given_FSD.clone(), given_FSD.clone()
    partition.hold_decoder_(decoder_FSD)
    partition.hold_encoder_(encoder_FSD)
    for latent in range(20):
        site = (latent - 2) // 4
        for s in range(3):
            own = given_FSD[latent, s]
            if latent < 2:
                torch.testing.assert_close(decoder_FSD[latent, s], given_FSD[latent].mean(dim=0))
                assert torch.equal(decoder_FSD[latent, s], decoder_FSD[latent, 0])
                assert torch.equal(encoder_FSD[latent, s], own)
                continue
            wanted = own if site >= 3 or site == s else torch.zeros(5)
            assert torch.equal(decoder_FSD[latent, s], wanted)
            assert torch.equal(encoder_FSD[latent, s], wanted)


def test_only_shared_latents_have_a_discount() -> None:
    price_F = torch.ones(6)
    assert Partition(2, 1, 2).discounted(price_F, 0.5).tolist() == [0.5, 0.5, 1, 1, 1, 1]
    assert Partition(0, 1, 2).discounted(price_F, 0.5) is price_F
