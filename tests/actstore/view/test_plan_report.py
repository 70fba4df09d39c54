"""What programs read: the names of `--json` are a promise."""

import json
from typing import Any

import pytest

from actstore.view.document import to_json
from tests.actstore.view.plans import prott5_plan


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(to_json(prott5_plan()))


def test_it_has_the_totals(document: Any) -> None:
    assert document.keys() >= {
        "rows", "tasks", "objects", "bytes", "requests", "trainer", "extraction", "dollars", "break_even_runs",
        "break_even_reason", "scenarios", "assumptions",
    }  # fmt: skip
    assert document["bytes"].keys() == {"float16", "bfloat16", "int8", "int4"}


def test_it_has_the_trainer_and_the_extraction(document: Any) -> None:
    assert document["trainer"].keys() >= {
        "parameters", "flops_per_row", "flops_total", "hours", "rows_per_s", "read_bytes_per_s",
    }  # fmt: skip
    assert document["trainer"]["read_bytes_per_s"].keys() >= {"float16", "int8"}
    assert document["extraction"].keys() >= {"flops_total", "gpu_hours", "reason"}


def test_whatever_is_null_has_its_reason_beside_it(document: Any) -> None:
    for one in (document, *document["scenarios"]):
        assert (one["break_even_runs"] is None) == (one["break_even_reason"] is not None)
    for one in document["scenarios"]:
        assert (one["break_even_few_runs"] is None) == (one["break_even_few_reason"] is not None)
    assert document["extraction"]["reason"] is None
