from collections.abc import Callable
from pathlib import Path

import pytest

from actstore import Manifest, open_manifest
from actstore.errors import NoSplitError, SiteError, UsageError
from actstore.store.write.part import PartFacts
from actstore.workflows.sharing.choose_part import choose_part, parse_tasks

StoreOf = Callable[..., Path]


@pytest.fixture
def manifest(store_of: StoreOf) -> Manifest:
    """Four sites, three splits."""
    return open_manifest(store_of())


def test_everything_is_no_part(manifest: Manifest) -> None:
    assert choose_part(manifest, uri="store") is None
    assert choose_part(manifest, uri="store", sites="*", splits=list(manifest.splits), tasks=10**6) is None


def test_sites_are_chosen_by_name_or_glob_and_kept_in_stored_order(manifest: Manifest) -> None:
    part = choose_part(manifest, uri="store", sites=["final_norm", "resid_post.*"])
    assert part == PartFacts(sites=("resid_post.0", "resid_post.1", "final_norm"))


def test_splits_are_chosen_by_name(manifest: Manifest) -> None:
    part = choose_part(manifest, uri="store", splits="valid")
    assert part == PartFacts(tasks={"valid": manifest.splits["valid"].tasks})


def test_a_share_of_the_tasks_is_taken_from_each_split_and_rounded_up(manifest: Manifest) -> None:
    train = manifest.splits["train"].tasks
    assert train > 2
    part = choose_part(manifest, uri="store", tasks=0.01)
    assert part == PartFacts(tasks=dict.fromkeys(manifest.splits, 1))
    part = choose_part(manifest, uri="store", splits=["train"], tasks=train - 1)
    assert part == PartFacts(tasks={"train": train - 1})


def test_what_is_not_there_is_named(manifest: Manifest) -> None:
    with pytest.raises(SiteError, match=r"store: no site 'resid_pots.1'.*resid_post.1"):
        choose_part(manifest, uri="store", sites=["resid_pots.1"])
    with pytest.raises(NoSplitError, match=r"store: no split 'vaild'.*valid"):
        choose_part(manifest, uri="store", splits=["vaild"])
    for tasks in (0, -1, 1.0, 1.5, 0.0):
        with pytest.raises(UsageError, match="a number of tasks, or a share between 0 and 1"):
            choose_part(manifest, uri="store", tasks=tasks)


@pytest.mark.parametrize("text", ["0", "-3", "0%", "100%", "ten", "", "1.5", "nan%", "inf%"])
def test_the_option_takes_numbers_and_percent(text: str) -> None:
    with pytest.raises(UsageError, match=r"--tasks .*12.*10%"):
        parse_tasks(text)
