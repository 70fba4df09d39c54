"""The command line `actstore`."""

from __future__ import annotations

from actstore.cli import copy, extract, gc, import_files, inspect, manifest, plan, publish, repair, rows, verify
from actstore.cli.program import Program

__all__ = ["app"]

app = Program(
    "actstore",
    help="""
Extract protein language model activations once; train from the store any number of times.

A recipe states what to extract: model, sequences, sites, encoding. `plan` estimates size, time and cost. `extract`
writes the store, and continues if it was stopped; `import` writes one from activations that you have. `inspect`
describes the store, `rows` reads single proteins out of it, `verify` checks it. `repair` and `gc` repair damage and
remove leftovers. `copy` takes it, or a part of it, to another place; `manifest` shares it, and `publish` puts it on the
Hugging Face Hub. `trainer read-from-store URI` trains on it.

Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted, 143 terminated.
""",
)

app.command()(plan.plan)
app.command()(extract.extract)
app.command("import")(import_files.import_files)
app.command()(inspect.inspect)
app.command()(rows.rows)
app.command()(verify.verify)
app.command()(repair.repair)
app.command()(gc.gc)
app.command()(copy.copy)
app.command()(publish.publish)
app.add_typer(manifest.app, name="manifest")
