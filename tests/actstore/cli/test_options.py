from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

from actstore import extract_store, open_live, repair_store, verify_store
from actstore.cli.extract import extract
from actstore.cli.options import (
    comma_separated,
    parse_recipe_fields,
    parse_settings,
    parse_storage_options,
    print_report,
)
from actstore.cli.repair import repair
from actstore.cli.verify import verify
from actstore.errors import UsageError
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.stores import write_fasta
from trainers.workflows.options import RunOptions


@pytest.mark.parametrize(
    ("given", "sites"),
    [
        (None, None),
        ([], None),
        (["embed"], ["embed"]),
        (["embed, resid_post.*", "final_norm,"], ["embed", "resid_post.*", "final_norm"]),
    ],
)
def test_lists_may_be_repeated_or_separated_by_commas(given: list[str] | None, sites: list[str] | None) -> None:
    assert comma_separated(given) == sites


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.25", 0.25),
        ("true", True),
        ("int8", "int8"),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ("{train = 1.0}", {"train": 1.0}),
        ("a=b", "a=b"),
        ("", ""),
        ("1\nseed = 2", "1\nseed = 2"),
    ],
)
def test_settings_are_toml_or_a_bare_word(text: str, value: object) -> None:
    assert parse_settings([f"store.field={text}"]) == {"store.field": value}


def test_one_field_is_set_once() -> None:
    assert parse_settings(None) == {}
    with pytest.raises(UsageError, match="--set seed is given twice"):
        parse_settings(["seed=1", "seed = 2"])
    with pytest.raises(UsageError, match="--storage-option key is given twice"):
        parse_storage_options(["key=1", "key=2"])
    with pytest.raises(UsageError, match="--set seed: the field has an option of its own"):
        parse_recipe_fields({"seed": 1}, ["seed=2"])


def test_storage_options_are_text() -> None:
    assert parse_storage_options(["key=1", "secret=a=b"]) == {"key": "1", "secret": "a=b"}
    assert parse_storage_options(None) == {}


@pytest.mark.parametrize("text", ["secret", "=secret", ""])
def test_what_is_no_pair_is_refused_without_being_repeated(text: str) -> None:
    for parse, flag in ((parse_settings, "--set"), (parse_storage_options, "--storage-option")):
        with pytest.raises(UsageError, match=f"{flag} takes KEY=VALUE") as caught:
            parse([text])
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["c2VjcmV0=", "c2VjcmV0==", "c2VjcmV0== ", "c2VjcmV0= "])
def test_a_secret_without_its_name_is_refused_without_being_repeated(text: str) -> None:
    for given in ([text], ["key=1", text], [text, text]):
        with pytest.raises(UsageError, match="takes KEY=VALUE; after the first '='") as caught:
            parse_storage_options(given)
        assert "c2VjcmV0" not in str(caught.value)


def test_a_report_is_a_document_or_a_view_and_both_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_report({"store": "[bold]a:x:"}, as_json=True, view=lambda: pytest.fail("the view was made"))
    assert capsys.readouterr().out == '{\n  "store": "[bold]a:x:"\n}\n'
    print_report({}, as_json=False, view=lambda: "[bold]a:smile:")
    assert capsys.readouterr().out == "[bold]a:smile:\n"


@pytest.mark.parametrize("command", [extract, repair, verify, extract_store, repair_store, verify_store, open_live])
def test_the_device_has_the_default_of_the_trainer(command: Callable[..., object]) -> None:
    assert signature(command).parameters["device"].default == RunOptions().device == RunOptions().model_device == "auto"


def test_device_auto_extracts_repairs_and_verifies(esm2_tiny: Path, tmp_path: Path) -> None:
    sequences, store = write_fasta(tmp_path / "one.fasta", {"P1": "MKTAYIAKQR"}), tmp_path / "store"
    made = actstore(
        "extract", "--device=auto", f"--model={esm2_tiny}", f"--sequences={sequences}", "--site=embed",
        "--set=splits.fractions={train=1.0}", f"--store={store}",
    )  # fmt: skip
    assert made.code == 0, made.err
    (store / "commits" / "0.json").unlink()
    for command in ("repair", "verify"):
        done = actstore(command, store, "--device", "auto")
        assert done.code == 0, done.err
        refused = actstore("extract", "--store", store, "--device", "gpu")
        assert (refused.code, "use auto, cpu, cuda or cuda:N" in refused.err) == (2, True)
