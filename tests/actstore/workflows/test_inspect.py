import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import ManifestError, StoreNotFoundError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from actstore.workflows.inspect import inspect_store
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.stores import plain_rows

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("encoding", "ratio"), [("float16", 1.0), ("bfloat16", 1.0), ("int8", 256 / 130), ("int4", 256 / 66)]
)
def test_sizes_are_what_was_written(encoding: str, ratio: float, tiny_store: StoreOf) -> None:
    store = tiny_store(**{"store.encoding": encoding})
    report = inspect_store(store)
    assert report.ratio_to_fp16 == pytest.approx(ratio, abs=1e-9)
    assert report.bytes_per_row == 8 * 128 * 2 / ratio
    assert report.bits_per_value == pytest.approx(16 / ratio)
    assert report.objects == sum(len(list(store.glob(f"{room}/**/c/**/[0-9]*"))) for room in ("rows", "statistics")) + (
        sum(path.is_file() for path in store.glob("s*s/**/values/c/*/0"))
        + sum(path.is_file() for path in store.glob("scales/*/c/**/0"))
    ) - sum(path.is_dir() for path in store.glob("statistics/*/c/**/[0-9]*"))
    assert (report.complete, report.tasks_done, report.rows_done) == (True, report.tasks_total, report.rows)


def test_at_the_width_of_real_models_int8_takes_half(recipe_of: RecipeOf, tmp_path: Path) -> None:
    model = FakeModel(sites=["embed"], width=1024)
    extract_with(model, LocalObjects(tmp_path / "store"), recipe_of(**{"rows.fraction": 0.02}))
    assert inspect_store(tmp_path / "store").ratio_to_fp16 == pytest.approx(2.0, abs=0.01)


def test_norms_and_extremes_are_those_of_the_rows(tiny_store: StoreOf) -> None:
    store = tiny_store(**{"store.encoding": "float16"})
    report = inspect_store(store)
    for site, values_ND in plain_rows(store).values.items():
        norm_N = np.linalg.norm(values_ND.astype(np.float64), axis=1)
        assert report.sites[site].mean_norm == pytest.approx(norm_N.mean(), rel=1e-4)
        assert report.sites[site].max_abs == pytest.approx(np.abs(values_ND).max(), rel=1e-3)
        assert (report.sites[site].width, report.sites[site].saturated) == (128, 0)


def test_the_error_of_int8_is_measured(tiny_store: StoreOf) -> None:
    """Against the rows of a float16 store of the same recipe, which has a thousandth of the noise."""
    exact, coarse = (plain_rows(tiny_store(**{"store.encoding": name})) for name in ("float16", "int8"))
    assert exact.residue_N == coarse.residue_N
    inspected = inspect_store(tiny_store(**{"store.encoding": "int8"})).sites
    for site in ("resid_post.0", "resid_post.5", "final_norm"):
        values_ND = exact.values[site].astype(np.float64)
        noise_D = np.square(coarse.values[site] - values_ND).sum(axis=0)
        db_D = 10 * np.log10(np.square(values_ND - values_ND.mean(axis=0)).sum(axis=0) / noise_D)
        assert inspected[site].sqnr_median_db == pytest.approx(np.median(db_D), abs=0.1)
        assert inspected[site].sqnr_worst_db == pytest.approx(db_D.min(), abs=0.1)
        assert (inspected[site].sqnr_median_db or 0) >= 38


def test_outlier_channels_are_found(recipe_of: RecipeOf, tmp_path: Path) -> None:
    model = FakeModel(sites=["embed", "resid_post.0"], width=128, outliers=3)
    extract_with(model, LocalObjects(tmp_path / "store"), recipe_of(**{"rows.fraction": 0.2}))
    rows = plain_rows(tmp_path / "store")
    for name, site in inspect_store(tmp_path / "store").sites.items():
        loudest = np.argsort(-np.abs(rows.values[name]).mean(axis=0))[:3]
        assert set(site.outlier_channels) == set(loudest.tolist())
        assert all(20 < ratio < 120 for ratio in site.outlier_channels.values())
        assert (site.sqnr_median_db or 0) >= 38
        assert (site.sqnr_worst_db or 0) >= 30


def test_a_store_without_noise_has_none_to_report(recipe_of: RecipeOf, tmp_path: Path) -> None:
    class Whole(FakeModel):
        """Small whole numbers, which float16 holds exactly."""

        def activations(self, residues, kept):  # type: ignore[no-untyped-def]
            return {site: np.rint(rows) for site, rows in super().activations(residues, kept).items()}

    extract_with(Whole(), LocalObjects(tmp_path / "store"), recipe_of(**{"store.encoding": "float16"}))
    for site in inspect_store(tmp_path / "store").sites.values():
        assert (site.sqnr_median_db, site.sqnr_worst_db) == (None, None)


class TestAnUnfinishedStore:
    def test_tells_how_far_it_is(self, own_store: StoreOf) -> None:
        store = own_store()
        whole = inspect_store(store)
        for lost in ("manifest.json", "commits/0.json", "commits/5.json"):
            (store / lost).unlink()
        report = inspect_store(store)
        assert (report.complete, report.tasks_done) == (False, whole.tasks_total - 2)
        assert report.rows == whole.rows
        assert report.rows_done < whole.rows
        assert sum(split.tasks_done for split in report.splits.values()) == report.tasks_done
        assert report.manifest_sha256 != whole.manifest_sha256

    def test_tells_so_before_the_first_task_too(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "manifest.json").unlink()
        for commit in store.glob("commits/*"):
            commit.unlink()
        report = inspect_store(store)
        assert (report.tasks_done, report.rows_done, report.bytes_total, report.ratio_to_fp16) == (0, 0, 0, 0.0)
        assert actstore("inspect", store).code == 0
        assert actstore("inspect", store, "--json").document["complete"] is False


def test_a_place_without_a_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no activation store here"):
        inspect_store(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ManifestError, match="not a manifest"):
        inspect_store(tmp_path / "file")


class TestTheCommand:
    def test_prints_one_document_with_everything(self, store_of: StoreOf) -> None:
        done = actstore("inspect", store_of(), "--json")
        wanted = {
            "rows", "sequences", "sites", "encoding", "bytes_total", "bytes_per_row", "ratio_to_fp16", "tasks_done",
            "tasks_total", "splits",
        }  # fmt: skip
        assert (done.code, done.err) == (0, "")
        assert wanted <= done.document.keys()
        assert list(done.document["sites"]) == ["embed", "resid_post.0", "resid_post.1", "final_norm"]
        assert all(math.isfinite(site["mean_norm"]) for site in done.document["sites"].values())

    def test_shows_it_to_people(self, store_of: StoreOf) -> None:
        shown = actstore("inspect", store_of()).out
        assert all(word in shown for word in ("complete", "resid_post.1", "train", "x smaller than float16", "int8"))
