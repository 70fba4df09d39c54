"""actstore: extract protein language model activations once, train from the store any number of times.

The names below are the public interface; everything else may change. They are imported when first used, so that
`import actstore` costs nothing.

Examples
--------
>>> import actstore
>>> actstore.Recipe  # doctest: +ELLIPSIS
<class 'actstore.contracts.recipe.Recipe'>
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actstore import errors
    from actstore.access.credentials import refuse_credentials
    from actstore.access.scratch import scratch_folder
    from actstore.budget.assumptions import Assumptions
    from actstore.cli.grouped import with_grouped_options
    from actstore.cli.options import comma_separated, parse_recipe_fields, parse_storage_options
    from actstore.cli.program import Program
    from actstore.cli.run import run_command
    from actstore.contracts.progress import Progress, Silent, Stage
    from actstore.contracts.recipe import Recipe
    from actstore.contracts.suggest import did_you_mean
    from actstore.extract.device import choose_device
    from actstore.extract.digest import weights_sha256
    from actstore.intake.pt import read_torch_tensors
    from actstore.leaving import Interrupted, if_stopped, signals_to
    from actstore.quantize.decode import decode
    from actstore.redaction import without_secrets
    from actstore.store.browse.means import SequenceMeans
    from actstore.store.browse.rows import ProteinRows, Rows
    from actstore.store.browse.site_array import SiteArray
    from actstore.store.browse.store import Store, open_store
    from actstore.store.read.manifest import Manifest
    from actstore.store.read.open import open_manifest
    from actstore.store.read.place import enclosing_store
    from actstore.store.write.statistics import SiteStatistics
    from actstore.stream.batch import Batch
    from actstore.stream.cursor import Cursor
    from actstore.stream.open import open_stream
    from actstore.stream.report import StreamReport
    from actstore.stream.request import StreamRequest
    from actstore.stream.seats import Seat
    from actstore.stream.stream import Stream
    from actstore.stream.tensors.dataset import StreamDataset
    from actstore.view import pages
    from actstore.view.card import hub_license_fields, markdown_text
    from actstore.view.grids import output_width
    from actstore.view.progress import terminal_progress
    from actstore.workflows.care.collect import collect_garbage
    from actstore.workflows.care.repair import repair_store
    from actstore.workflows.care.verify import verify_store
    from actstore.workflows.clusters.connect import ExistingScheduler, LocalWorkers, SlurmWorkers
    from actstore.workflows.copy_store import CopyReport, copy_store
    from actstore.workflows.describe import write_store_page
    from actstore.workflows.diff_manifests import ManifestDifference, diff_manifests
    from actstore.workflows.export_manifest import export_manifest
    from actstore.workflows.extract import extract_store
    from actstore.workflows.extraction.deadline import Stop
    from actstore.workflows.extraction.free_memory import available_memory
    from actstore.workflows.extraction.shares import Share
    from actstore.workflows.import_store import import_store, repair_imported
    from actstore.workflows.inspect import inspect_store
    from actstore.workflows.live.open import open_live
    from actstore.workflows.live.source import LiveReport, LiveSource
    from actstore.workflows.merge_manifests import merge_manifests
    from actstore.workflows.page_files import check_page_file, write_page_file
    from actstore.workflows.plan import plan_store
    from actstore.workflows.publish import publish_store
    from actstore.workflows.publishing.hub import HubRepository, RemoteFile
    from actstore.workflows.recipes import read_recipe
    from actstore.workflows.relocate_manifest import relocate_manifest
    from actstore.workflows.subset_manifest import subset_manifest

__all__ = [
    "Assumptions",
    "Batch",
    "CopyReport",
    "Cursor",
    "ExistingScheduler",
    "HubRepository",
    "Interrupted",
    "LiveReport",
    "LiveSource",
    "LocalWorkers",
    "Manifest",
    "ManifestDifference",
    "Program",
    "Progress",
    "ProteinRows",
    "Recipe",
    "RemoteFile",
    "Rows",
    "Seat",
    "SequenceMeans",
    "Share",
    "Silent",
    "SiteArray",
    "SiteStatistics",
    "SlurmWorkers",
    "Stage",
    "Stop",
    "Store",
    "Stream",
    "StreamDataset",
    "StreamReport",
    "StreamRequest",
    "available_memory",
    "check_page_file",
    "choose_device",
    "collect_garbage",
    "comma_separated",
    "copy_store",
    "decode",
    "did_you_mean",
    "diff_manifests",
    "enclosing_store",
    "errors",
    "export_manifest",
    "extract_store",
    "hub_license_fields",
    "if_stopped",
    "import_store",
    "inspect_store",
    "markdown_text",
    "merge_manifests",
    "open_live",
    "open_manifest",
    "open_store",
    "open_stream",
    "output_width",
    "pages",
    "parse_recipe_fields",
    "parse_storage_options",
    "plan_store",
    "publish_store",
    "read_recipe",
    "read_torch_tensors",
    "refuse_credentials",
    "relocate_manifest",
    "repair_imported",
    "repair_store",
    "run_command",
    "scratch_folder",
    "signals_to",
    "subset_manifest",
    "terminal_progress",
    "verify_store",
    "weights_sha256",
    "with_grouped_options",
    "without_secrets",
    "write_page_file",
    "write_store_page",
]

_HOME: Final = {
    "Assumptions": "actstore.budget.assumptions",
    "Batch": "actstore.stream.batch",
    "CopyReport": "actstore.workflows.copy_store",
    "Cursor": "actstore.stream.cursor",
    "ExistingScheduler": "actstore.workflows.clusters.connect",
    "HubRepository": "actstore.workflows.publishing.hub",
    "Interrupted": "actstore.leaving",
    "LiveReport": "actstore.workflows.live.source",
    "LiveSource": "actstore.workflows.live.source",
    "LocalWorkers": "actstore.workflows.clusters.connect",
    "Manifest": "actstore.store.read.manifest",
    "ManifestDifference": "actstore.workflows.diff_manifests",
    "Program": "actstore.cli.program",
    "Progress": "actstore.contracts.progress",
    "ProteinRows": "actstore.store.browse.rows",
    "Recipe": "actstore.contracts.recipe",
    "RemoteFile": "actstore.workflows.publishing.hub",
    "Rows": "actstore.store.browse.rows",
    "Seat": "actstore.stream.seats",
    "SequenceMeans": "actstore.store.browse.means",
    "Share": "actstore.workflows.extraction.shares",
    "Silent": "actstore.contracts.progress",
    "SiteArray": "actstore.store.browse.site_array",
    "SiteStatistics": "actstore.store.write.statistics",
    "SlurmWorkers": "actstore.workflows.clusters.connect",
    "Stage": "actstore.contracts.progress",
    "Stop": "actstore.workflows.extraction.deadline",
    "Store": "actstore.store.browse.store",
    "Stream": "actstore.stream.stream",
    "StreamDataset": "actstore.stream.tensors.dataset",
    "StreamReport": "actstore.stream.report",
    "StreamRequest": "actstore.stream.request",
    "available_memory": "actstore.workflows.extraction.free_memory",
    "check_page_file": "actstore.workflows.page_files",
    "choose_device": "actstore.extract.device",
    "collect_garbage": "actstore.workflows.care.collect",
    "comma_separated": "actstore.cli.options",
    "copy_store": "actstore.workflows.copy_store",
    "decode": "actstore.quantize.decode",
    "did_you_mean": "actstore.contracts.suggest",
    "diff_manifests": "actstore.workflows.diff_manifests",
    "enclosing_store": "actstore.store.read.place",
    "export_manifest": "actstore.workflows.export_manifest",
    "extract_store": "actstore.workflows.extract",
    "hub_license_fields": "actstore.view.card",
    "if_stopped": "actstore.leaving",
    "import_store": "actstore.workflows.import_store",
    "inspect_store": "actstore.workflows.inspect",
    "markdown_text": "actstore.view.card",
    "merge_manifests": "actstore.workflows.merge_manifests",
    "open_live": "actstore.workflows.live.open",
    "open_manifest": "actstore.store.read.open",
    "open_store": "actstore.store.browse.store",
    "open_stream": "actstore.stream.open",
    "output_width": "actstore.view.grids",
    "parse_recipe_fields": "actstore.cli.options",
    "parse_storage_options": "actstore.cli.options",
    "plan_store": "actstore.workflows.plan",
    "publish_store": "actstore.workflows.publish",
    "read_recipe": "actstore.workflows.recipes",
    "read_torch_tensors": "actstore.intake.pt",
    "refuse_credentials": "actstore.access.credentials",
    "relocate_manifest": "actstore.workflows.relocate_manifest",
    "repair_imported": "actstore.workflows.import_store",
    "repair_store": "actstore.workflows.care.repair",
    "run_command": "actstore.cli.run",
    "scratch_folder": "actstore.access.scratch",
    "signals_to": "actstore.leaving",
    "subset_manifest": "actstore.workflows.subset_manifest",
    "terminal_progress": "actstore.view.progress",
    "verify_store": "actstore.workflows.care.verify",
    "weights_sha256": "actstore.extract.digest",
    "with_grouped_options": "actstore.cli.grouped",
    "without_secrets": "actstore.redaction",
    "write_page_file": "actstore.workflows.page_files",
    "write_store_page": "actstore.workflows.describe",
}

_MODULES: Final = {"errors": "actstore.errors", "pages": "actstore.view.pages"}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    # With the name and the module Python suggests the nearest of `__dir__`.
    raise AttributeError(f"module 'actstore' has no public name {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return __all__
