from typing import Any

import pytest

from actstore import errors
from trainers.fit.config import make_config

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k = 0: Input should be greater than or equal to 1"),
        ({"dictionary": "gated"}, "dictionary = 'gated': Input should be 'topk-sae'"),
        ({"wings": 2}, "wings = 2: Extra inputs are not permitted$"),
        ({"batchrows": 2}, r"batchrows = 2: .*; did you mean 'batch_rows'\?"),
    ],
)
def test_options_are_checked_before_anything_starts(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.UsageError, match=message):
        make_config(options)


def test_one_site_needs_no_list() -> None:
    assert make_config({"sites": "resid_post.3"}).sites == ("resid_post.3",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in ("lr", "sparsity", "gradient_clip", "auxk_weight") for value in (INF, NAN, 1e300)),
        *((name, NAN) for name in ("warmup_share", "decay_share", "sparsity_warmup_share")),
        *((name, 10**400) for name in ("latents", "expansion", "k", "steps", "batch_rows", "seed", "dead_after_rows")),
    ],
)
def test_a_number_without_bounds_is_refused_by_its_name(field: str, value: float) -> None:
    with pytest.raises(errors.UsageError, match=rf"^{field} = "):
        make_config({field: value})
