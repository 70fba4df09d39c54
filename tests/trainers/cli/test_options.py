"""Both commands have the same options, and the same words on the command line as in Python."""

from inspect import signature
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from actstore import with_grouped_options
from actstore.cli.extract import RecipeOptions
from trainers.cli.online import online
from trainers.cli.options import MissingChoice, OrderChoice, TrainingOptions, given_in
from trainers.cli.read_from_store import read_from_store
from trainers.cli.train import fields_of_config
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions


def test_choices_of_the_command_line_are_those_of_the_config() -> None:
    assert {choice.value for choice in OrderChoice} == set(get_args(TrainConfig.model_fields["order"].annotation))


def test_defaults_of_the_command_line_are_those_of_the_config() -> None:
    command_line = {name: option.default for name, option in signature(read_from_store).parameters.items()}
    config = {name: field.default for name, field in TrainConfig.model_fields.items() if name in command_line}
    assert {name: command_line[name] for name in config} == config
    options = RunOptions()
    for name in (
        "out",
        "resume",
        "device",
        "buffer_bytes",
        "checkpoint_every",
        "keep",
        "eval_every",
        "allow_incomplete",
    ):
        assert command_line[name] == getattr(options, name)


def test_the_commands_differ_only_in_what_makes_no_sense_online() -> None:
    stored, live = (signature(each).parameters for each in (read_from_store, online))
    assert live.keys() - stored.keys() == {"sequences"}  # of a recipe, which is not read from
    both = stored.keys() - {"on_missing"}
    assert {name: stored[name].default for name in both} == {name: live[name].default for name in both}
    assert (stored["on_missing"].default, live["on_missing"].default) == (MissingChoice.ERROR, MissingChoice.COMPUTE)
    assert (stored["model_device"].default, stored["most_passes"].default) == (
        RunOptions().model_device,
        RunOptions().most_passes,
    )


@pytest.mark.parametrize(
    "given", [["--site=embed,resid_post.*", "--site", "final_norm"], ["--site=embed, resid_post.*,final_norm"]]
)
def test_both_programs_take_sites_by_commas_and_by_repeating(given: list[str]) -> None:
    @with_grouped_options
    def extract(*, recipe: RecipeOptions) -> None:
        seen.append(recipe.by_field()["sites"])

    @with_grouped_options
    def train(context: typer.Context, *, training: TrainingOptions) -> None:
        seen.append(list(fields_of_config(training, given_in(context))["sites"]))

    seen: list[list[str]] = []
    for command in (extract, train):
        app = typer.Typer()
        app.command()(command)
        assert CliRunner().invoke(app, given).exit_code == 0
    assert seen == [["embed", "resid_post.*", "final_norm"]] * 2


def test_what_a_transcoder_writes_is_named_as_what_it_reads() -> None:
    @with_grouped_options
    def train(context: typer.Context, *, training: TrainingOptions) -> None:
        seen.append(fields_of_config(training, given_in(context)))

    seen: list[dict[str, Any]] = []
    app = typer.Typer()
    app.command()(train)
    given = ["--dictionary", "clt-topk", "--site", "a,b", "--target", "c", "--target", "d", "--no-skip"]
    assert CliRunner().invoke(app, given).exit_code == 0
    assert seen == [{"dictionary": "clt-topk", "sites": ("a", "b"), "targets": ("c", "d"), "skip": False}]
