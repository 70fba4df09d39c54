"""Every setting of training is an option, in panels by what it is about."""

from inspect import signature

from trainers.cli.read_from_store import read_from_store
from trainers.fit.config import TrainConfig


def test_every_setting_is_an_option() -> None:
    options = set(signature(read_from_store).parameters) - {"site", "target"} | {"sites", "targets"}
    assert TrainConfig.model_fields.keys() <= options


def test_options_are_shown_in_panels_by_what_they_are_about() -> None:
    panels: dict[str, list[str]] = {}
    for name, parameter in signature(read_from_store).parameters.items():
        for option in getattr(parameter.annotation, "__metadata__", ()):
            if panel := getattr(option, "rich_help_panel", None):
                panels.setdefault(panel, []).append(name)
    settings = ["Training", "Sparsity", "Optimisation", "Rows", "Dead latents", "Further terms"]
    assert list(panels) == [*settings, "Run", "Logging", "Access", "Model", "Output"]
    assert {"dictionary", "site", "latents", "expansion"} <= set(panels["Training"])
    assert {"lr", "warmup_share", "decay_share", "gradient_clip", "precision"} <= set(panels["Optimisation"])
