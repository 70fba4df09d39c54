"""The command line `actstore`."""

from __future__ import annotations

from actstore.cli import extract, gc, import_files, inspect, manifest, plan, repair, rows, verify
from actstore.cli.program import Program

__all__ = ["app"]

app = Program(
    "actstore",
    help="""
Extract protein language model activations once; train from the store any number of times.

A recipe states what to extract: model, sequences, sites, encoding. `plan` estimates size, time and cost. `extract`
writes the store, and continues if it was stopped; `import` writes one from activations that you have. `inspect`
describes the store, `rows` reads single proteins out of it, `verify` checks it. `repair` and `gc` repair damage and
remove leftovers. `manifest` shares the store. `trainer read-from-store URI` trains on it.

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
app.add_typer(manifest.app, name="manifest")
