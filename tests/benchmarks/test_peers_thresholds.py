"""The table names each dictionary and library, with its L0."""

from benchmarks.peers_thresholds import table
from benchmarks.recording.report import machine
from benchmarks.recording.spread import spread


def test_the_table_shows_how_many_latents_each_has() -> None:
    scores = {"explained_variance": spread([0.99]), "dead": spread([0.02]), "l0": spread([15.9])}
    results = {"scores": {"batch-topk": {"actstore": scores, "SAELens": scores}}, "seeds": 3, "epochs": 3}
    made = table(results | {"machine": machine(), "commit": "abc"})
    assert "| batch-topk | **actstore** | 15.9" in made
    assert "| batch-topk | SAELens |" in made
