from typing import Any

import pytest

from actstore import errors
from trainers.fit.config import make_config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k = 0: Input should be greater than or equal to 1"),
        ({"dictionary": "gated"}, "dictionary = 'gated': Input should be 'topk-sae'"),
        ({"wings": 2}, "wings = 2: Extra inputs are not permitted"),
    ],
)
def test_options_are_checked_before_anything_starts(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.UsageError, match=message):
        make_config(options)
