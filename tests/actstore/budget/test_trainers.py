import pytest

from actstore.budget.trainers import TRAINERS, TrainerShape
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.table import DICTIONARIES


def test_every_dictionary_can_be_planned_under_its_name() -> None:
    assert DICTIONARIES.keys() <= TRAINERS.keys()
    assert {name: TRAINERS[name].one_site for name in DICTIONARIES} == {
        name: dictionary.one_site for name, dictionary in DICTIONARIES.items()
    }


@pytest.mark.parametrize("name", DICTIONARIES)
def test_parameters_are_those_of_the_dictionary(name: str) -> None:
    dictionary = DICTIONARIES[name]
    sites = 1 if dictionary.one_site else 3
    kept = 4 if dictionary.keeps_k else None
    latents = 20 * sites if dictionary.each_site_has_latents else 20
    made = dictionary(Shape(sites=sites, width=6, latents=latents, kept=kept))
    count = sum(parameter.numel() for parameter in made.parameters())
    kind = TRAINERS[name]
    shape = TrainerShape(sites, width=6, latents=20, vectors=kind.vectors, layered=kind.layered)
    assert shape.parameters == count


def test_the_crosscoder_over_prott5_has_403_million() -> None:
    shape = TrainerShape(sites=24, width=1024, latents=8 * 1024)
    assert f"{shape.parameters / 1e6:.0f}" == "403"
    assert f"{shape.flops_per_row / 1e9:.1f}" == "2.4"
