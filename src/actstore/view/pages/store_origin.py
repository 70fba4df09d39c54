"""Where a store comes from, what may be done with it, and how to cite it."""

from __future__ import annotations

import json
from typing import Final

from actstore.view.counted import counted_rows
from actstore.view.document import plain
from actstore.view.pages.document import code
from actstore.view.pages.document import facts as fact_list
from actstore.view.pages.markup import Markup, element
from actstore.view.pages.store_facts import Rights, StoreFacts
from actstore.view.pages.store_overview import model_title

__all__ = ["citation", "provenance", "store_bibtex"]

_NOT_STATED: Final = "not stated"
_SPECIAL: Final = str.maketrans(
    {
        **{one: f"\\{one}" for one in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def provenance(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return model, digests, software and recipe."""
    manifest, frozen = facts.manifest, facts.manifest.frozen
    model = manifest.model
    digests = {
        "manifest": manifest.digest,
        "recipe": frozen.digest,
        "weights of the model": model.weights_sha256,
        "corpus": frozen.corpus.digest,
        "sequences.parquet": frozen.sequences_sha256,
    }
    recipe = json.dumps(plain(frozen.recipe.model_dump(mode="json")), indent=2, ensure_ascii=False)
    return (
        element("h3", "Model"),
        fact_list(
            {
                "name": model.name,
                "revision": model.revision or "a local folder",
                "class": model.architecture,
                "parameters": f"{model.parameters:,}",
                "computed in": model.dtype,
            }
        ),
        element("h3", "Digests (SHA-256)"),
        fact_list({name: element("code", digest, class_="digest") for name, digest in digests.items()}),
        element("h3", "Software"),
        fact_list(dict(sorted(frozen.software.items()))),
        element("h3", "Recipe"),
        element("p", "As it was resolved before the first forward pass. It decides the content of the store."),
        element("details", element("summary", "Show the recipe"), code("recipe", recipe, name="JSON")),
    )


def citation(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return licences and citations of model, corpus and store."""
    unfinished = (
        ()
        if facts.report.complete
        else (element("p", "The digest changes until all tasks are extracted.", class_="note"),)
    )
    return (
        element("h3", "Licence"),
        fact_list({"model": facts.model.license or _NOT_STATED, "corpus": facts.corpus.license or _NOT_STATED}),
        element("h3", "Cite this store"),
        element("p", "The digest of the manifest identifies every byte of the store, wherever a copy of it lies."),
        *unfinished,
        code("cite-store", store_bibtex(facts), name="BibTeX", folded=True),
        *_cited("model", facts.model),
        *_cited("corpus", facts.corpus),
    )


def store_bibtex(facts: StoreFacts) -> str:
    """Return the entry of a bibliography for a store."""
    manifest = facts.manifest
    title = f"Activations of {model_title(facts)} at {len(manifest.sites):,} sites for {counted_rows(manifest)}"
    return "\n".join(
        [
            f"@misc{{actstore-{manifest.digest[:12]},",
            f"  title = {{{{{title.translate(_SPECIAL)}}}}},",
            f"  howpublished = {{Store of format {manifest.format}}},",
            f"  note = {{Manifest SHA-256 {manifest.digest}}}",
            "}",
        ]
    )


def _cited(what: str, rights: Rights) -> tuple[Markup, ...]:
    title = element("h3", f"Cite the {what}")
    if rights.citation is None:
        return (title, element("p", f"Citation of the {what}: {_NOT_STATED} in the recipe.", class_="note"))
    return (title, code(f"cite-{what}", rights.citation, name=f"As the recipe states it for the {what}", folded=True))
