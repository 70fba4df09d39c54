import pytest

from actstore.cli.options import comma_separated, parse_settings, parse_storage_options, print_report
from actstore.errors import UsageError


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


def test_the_last_of_several_settings_wins() -> None:
    assert parse_settings(["seed=1", "seed = 2"]) == {"seed": 2}
    assert parse_settings(None) == {}


def test_storage_options_are_text() -> None:
    assert parse_storage_options(["key=1", "secret=a=b"]) == {"key": "1", "secret": "a=b"}
    assert parse_storage_options(None) == {}


@pytest.mark.parametrize("text", ["secret", "=secret", ""])
def test_what_is_no_pair_is_refused_without_being_repeated(text: str) -> None:
    for parse, flag in ((parse_settings, "--set"), (parse_storage_options, "--storage-option")):
        with pytest.raises(UsageError, match=f"{flag} takes KEY=VALUE") as caught:
            parse([text])
        assert "secret" not in str(caught.value)


def test_a_report_is_a_document_or_a_view_and_both_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_report({"store": "[bold]a:x:"}, as_json=True, view=lambda: pytest.fail("the view was made"))
    assert capsys.readouterr().out == '{\n  "store": "[bold]a:x:"\n}\n'
    print_report({}, as_json=False, view=lambda: "[bold]a:smile:")
    assert capsys.readouterr().out == "[bold]a:smile:\n"
