import torch

from trainers.fit.reconstruction import explained_share, squared_deviation_S, squared_error_S


def test_errors_and_deviations_are_sums_over_the_batch_for_each_site() -> None:
    values_BSD = torch.tensor([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 6.0], [0.0, 5.0]]])
    assert squared_error_S(torch.zeros_like(values_BSD), values_BSD).tolist() == [1 + 4 + 9 + 36, 25]
    assert squared_deviation_S(values_BSD).tolist() == [2 * (1 + 4), 2 * 6.25]


def test_rows_that_do_not_differ_have_no_explained_variance() -> None:
    assert explained_share(1.0, 0.0) is None
    assert explained_share(3.0, 2.0) == -0.5
