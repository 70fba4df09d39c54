"""A store as one self-contained HTML file."""

from __future__ import annotations

from actstore.view.pages.document import Section, page
from actstore.view.pages.store_corpus import mixing, proteins
from actstore.view.pages.store_facts import StoreFacts
from actstore.view.pages.store_opening import opening
from actstore.view.pages.store_origin import citation, provenance
from actstore.view.pages.store_overview import completeness, heading, model_title, sizes
from actstore.view.pages.store_sites import channels, error, norms, variance

__all__ = ["store_page"]


def store_page(facts: StoreFacts) -> str:
    """Return a store as an HTML document: every figure has its numbers in a table."""
    sections = [
        Section("open", "Open it", opening(facts)),
        Section("splits", "Splits and completeness", completeness(facts)),
        Section("size", "Size", sizes(facts)),
        Section("norms", "Norms", norms(facts)),
        Section("channels", "Channels", channels(facts)),
        Section("error", "Quantisation error", error(facts)),
        Section("variance-explained", "Variance", variance(facts)),
        Section("proteins", "Proteins", proteins(facts)),
        Section("mixing", "Mixing", mixing(facts)),
        Section("provenance", "Provenance", provenance(facts)),
        Section("citation", "Licence and citation", citation(facts)),
    ]
    version = facts.manifest.frozen.software.get("actstore", "of an unknown version")
    foot = f"Manifest {facts.report.manifest_sha256}. Extracted with actstore {version}."
    return page(f"Activations of {model_title(facts)}", heading(facts), sections, foot)
