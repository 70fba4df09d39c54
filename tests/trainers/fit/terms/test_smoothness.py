import pytest
import torch

from trainers.fit.terms.smoothness import expected_pairs, rows_for_pairs, smoothness

PAIRS = torch.tensor([[0, 3, 5], [1, 2, 6]])


def codes(seed: int = 0) -> torch.Tensor:
    return torch.relu(torch.randn(8, 12, generator=torch.Generator().manual_seed(seed)))


def test_it_is_the_squared_difference_over_the_squares_of_both() -> None:
    code_BF = codes()
    difference = size = 0.0
    for first, second in PAIRS.t().tolist():
        for f in range(12):
            difference += float(code_BF[first, f] - code_BF[second, f]) ** 2
            size += float(code_BF[first, f]) ** 2 + float(code_BF[second, f]) ** 2
    assert float(smoothness(code_BF, PAIRS)) == pytest.approx(difference / size, rel=1e-5)


def test_equal_codes_have_0_and_codes_without_a_common_latent_1() -> None:
    assert float(smoothness(torch.ones(8, 12), PAIRS)) == 0.0
    assert float(smoothness(torch.eye(8), PAIRS)) == pytest.approx(1.0)


def test_the_scale_of_codes_and_rows_without_a_neighbour_do_not_matter() -> None:
    code_BF = codes()
    one = smoothness(code_BF, PAIRS)
    torch.testing.assert_close(smoothness(7 * code_BF, PAIRS), one)
    code_BF[[4, 7]] = 100.0
    torch.testing.assert_close(smoothness(code_BF, PAIRS), one)


def test_its_gradient_is_that_of_finite_differences() -> None:
    code_BF = (codes().double() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: smoothness(one, PAIRS), (code_BF,))


def test_without_pairs_and_without_active_latents_it_is_0() -> None:
    assert float(smoothness(codes(), PAIRS[:, :0])) == 0.0
    silent = torch.zeros(8, 12, requires_grad=True)
    smoothness(silent, PAIRS).backward()  # type: ignore[no-untyped-call]
    assert silent.grad is not None
    assert bool((silent.grad == 0).all())


def test_a_batch_of_so_many_rows_holds_so_many_pairs() -> None:
    rows = rows_for_pairs(rows=1_000_000, pairs=4.0)
    assert expected_pairs(rows=1_000_000, batch_rows=rows) >= 4.0 > expected_pairs(rows=1_000_000, batch_rows=rows - 1)
