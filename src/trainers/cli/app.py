"""The command line `trainer`."""

from __future__ import annotations

from actstore import Program
from trainers.cli.export import export
from trainers.cli.import_folder import import_folder
from trainers.cli.online import online
from trainers.cli.presets import presets
from trainers.cli.publish import publish
from trainers.cli.read_from_store import read_from_store
from trainers.cli.report import report
from trainers.cli.sweep import sweep

__all__ = ["app"]

app = Program(
    "trainer",
    help="""
Train sparse autoencoders and crosscoders from a store of activations; exchange them with other libraries.

How fast does the store stream, and how well is it mixed?

    trainer read-from-store STORE --dictionary none

One site, TopK, eight times as many latents as features, once through the data:

    trainer read-from-store STORE --dictionary topk-sae --site resid_post.3

All sites in one dictionary:

    trainer read-from-store STORE --dictionary crosscoder-topk --out runs/all

With the settings of a published dictionary:

    trainer read-from-store STORE --preset esm2-3b-topk

Go on with a run that was stopped or killed:

    trainer read-from-store --resume runs/all

Several dictionaries on one reading of the store, and a page that compares them:

    trainer sweep STORE sweep.toml --out runs/sweep
    trainer report runs/sweep --html report.html

Train without a store; the model computes the same rows in the same order:

    trainer online recipe.toml --dictionary topk-sae --site resid_post.3

Give a dictionary to SAELens, or read one of InterPLM:

    trainer export runs/sae exported --to saelens
    trainer import layer_4 imported --model facebook/esm2_t6_8M_UR50D --site resid_post.3
""",
)

app.command()(read_from_store)
app.command()(online)
app.command()(presets)
app.command()(sweep)
app.command()(report)
app.command()(export)
app.command("import")(import_folder)
app.command()(publish)
