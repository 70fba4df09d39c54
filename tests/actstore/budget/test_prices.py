import re
from pathlib import Path

import pytest

from actstore.budget.hardware import GPUS
from actstore.budget.prices import DEFAULT_PRICES, parse_prices
from actstore.contracts.suggest import hint_for_key
from actstore.errors import UsageError

PLANNING = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "plan-size-and-cost.md"
GOOD = """
name = "ours"
date = "2026-01-15"
[storage]
dollars_per_gb_month = 0.01
dollars_per_1000_put = 0.005
dollars_per_1000_get = 0.0004
dollars_per_gb_egress = 0.02
[gpu]
A100 = 1.5
"""


def test_a_list_is_read_as_it_was_written() -> None:
    prices = parse_prices(GOOD, name="prices.toml")
    assert (prices.name, prices.date, prices.gpu_hour("A100")) == ("ours", "2026-01-15", 1.5)
    assert prices.storage.dollars_per_gb_egress == 0.02


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("= 0.01", "= -0.01", r"storage\.dollars_per_gb_month: .*greater than or equal to 0"),
        ("= 0.01", "= nan", r"storage\.dollars_per_gb_month: .*finite|greater"),
        ("= 0.01", "= inf", r"storage\.dollars_per_gb_month: .*finite"),
        ("= 0.01", '= "a lot"', r"storage\.dollars_per_gb_month: .*valid number"),
        ("= 1.5", "= -1", r"gpu\.A100: .*greater than or equal to 0"),
        ("dollars_per_gb_egress", "dollars_per_gb_ingress", r"storage\.dollars_per_gb_egress: Field required"),
        ("dollars_per_gb_egress", "dollars_per_gb_ingress", r"storage\.dollars_per_gb_ingress: Extra inputs"),
        ('date = "2026-01-15"\n', "", "date: Field required"),
        ("[gpu]", "[gpus]", "gpu: Field required"),
        ("name =", "name", "prices.toml: not TOML"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_field(before: str, after: str, message: str) -> None:
    assert before in GOOD
    with pytest.raises(UsageError, match=message) as caught:
        parse_prices(GOOD.replace(before, after, 1), name="prices.toml")
    assert str(caught.value).startswith("prices.toml")


def test_an_unknown_key_may_come_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"storage\.dollars_per_gb_ingress: Extra inputs are not permitted; .*egress"):
        parse_prices(GOOD.replace("egress", "ingress", 1), name="prices.toml", hint=hint_for_key)


def test_a_gpu_without_a_price_comes_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"ours: no price for gpu 'H100', only for A100; add a line 'H100 = "):
        parse_prices(GOOD, name="prices.toml").gpu_hour("H100")


def test_the_default_has_a_date_and_every_gpu_of_the_table() -> None:
    assert re.fullmatch(r"20\d\d-\d\d", DEFAULT_PRICES.date)
    assert "list price, check yours" in DEFAULT_PRICES.name
    assert DEFAULT_PRICES.gpu.keys() == GPUS.keys()


def test_the_example_of_the_documentation_is_a_list() -> None:
    [example] = re.findall(r"```toml\n(name = .*?)```", PLANNING.read_text(encoding="utf-8"), re.DOTALL)
    assert parse_prices(example, name="docs/how-to/plan-size-and-cost.md").gpu_hour("A100") > 0
