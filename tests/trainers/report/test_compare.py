from pathlib import Path
from typing import Any

from tests.trainers.report.runs import NO_RESULT, run_at
from trainers.fit.config import TrainConfig
from trainers.report.compare import HEADS, common_settings, different_settings, front, remarks, result_cells
from trainers.report.reported import ReportedRun, read_run
from trainers.save.run_folder import RunFolder


def run(path: Path, result: dict[str, Any] | None = None, **options: Any) -> ReportedRun:
    return read_run(run_at(path, result, **options), name=path.name)


def scored(path: Path, l0: float, explained: float | None) -> ReportedRun:
    return run(path, {"l0": l0, "explained_variance": explained})


def test_on_the_front_is_what_no_other_run_beats_in_both(tmp_path: Path) -> None:
    runs = [
        scored(tmp_path / "many", 64, 0.95),
        scored(tmp_path / "few", 8, 0.7),
        scored(tmp_path / "beaten", 16, 0.69),
        scored(tmp_path / "same", 8, 0.7),
        scored(tmp_path / "more", 64, 0.94),
        scored(tmp_path / "unknown", 1, None),
        run(tmp_path / "unfinished", NO_RESULT),
    ]
    assert [one.name for one in front(runs)] == ["few", "same", "many"]


def test_settings_are_common_or_different(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / "a", k=2),
        run(tmp_path / "b", k=4),
        run(tmp_path / "c", dictionary="relu-sae", k=None, sparsity=0.5),
    ]
    assert different_settings(runs) == {
        "dictionary": ["topk-sae", "topk-sae", "relu-sae"],
        "k": [2, 4, None],
        "sparsity": [None, None, 0.5],
        "auxk_weight": [1 / 32, 1 / 32, 0.0],
    }
    assert common_settings(runs)["latents"] == 8
    assert not common_settings(runs).keys() & different_settings(runs).keys()


def test_what_a_run_has_not_settled_is_no_difference(tmp_path: Path) -> None:
    config = TrainConfig(sites=("resid_post.0",), latents=8, k=4, steps=10, batch_rows=256)
    waiting = read_run(RunFolder(tmp_path / "later"), name="later", config=config)
    assert different_settings([run(tmp_path / "a"), waiting]) == {}


def test_a_row_of_the_table_has_a_cell_for_each_head(tmp_path: Path) -> None:
    for one, cells in (
        (run(tmp_path / "a"), ("a", "topk-sae", "8", "4", "4.0", "0.9000", "25.0%", "50.0%", "finished")),
        (run(tmp_path / "b", NO_RESULT), ("b", "topk-sae", "8", "4", "-", "-", "-", "-", "0 of 10 steps")),
        (
            run(tmp_path / "c", {"explained_variance": None, "dead_fraction": None}),
            ("c", "topk-sae", "8", "4", "4.0", "-", "-", "50.0%", "finished"),
        ),
    ):
        assert result_cells(one) == cells
        assert len(cells) == len(HEADS)


def test_numbers_that_cannot_be_compared_are_pointed_out(tmp_path: Path) -> None:
    alike = [run(tmp_path / "a"), run(tmp_path / "b")]
    assert remarks(alike) == []
    [store, split] = remarks([*alike, run(tmp_path / "c", {"evaluated_on": "train"}, store="1" * 64)])
    assert "read 2 stores (manifests 000000000000..., 111111111111...): their numbers are of different rows" in store
    assert split == "The runs were scored on different splits: train, valid."
