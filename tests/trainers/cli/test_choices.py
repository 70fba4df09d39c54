"""The command line offers what the configuration takes, in the same order."""

from enum import StrEnum
from typing import Any, get_args

import pytest

from trainers.cli import choices
from trainers.fit.config import DictionaryName, Normalisation, Precision, TrainConfig


def literals_of(field: str) -> tuple[Any, ...]:
    """The values of a field of the configuration that may be None."""
    annotation = TrainConfig.model_fields[field].annotation
    return next((get_args(one) for one in get_args(annotation) if get_args(one)), get_args(annotation))


@pytest.mark.parametrize(
    ("choice", "values"),
    [
        (choices.DictionaryChoice, (*get_args(DictionaryName), "none")),
        (choices.NormalisationChoice, get_args(Normalisation)),
        (choices.PrecisionChoice, get_args(Precision)),
        (choices.OrderChoice, literals_of("order")),
        (choices.GroupDrawChoice, literals_of("group_draw")),
        (choices.L0PenaltyChoice, literals_of("l0_penalty")),
    ],
)
def test_choices_are_those_of_the_configuration(choice: type[StrEnum], values: tuple[str, ...]) -> None:
    assert tuple(one.value for one in choice) == values
