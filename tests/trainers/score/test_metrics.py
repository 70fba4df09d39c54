import numpy as np
import pytest
import torch

from actstore import errors
from trainers.score.metrics import ExplainedVariance, LatentUse


def test_batches_add_up_to_the_formula() -> None:
    rng = np.random.default_rng(0)
    values_NSD = rng.standard_normal((1000, 3, 5)) * [[1.0], [2.0], [3.0]]
    guess_NSD = values_NSD + 0.3 * rng.standard_normal(values_NSD.shape)
    error_S = ((values_NSD - guess_NSD) ** 2).sum(axis=(0, 2))
    spread_S = ((values_NSD - values_NSD.mean(axis=0)) ** 2).sum(axis=(0, 2))
    metric = ExplainedVariance()
    for start in range(0, 1000, 300):
        rows = slice(start, start + 300)
        metric.add(torch.from_numpy(values_NSD[rows]), torch.from_numpy(guess_NSD[rows]))
    assert metric.overall() == pytest.approx(1 - error_S.sum() / spread_S.sum(), rel=1e-9)
    assert metric.per_site() == pytest.approx(list(1 - error_S / spread_S), rel=1e-9)


def test_a_mean_a_million_times_the_spread_does_no_harm() -> None:
    noise_BSD = torch.randn(512, 1, 4, generator=torch.Generator().manual_seed(0))
    values_BSD = 1e6 + noise_BSD.round(decimals=1) * 16
    metric = ExplainedVariance()
    metric.add(values_BSD[:256], values_BSD[:256])
    metric.add(values_BSD[256:], values_BSD[256:] + 1.0)
    spread = float(values_BSD.double().var(dim=0, correction=0).sum()) * 512
    assert metric.overall() == pytest.approx(1 - 256 * 4 / spread, rel=1e-9)


def test_predicting_the_mean_explains_nothing() -> None:
    values_BSD = torch.randn(100, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    metric = ExplainedVariance()
    metric.add(values_BSD, values_BSD.mean(dim=0).expand_as(values_BSD))
    assert metric.overall() == pytest.approx(0.0, abs=1e-12)


def test_rows_that_do_not_vary_have_no_explained_variance() -> None:
    metric = ExplainedVariance()
    metric.add(torch.ones(10, 2, 4), torch.zeros(10, 2, 4))
    assert metric.overall() is None
    assert metric.per_site() == [None, None]


def test_l0_and_silent_latents_add_up() -> None:
    use = LatentUse(4)
    use.add(torch.tensor([10, 5, 0, 0]), rows=10)
    use.add(torch.tensor([10, 0, 1, 0]), rows=10)
    assert use.l0 == 26 / 20
    assert use.silent_fraction == 0.25


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["rows", "reconstructions"])
def test_what_is_not_finite_is_an_error_and_not_a_missing_number(bad: float, where: str) -> None:
    values_BSD = torch.randn(100, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    guess_BSD = values_BSD.clone()
    (values_BSD if where == "rows" else guess_BSD)[3, 1, 2] = bad
    metric = ExplainedVariance()
    metric.add(values_BSD, guess_BSD)
    with pytest.raises(errors.NumericsError, match="not finite; check the store with 'actstore verify'"):
        metric.overall()
    with pytest.raises(errors.NumericsError):
        metric.per_site()
