"""The public names."""

import pytest

import actstore


def test_every_public_name_has_a_home_and_is_there() -> None:
    assert sorted(actstore._HOME) == [name for name in actstore.__all__ if name not in actstore._MODULES]
    for name in actstore.__all__:
        assert getattr(actstore, name) is not None
    assert dir(actstore) == actstore.__all__


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no public name 'open_strem'"):
        actstore.open_strem  # noqa: B018
