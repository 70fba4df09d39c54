import torch

from trainers.fit.reconstruction import reconstruction_loss


def test_the_error_is_summed_over_sites_and_features_and_averaged_over_rows() -> None:
    assert float(reconstruction_loss(torch.zeros(5, 3, 4), torch.full((5, 3, 4), 2.0))) == 3 * 4 * 4.0
