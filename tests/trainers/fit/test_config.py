from typing import Any

import pytest

from actstore import errors
from trainers.fit.config import make_config


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
