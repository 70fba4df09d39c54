import pytest
import torch

from actstore import choose_device
from actstore.errors import UsageError


def test_auto_is_cuda_if_pytorch_can_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"


def test_a_named_device_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"device 'cuda': .* sees 0 CUDA devices here; use auto or cpu"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "meta", "tpu:0", "", "abacus", "cuda:99", "AUTO"])
def test_others_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="auto"):
        choose_device(name)
