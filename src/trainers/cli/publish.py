"""`trainer publish`: a dictionary on the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore import with_grouped_options
from trainers.cli import options
from trainers.cli.table import print_result

__all__ = ["publish"]


@with_grouped_options
def publish(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Folder of a run, a checkpoint, an exported folder, or hf://user/name[@revision]."
        ),
    ],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="Model on the Hub; made if need be.")],
    *,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private, if it is made.")] = False,
    revision: Annotated[str, typer.Option(metavar="BRANCH", help="Branch; made if need be.")] = "main",
    message: Annotated[
        str | None, typer.Option(help="Message of the commit.", show_default="kind, latents and sites")
    ] = None,
    license: Annotated[  # noqa: A002 - the word of recipes
        str | None,
        typer.Option(
            help="Licence of the dictionary, as an SPDX identifier or in words.",
            show_default="that of the dictionary, if it has one",
        ),
    ] = None,
    new_card: Annotated[bool, typer.Option("--new-card", help="Replace a README.md that somebody wrote.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the Hub what it has, show what would be sent, and send nothing.")
    ] = False,
    output: options.ReportOptions,
) -> None:
    """Publish a trained dictionary on the Hugging Face Hub, with a card, in one commit.

    Log in with `hf auth login`, or set HF_TOKEN. Readers load it with `trainers.load("hf://USER/NAME")`, and its
    digests are compared.

        trainer publish runs/sae my-lab/esm2-8m-sae --private
    """
    from trainers.workflows.publish import publish_dictionary

    report = publish_dictionary(
        run,
        repository,
        private=private,
        revision=revision,
        message=message,
        licence=license,
        new_card=new_card,
        dry_run=dry_run,
    )
    print_result(report.document(), as_json=output.as_json)
