"""The data card of a published store: README.md with the metadata of the Hub."""

from __future__ import annotations

import json
import re
import shlex
from typing import Final

from actstore.access.printable import printable
from actstore.store.format.layout import SEQUENCES
from actstore.store.read.manifest import Manifest
from actstore.view.counted import knows_proteins, lacks_tasks, part_text, sequences_title
from actstore.view.croissant import describe_store, model_name
from actstore.view.grids import human_bytes
from actstore.view.reports import splits_to_train, told_sources

__all__ = ["WRITTEN", "data_card", "hub_license_fields", "markdown_text"]

WRITTEN: Final = (
    "<!-- Written by actstore publish, which writes it anew. Remove this line to keep a text of your own. -->"
)

_HUB_LICENSES: Final = frozenset(
    {
        "agpl-3.0", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0", "cc-by-2.0", "cc-by-3.0",
        "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "epl-2.0", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "odbl", "pddl", "unlicense",
    }
)  # fmt: skip
"""Identifiers that the Hub takes; any other licence is `other`, with a name."""
_TAGS: Final = (
    "biology",
    "protein",
    "protein-language-model",
    "activations",
    "interpretability",
    "sparse-autoencoder",
    "zarr",
    "actstore",
)
_SIZES: Final = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
                 (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"),
                 (10**12, "100B<n<1T"))  # fmt: skip
"""Categories of the Hub, with the number of rows below which they end."""
_LARGEST: Final = "n>1T"
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>|#!~])")


def data_card(manifest: Manifest, *, name: str, uri: str, license_id: str | None = None) -> str:
    """Return the card.

    Parameters
    ----------
    manifest
        Of the store.
    name
        `user/name` of the repository.
    uri
        Where readers find the store.
    license_id
        Licence of the data set; None for that of model and corpus if both have one and the same.
    """
    licenses, citations = told_sources(manifest, "license"), told_sources(manifest, "citation")
    if license_id is None and len(licenses) == 2 and len(set(licenses.values())) == 1:
        license_id = licenses["model"]
    sections = [
        _front_matter(manifest, license_id),
        WRITTEN,
        f"# {markdown_text(name.partition('/')[2])}",
        markdown_text(describe_store(manifest)),
        _facts(manifest, licenses, license_id),
        _use(manifest, uri),
        _tables(manifest),
        _citations(manifest, citations),
    ]
    return "\n\n".join(sections) + "\n"


def hub_license_fields(license_id: str | None) -> dict[str, str]:
    """Return the fields of a card's metadata that state a licence.

    Examples
    --------
    >>> hub_license_fields("MIT"), hub_license_fields("for our lab"), hub_license_fields(None)
    ({'license': 'mit'}, {'license': 'other', 'license_name': 'for our lab'}, {})
    """
    if license_id is None:
        return {}
    if license_id.lower() in _HUB_LICENSES:
        return {"license": license_id.lower()}
    return {"license": "other", "license_name": license_id}


def _front_matter(manifest: Manifest, license_id: str | None) -> str:
    """Return the metadata; JSON is YAML, too."""
    size = next((label for most, label in _SIZES if manifest.rows < most), _LARGEST)
    fields: dict[str, object] = {"pretty_name": f"Activations of {model_name(manifest)}"}
    fields |= hub_license_fields(license_id)
    fields |= {
        "tags": list(_TAGS),
        "size_categories": [size],
        "configs": [{"config_name": "sequences", "data_files": SEQUENCES}],
    }
    lines = (f"{name}: {json.dumps(value)}" for name, value in fields.items())
    return "\n".join(["---", *lines, "---"])


def _facts(manifest: Manifest, licenses: dict[str, str], license_id: str | None) -> str:
    model, frozen, stored = manifest.model, manifest.frozen, manifest.stored
    revision = f", revision {model.revision}" if model.revision else ""
    state = "" if manifest.complete else f"; {manifest.tasks_done:,} of {len(manifest.tasks):,} tasks are extracted"
    residue = "a residue with " if knows_proteins(manifest) else ""
    facts = {
        "model": f"{model_name(manifest)}{revision} ({model.architecture}, {model.dtype})",
        "weights": f"SHA-256 {model.weights_sha256}",
        "corpus": _corpus(manifest),
        "rows": f"{manifest.rows:,}, each {residue}a vector for every site{state}",
        "encoding": f"{manifest.encoding}, compressor {frozen.layout.compressor}",
        "size": f"{human_bytes(stored.total)} in {stored.objects:,} objects",
        "manifest": f"SHA-256 {manifest.digest}",
    }
    if frozen.imported is not None:
        facts["imported"] = frozen.imported.summary
    if part := part_text(manifest):
        facts["part"] = part
    facts |= {f"licence of the {what}": text for what, text in licenses.items()}
    if license_id is not None:
        facts["licence of this data set"] = license_id
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {markdown_text(text)} |" for name, text in facts.items())])


def _corpus(manifest: Manifest) -> str:
    corpus = manifest.frozen.corpus
    if not knows_proteins(manifest):
        return f"unknown proteins, whose rows are in {corpus.sequences:,} {sequences_title(manifest)}"
    part = " in the whole store; some proteins have no rows here" if lacks_tasks(manifest) else ""
    return f"{corpus.sequences:,} proteins, {corpus.residues:,} residues{part}"


def _use(manifest: Manifest, uri: str) -> str:
    one = "protein" if knows_proteins(manifest) else "block"
    site, split = printable(manifest.sites[0].name), splits_to_train(manifest.splits)
    return "\n".join(
        [
            "## Load it",
            "```bash",
            "pip install actstore",
            "```",
            "```python",
            "import actstore",
            "",
            f'store = actstore.open_store("{uri}")',
            f'{one} = store.sequences["id"][0].as_py()',
            f"store.rows(sequence={one}, sites={json.dumps(site)}).values_ND  # float32 [residues, features]",
            "```",
            "Only what is asked for is downloaded, and every byte is compared with its checksum.",
            "",
            "To look at the store, and to train a sparse autoencoder on it:",
            "```bash",
            f"actstore inspect {uri}",
            f"trainer read-from-store {uri} --dictionary topk-sae --site {shlex.quote(site)}{split}",
            "```",
            "The files are plain Zarr v3: `sites/<site>/values` and `rows/sequence` open in any Zarr reader.",
            f"`{SEQUENCES}` has the {one}s. `croissant.json` describes the data set to other tools.",
        ]
    )


def _tables(manifest: Manifest) -> str:
    sites = [
        f"| {markdown_text(site.name)} | {markdown_text(site.module)} | {site.width:,} |" for site in manifest.sites
    ]
    splits = [f"| {name} | {split.sequences:,} | {split.rows:,} |" for name, split in manifest.splits.items()]
    return "\n".join(
        [
            "## Sites",
            "| site | module | features |",
            "|---|---|---|",
            *sites,
            "",
            "## Splits",
            f"| split | {sequences_title(manifest)} | rows |",
            "|---|---|---|",
            *splits,
        ]
    )


def _citations(manifest: Manifest, citations: dict[str, str]) -> str:
    lines = ["## Cite", f"Cite this store by the SHA-256 of its manifest: `{manifest.digest}`."]
    for what, text in citations.items():
        # Indented, since a citation could end a fenced block.
        lines += ["", f"The {what}:", "", *(f"    {printable(line, most=None)}" for line in text.splitlines())]
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    r"""Return text that is no markup, on one line, without secrets.

    Examples
    --------
    >>> print(markdown_text("layer_3 [x](y)"))
    layer\_3 \[x\](y)
    """
    return _MARKUP.sub(r"\\\1", printable(text))
