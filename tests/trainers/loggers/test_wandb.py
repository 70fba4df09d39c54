"""What W&B has of an offline run, and what it does not have."""

import json
import socket
import threading
from pathlib import Path

import pytest

from tests.trainers.loggers.runs import run_in
from tests.trainers.loggers.written import history, records
from trainers.loggers.wandb import WandbLogger

SECRETS = {"AWS_SECRET_ACCESS_KEY": "zebra-crossing-77", "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567"}


def log_three_steps(folder: Path) -> None:
    logger = WandbLogger()
    assert logger.start(run_in(folder)) == 0
    for step in (1, 2, 4):
        logger.step(step, {"loss": 1.0 / step, "rows": 10.0 * step})
    logger.finish({"l0": 32.0})


def test_metrics_settings_and_result_are_in_the_folder_of_the_run(tmp_path: Path) -> None:
    run = tmp_path / "sae"
    run.mkdir()
    log_three_steps(run)
    seen = [(row["step"], row["loss"], row["rows"]) for row in history(run)]
    assert seen == [
        (1, 1.0, 10.0),
        (2, 0.5, 20.0),
        (4, 0.25, 40.0),
    ]
    began = next(record.run for record in records(run) if record.WhichOneof("record_type") == "run")
    assert began.display_name == "sae"
    settings = {item.key: item.value_json for item in began.config.update}
    assert (settings["dictionary"], settings["lr"]) == ('"topk-sae"', "0.01")
    summary = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in records(run)
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert summary["result/l0"] == 32.0


def test_project_name_and_entity_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"WANDB_PROJECT": "saes", "WANDB_NAME": "first", "WANDB_ENTITY": "lab", "WANDB_RUN_ID": "abc123"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    log_three_steps(tmp_path)
    began = next(record.run for record in records(tmp_path) if record.WhichOneof("record_type") == "run")
    assert (began.project, began.display_name, began.entity, began.run_id) == ("saes", "first", "lab", "abc123")


def test_a_run_that_goes_on_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_three_steps(tmp_path)
    monkeypatch.setenv("WANDB_RUN_ID", "of-another-run")
    again = WandbLogger()
    assert again.start(run_in(tmp_path, step=2)) == 4  # steps up to here are there, and are not sent again
    again.step(5, {"loss": 0.2})
    again.finish({})
    ids = {record.run.run_id for record in records(tmp_path) if record.WhichOneof("record_type") == "run"}
    assert len(ids) == 1
    assert [row["step"] for row in history(tmp_path)] == [1, 2, 4, 5]


def test_offline_nobody_is_called_and_nothing_of_the_environment_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    calls.append(server.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("WANDB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["trainer", "--storage-option", "secret=hush-hush-99"])
        log_three_steps(tmp_path)
        over.set()
        thread.join()
    assert not calls
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) > 4
    hidden = [value.encode() for value in (*SECRETS.values(), "hush-hush-99")]
    leaks = {(path.name, secret) for path, data in written.items() for secret in hidden if secret in data}
    assert not leaks
    assert not {path.name for path in written} & {"wandb-metadata.json", "requirements.txt", "code"}
