"""Names in these documents are an interface: scripts read them."""

from trainers.workflows.results import StreamingResult, TrainingResult

OF_STREAMING = {"rows", "rows_per_s", "wait_share", "order", "path", "mixing"}
OF_TRAINING = {"explained_variance", "explained_variance_per_site", "l0", "dead_fraction", "dead_after_rows", "steps"}


def test_every_result_tells_how_the_stream_did() -> None:
    assert set(StreamingResult._fields) >= OF_STREAMING
    assert set(TrainingResult._fields) >= OF_STREAMING


def test_a_training_result_tells_how_good_the_dictionary_is_and_on_which_rows() -> None:
    assert set(TrainingResult._fields) >= OF_TRAINING | {"evaluated_on", "evaluated_rows"}
