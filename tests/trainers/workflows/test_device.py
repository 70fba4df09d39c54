import pytest
import torch

from actstore import errors
from trainers.workflows.device import choose_device


@pytest.mark.parametrize("name", ["abacus", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(errors.UsageError, match=name):
        choose_device(name)


def test_auto_is_cuda_where_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
