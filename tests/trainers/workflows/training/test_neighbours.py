from pathlib import Path

import pytest

from actstore import errors, open_manifest
from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.plan import TrainPlan
from trainers.workflows.training.neighbours import check_neighbours


def plan_for(planted: Planted, batch_rows: int, weight: float = 0.1) -> TrainPlan:
    return plan_of(stream_of(planted.values_NSD, batch_rows=batch_rows), smoothness_weight=weight)


def test_a_batch_too_small_to_hold_neighbours_is_refused_with_one_that_is_not(store: Path, one_site: Planted) -> None:
    manifest = open_manifest(store)
    with pytest.raises(errors.UsageError, match=r"rows of a store are shuffled.*give --batch-rows (\d+) or more") as no:
        check_neighbours(plan_for(one_site, 16), manifest)
    enough = int(str(no.value).split("--batch-rows ")[1].split()[0])
    check_neighbours(plan_for(one_site, enough), manifest)
    with pytest.raises(errors.UsageError):
        check_neighbours(plan_for(one_site, enough - 1), manifest)


def test_a_run_without_the_term_needs_no_neighbours(store: Path, one_site: Planted) -> None:
    check_neighbours(plan_for(one_site, 1, weight=0.0), open_manifest(store))


def test_a_store_that_keeps_few_residues_is_told_so(store: Path, one_site: Planted) -> None:
    manifest = open_manifest(store)
    recipe = manifest.frozen.recipe
    few = recipe.model_copy(update={"rows": recipe.rows.model_copy(update={"fraction": 0.1})})
    manifest = manifest.model_copy(update={"frozen": manifest.frozen.model_copy(update={"recipe": few})})
    with pytest.raises(errors.UsageError, match=r"keeps 0.1 of the residues: with rows.fraction = 1"):
        check_neighbours(plan_for(one_site, 100), manifest)
