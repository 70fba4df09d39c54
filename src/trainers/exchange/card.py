"""The model card of a dictionary: README.md with the metadata of the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from actstore import hub_license_fields, markdown_text
from trainers.exchange.facts import DictionaryFacts

__all__ = ["CARD_WRITTEN", "model_card"]

CARD_WRITTEN: Final = "<!-- Written by trainer, which writes it anew. Remove this line to keep a text of your own. -->"
_TAGS: Final = ("biology", "protein-language-model", "interpretability", "sparse-autoencoder", "actstore")
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_MOST_SITES: Final = 100
_ROWS: Final = {
    "row-zscore": "each row minus its mean, divided by its standard deviation",
    "row-sqrt-d": "each row scaled to the norm sqrt(D)",
}


def model_card(facts: DictionaryFacts, *, name: str | None = None, uri: str = "path/to/this/folder") -> str:
    """Return the card.

    Parameters
    ----------
    facts
        Of the dictionary.
    name
        `user/name` of the repository; None for a folder.
    uri
        Where readers find the dictionary.
    """
    title = f"{facts.dictionary}: {facts.latents:,} latents" if name is None else name.partition("/")[2]
    sections = [
        _front_matter(facts),
        CARD_WRITTEN,
        f"# {markdown_text(title)}",
        _about(facts),
        _table(("", ""), _facts(facts)),
        _use(facts, uri),
        "## Sites",
        _sites(facts),
        *_metrics(facts.metrics),
        *_citation(facts),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(facts: DictionaryFacts) -> str:
    """Return the metadata; JSON is YAML, too."""
    fields: dict[str, object] = {**hub_license_fields(facts.licence), "library_name": "actstore", "tags": list(_TAGS)}
    if facts.model is not None and _HUB_NAME.fullmatch(facts.model.name):
        fields["base_model"] = facts.model.name
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---"])


def _model_name(facts: DictionaryFacts) -> str:
    return "an unknown model" if facts.model is None else facts.model.public_name


def _about(facts: DictionaryFacts) -> str:
    kind = "A sparse autoencoder" if len(facts.sites) == 1 else f"A crosscoder over {len(facts.sites)} sites"
    where = f" at {facts.sites[0].name}" if len(facts.sites) == 1 else ""
    return markdown_text(
        f"{kind} of {facts.latents:,} latents on the activations of {_model_name(facts)}{where}. It takes rows as the "
        "model gives them: scales of training are in the weights."
    )


def _facts(facts: DictionaryFacts) -> Iterator[tuple[str, str]]:
    """Yield what is known, by name; what is unknown says so, or is left out."""
    model = facts.model
    yield "model", _model_name(facts) + (f", revision {model.revision}" if model and model.revision else "")
    yield "weights of the model", f"SHA-256 {model.weights_sha256}" if model and model.weights_sha256 else "unknown"
    yield "dictionary", facts.dictionary
    yield "features of a site", f"{facts.width:,}"
    yield "latents", f"{facts.latents:,}"
    activation = facts.activation
    yield "activation", f"{activation.name}{f', k = {activation.k:,}' if activation.k else ''}"
    if facts.row_transform != "none":
        yield "rows", _ROWS[facts.row_transform]
    yield "trained on", ", ".join(f"store with manifest SHA-256 {one}" for one in facts.manifests) or "unknown rows"
    if facts.training is not None and "rows" in facts.training:
        yield "training", f"{_number(facts.training['rows'])} rows, {_number(facts.training.get('steps'))} steps"
    yield "origin", facts.origin
    yield "licence", facts.licence or "not stated"
    if facts.tensors_sha256 is not None:
        yield "tensors", f"SHA-256 {facts.tensors_sha256}"


def _use(facts: DictionaryFacts, uri: str) -> str:
    shape = f"[rows, {facts.width}]" if len(facts.sites) == 1 else f"[rows, {len(facts.sites)}, {facts.width}]"
    return "\n".join(
        [
            "## Load it",
            "```bash",
            "pip install actstore",
            "```",
            "```python",
            "import trainers",
            "",
            f"dictionary = trainers.load({json.dumps(uri)})",
            f"code = dictionary.encode(rows)  # rows {shape}, raw, as the model gives them",
            "```",
            "`dictionary.json` says what is known. `dictionary.safetensors` has the weights; `load` compares them with",
            "their digest. `trainer export` writes the dictionary for other libraries.",
        ]
    )


def _sites(facts: DictionaryFacts) -> str:
    rows = [(site.name, site.module or "unknown") for site in facts.sites[:_MOST_SITES]]
    if (more := len(facts.sites) - _MOST_SITES) > 0:
        rows.append((f"and {more:,} more", ""))
    return _table(("site", "module"), rows)


def _metrics(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield the results on held-out rows, if there are any."""
    if not metrics:
        return
    yield "## Results"
    rows: list[tuple[str, str]] = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows += [(f"{name.replace('_', ' ')}, {key}", _number(one)) for key, one in value.items()]
        else:
            rows.append((name.replace("_", " "), _number(value)))
    yield _table(("", ""), rows)
    if said := " ".join(_counted(metrics)):
        yield said


def _counted(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Say what the shares of latents count, and over how many rows."""
    if metrics.get("silent_fraction") is not None:
        rows = metrics.get("evaluated_rows")
        which = "evaluated rows" if rows is None else f"{markdown_text(_number(rows))} evaluated rows"
        yield (
            f"Silent fraction: the share of latents that are active on none of the {which}; a latent that is rare may "
            "be silent there, and is not dead."
        )
    if metrics.get("dead_fraction") is not None:
        rows = metrics.get("dead_after_rows")
        which = "last rows" if rows is None else f"last {markdown_text(_number(rows))} rows"
        yield f"Dead fraction: the share of latents that were active on none of the {which} of training."


def _citation(facts: DictionaryFacts) -> Iterator[str]:
    if facts.citation:
        # Indented, since a citation could end a fenced block.
        lines = facts.citation.splitlines()
        yield "## Cite"
        yield "\n".join(f"    {''.join(one for one in line if one.isprintable())}" for line in lines)


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {markdown_text(one)} | {markdown_text(other)} |" for one, other in rows)])
