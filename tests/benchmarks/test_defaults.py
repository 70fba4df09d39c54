from pathlib import Path

import pytest

from actstore import Silent
from benchmarks.defaults import CHOICES, Choice, Sizes, measure, natural, planted, summary

TINY = Sizes(latents=64, kept=(4,), steps=40, batch_rows=128, train_rows=4000, held_out_rows=1000, judged_rows=1000)


@pytest.mark.slow
def test_each_choice_is_scored_on_each_set_of_rows(small_fasta: Path, esm2_tiny: Path, tmp_path: Path) -> None:
    rows = [*natural(str(small_fasta), str(esm2_tiny), tmp_path / "store", TINY, progress=Silent()), planted(TINY)]
    assert [each.data for each in rows] == ["resid_post.3", "resid_post.5", "planted"]
    choices = [choice for choice in CHOICES if choice.name in {"defaults", "no AuxK"}]
    records = measure(rows, choices, TINY, seeds=2, progress=Silent())
    assert len(records) == 3 * 2 * 2
    for record in records:
        assert 0 < record["explained_variance"] < 1
        assert 0 <= record["dead_fraction"] <= 1
        assert (record["mean_max_cosine"] is not None) == (record["data"] == "planted")
    means = summary(records)
    assert len(means) == 3 * 2
    assert means[0]["explained_variance"] == pytest.approx(
        (records[0]["explained_variance"] + records[1]["explained_variance"]) / 2
    )


@pytest.mark.parametrize("choice", [Choice(name="whole", encoder_scale=1.0), Choice(name="median", centre="median")])
def test_first_weights_may_differ(choice: Choice) -> None:
    rows = [planted(TINY)]
    of_choice, of_defaults = (
        measure(rows, [each], TINY, seeds=1, progress=Silent())[0] for each in (choice, Choice(name="defaults"))
    )
    assert of_choice["explained_variance"] != of_defaults["explained_variance"]
