"""What a stream was asked for, against what a store has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.contracts.models import Site
from actstore.errors import SiteError, StreamError
from actstore.store.read.open import locate_store
from actstore.store.read.selection import match_sites
from actstore.stream.request import StreamRequest, choose_tasks, fill_batches

SITES = [Site(name, name, 8) for name in ("embed", "resid_post.1", "resid_post.10")]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["embed", "resid_post.1", "resid_post.10"]),
        (["resid_post.*", "embed"], ["resid_post.1", "resid_post.10", "embed"]),
        (["resid_post.1", "resid_post.?"], ["resid_post.1"]),
        ("resid_post.1", ["resid_post.1"]),
        ("resid_post.*", ["resid_post.1", "resid_post.10"]),
    ],
)
def test_sites_come_in_the_order_asked_for_and_once(wanted: list[str] | str | None, names: list[str]) -> None:
    assert [site.name for site in match_sites(SITES, wanted, uri="here")] == names


@pytest.mark.parametrize("wanted", [[], ["embed", "final_norm"]])
def test_sites_that_are_not_there_are_refused(wanted: list[str]) -> None:
    with pytest.raises(SiteError, match="here: no site"):
        match_sites(SITES, wanted, uri="here")


def test_a_misspelt_name_is_answered_with_the_nearest(store_of: Callable[..., Path]) -> None:
    with pytest.raises(SiteError, match=r"did you mean 'resid_post\.1' or 'resid_post\.10'\?"):
        match_sites(SITES, "resid_pots.1", uri="here")
    with pytest.raises(StreamError, match="not 'window'; did you mean 'windows'"):
        StreamRequest(order="window")  # type: ignore[arg-type]
    with pytest.raises(StreamError, match=r"no split 'vaild'.*did you mean 'valid'"):
        choose_tasks(locate_store(store_of())[0], "vaild", uri="here")


def test_planned_tasks_are_those_of_the_complete_store(store_of: Callable[..., Path]) -> None:
    manifest, _ = locate_store(store_of())
    empty = manifest.model_copy(update={"commits": (None,) * manifest.frozen.tasks})
    assert choose_tasks(empty, "valid", uri="here", planned=True) == choose_tasks(manifest, "valid", uri="here")
    with pytest.raises(StreamError, match=r"no rows in split 'valid' \(yet\)"):
        choose_tasks(empty, "valid", uri="here", allow_incomplete=True)


@pytest.mark.parametrize(
    "wish",
    [{"order": "sorted"}, {"seed": -1}, {"device": "cpu", "kernels": "numpy"}, {"device": "cpu", "order": "uniform"}],
)
def test_contradictions_are_refused(wish: dict[str, object]) -> None:
    with pytest.raises(StreamError):
        StreamRequest(**wish)  # type: ignore[arg-type]


def test_half_a_buffer_is_a_fill() -> None:
    assert fill_batches(2 * 10 * 100 * 3, 10, 100, rows=1000) == 3
    assert fill_batches(1 << 30, 10, 100, rows=1000) == 10
